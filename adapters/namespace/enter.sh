#!/bin/bash
# Pid 1 of a new machine, still among the host's files: makes its root and goes there.
#
#   FOLDER/fs (tmpfs, gone with this mount namespace)
#     ├─ up    the seed, then whatever the machine writes
#     └─ root  overlay of BASE and up; proc, sys, dev, run, tmp of its own; the binds
#
# Variables: FOLDER BASE DIR MARK NONCE HOST_NAME TMPFS_MIB BINDS READ_ONLY_BINDS (one path a line) BUSY
set -eu
# What is made here, and whatever the machine makes later, is for all of its users: Sublet's own files are not.
umask 022
# /proc is still the host's: it tells how the host calls us.
read -r pid _ </proc/self/stat
echo "pid $pid" >&9

ssh-keygen -q -t ed25519 -N '' -C "$HOST_NAME" -f "$FOLDER/host_key" 9>&- &
keygen=$!

fs=$FOLDER/fs root=$FOLDER/fs/root
mount -t tmpfs -o "size=${TMPFS_MIB}m,mode=755" sublet "$fs"
mkdir "$fs/up" "$fs/work" "$root"
cp -a "$FOLDER/seed/." "$fs/up/"
# Its root takes over owner and mode of this folder.
chown --reference="$BASE" "$fs/up"; chmod --reference="$BASE" "$fs/up"
mount -t overlay -o "lowerdir=$BASE,upperdir=$fs/up,workdir=$fs/work" sublet "$root"
cd "$root"
mkdir -p proc sys dev run tmp root etc/ssh
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,size=1m sublet "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$root/dev/"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"; ln -s fd/1 "$root/dev/stdout"; ln -s fd/2 "$root/dev/stderr"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev "sublet" "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev,size=32m sublet "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev sublet "$root/tmp"
# The host's own host keys, root's home and the other machines' records are nobody's business inside.
mount -t tmpfs -o mode=755,nosuid,nodev,size=1m sublet "$root/etc/ssh"
if [ "$BASE" = / ]; then
  mount -t tmpfs -o mode=700,nosuid,nodev sublet "$root/root"
  if [ -d "$root$DIR" ]; then mount -t tmpfs -o mode=755,size=64k sublet "$root$DIR"; fi
fi

bind() { # bind OPTIONS < paths
  local path
  while IFS= read -r path; do
    [ -n "$path" ] || continue
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$(dirname "$root$path")"; [ -e "$root$path" ] || : >"$root$path"; fi
    mount --rbind "$path" "$root$path"
    if [ "$1" = ro ]; then mount -o remount,bind,ro "$root$path"; fi
  done
}
bind rw <<<"$BINDS"
bind ro <<<"$READ_ONLY_BINDS"

mkdir "$root/run/sshd" "$root/run/sublet" "$root/run/old-root"
mount --bind "$FOLDER/run" "$root/run/sublet"
wait "$keygen"
cp "$FOLDER/host_key" "$FOLDER/ssh/"* "$root/etc/ssh/"
hostname "$HOST_NAME"
cd "$root"
pivot_root . run/old-root
cd /
umount -l /run/old-root
rmdir /run/old-root
# Root in the machine is the kernel's root too: at least the clock, modules and ports stay the host's.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux \
  SUBLET_MARK="$MARK" SUBLET_NONCE="$NONCE" SUBLET_NAME="$HOST_NAME" SUBLET_BUSY="$BUSY" \
  setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time bash /run/sublet/init.sh
