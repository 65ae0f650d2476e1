#!/bin/bash
# On the host: makes one machine and waits until its init says "ready". Prints the init's pid on this host.
#
#   this script ── in the machine's cgroups from its first line, so that ending them ends it too
#     ├─ unshare ── enter.sh (pid 1 of the machine: mounts, pivots) ── init.sh
#     │                │ "pid N"                                        │ "ready", or its end
#     └── reads ◀──────┴──────────────────── the report pipe ◀──────────┘
#
# Variables, all from namespace.ts: FOLDER NONCE GROUPS_OF_IT HERE NETNS BRIDGE INTERFACE MAC
# ADDRESS_WITH_BITS GATEWAY, and those of enter.sh.
set -eu

for group in $GROUPS_OF_IT; do echo $$ >"$group/cgroup.procs"; done
# An earlier attempt that was only now given the processor must not make a second machine.
[ "$(<"$FOLDER/nonce")" = "$NONCE" ] || { echo 'a later attempt took over' >&2; exit 1; }

in_site() { if [ -n "$NETNS" ]; then nsenter "--net=$NETNS" "$@"; else "$@"; fi; }

mkfifo -m 600 "$FOLDER/report" "$FOLDER/run/wake"
setsid -f bash -c '
  exec 9>"$FOLDER/report"
  exec unshare --mount --uts --ipc --pid --net --fork --kill-child --propagation private bash "$HERE/enter.sh"
' </dev/null >>"$FOLDER/console.log" 2>&1
exec 7<"$FOLDER/report"
# Open for both, so that a word written now waits for an init that has yet to open its end.
exec 8<>"$FOLDER/run/wake"

read -r word pid <&7 && [ "$word" = pid ] || { echo 'the machine ended before its first step' >&2; exit 1; }

in_site ip -batch - <<END
link add $INTERFACE type veth peer name eth0 address $MAC netns $pid
link set $INTERFACE alias $MARK
link set $INTERFACE master $BRIDGE up
END
{
  echo 'link set lo up'
  echo "addr add $ADDRESS_WITH_BITS dev eth0"
  echo 'link set eth0 up'
  if [ -n "$GATEWAY" ]; then echo "route add default via $GATEWAY"; fi
} | nsenter "--net=/proc/$pid/ns/net" ip -batch -
echo network >&8

read -r word rest <&7 && [ "$word" = ready ] || { echo "the machine ended while it started: ${rest:-see its console}" >&2; exit 1; }
echo "$pid"
