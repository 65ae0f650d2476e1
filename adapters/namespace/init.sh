#!/bin/bash
# Pid 1 of a machine: starts it, reaps its orphans, and is its dead-man.
#
#   boot commands ──▶ sshd ──▶ "ready" ──▶ once a second, and whenever poked:
#        take the order (a new end) ─▶ past the end and nothing runs, or past the grace ─▶ power off
#
# It asks nobody: if Sublet is down, work goes on, and the machine still ends. Nothing inside can end it
# by accident, for the kernel keeps signals from inside away from pid 1. Time is the host's uptime, which
# no step of the wall clock moves. Bash reaps what it inherits while it waits in read.
cd /run/sublet || exit 1
exec 8<>wake
mapfile -t busy_names <<<"$SUBLET_BUSY"
declare -A is_busy
for name in "${busy_names[@]}"; do [ -z "$name" ] || is_busy[${name:0:15}]=1; done

say() { echo "sublet: $*"; }

power_off() {
  say "power off: $1"
  trap '' TERM
  kill -TERM -1
  # Half a second for those who tidy up; the kernel ends the others when pid 1 goes.
  local i
  for i in 1 2 3 4 5; do read -r -t 0.1 -u 8 _; done
  exit 0
}
trap 'power_off "it was told to"' TERM INT

now_ms() { local up; read -r up _ </proc/uptime; NOW=$((10#${up/./} * 10)); }

# The order is one line, "TOKEN END GRACE", the end in milliseconds of this host's uptime. It is put there
# whole (renamed) by the host; the answer is the same line, on disk before it is seen.
token='' end=0 grace=0
take_order() {
  local new new_end new_grace
  { read -r new new_end new_grace <order; } 2>/dev/null || return 0
  [ "$new" != "$token" ] && [[ $new_end =~ ^[0-9]+$ && $new_grace =~ ^[0-9]+$ ]] || return 0
  echo "$new $new_end $new_grace" >answer.new && sync answer.new && mv answer.new answer || return 0
  token=$new end=$new_end grace=$new_grace
}

# Sets WORK to the name of something that counts as work, a zombie excepted.
work_runs() {
  local file comm stat
  for file in /proc/[0-9]*/comm; do
    { read -r comm <"$file"; } 2>/dev/null || continue
    [ -n "$comm" ] && [ -n "${is_busy[$comm]:-}" ] || continue
    { read -r stat <"${file%comm}stat"; } 2>/dev/null || continue
    [[ ${stat##*) } == Z* ]] && continue
    WORK=$comm
    return 0
  done
  return 1
}

# Started as a daemon, not with "&": a shell lets what it puts behind itself ignore INT and QUIT, and
# every job of every login would inherit that. Its pid file says that it listens.
pid_file=/run/sublet-sshd.pid
keep_sshd() {
  local pid='' comm='' i
  { read -r pid <"$pid_file" && read -r comm <"/proc/$pid/comm"; } 2>/dev/null
  [ "$comm" = sshd ] && return 0
  : >"$pid_file"
  /usr/sbin/sshd -f /etc/ssh/sshd_config -E /run/sublet-sshd.log 8>&- 9>&- </dev/null || return 1
  for ((i = 0; i < 500; i++)); do
    [ -s "$pid_file" ] && return 0
    read -r -t 0.01 -u 8 word
  done
  return 1
}

read -r -t 60 -u 8 word || { say 'no network came'; exit 1; }
bash -e boot-commands.sh 8>&- 9>&- </dev/null || { echo 'failed a boot command failed' >&9; exit 1; }
take_order
[ -n "$token" ] || { echo 'failed no order for the dead-man' >&9; exit 1; }
keep_sshd || { echo "failed sshd did not start: $(tail -n 1 /run/sublet-sshd.log)" >&9; exit 1; }
echo ready >&9
exec 9>&-

while :; do
  keep_sshd
  take_order
  now_ms
  left=$((end - NOW))
  if [ "$left" -le 0 ]; then
    if [ $((NOW - end)) -ge "$grace" ]; then power_off 'the grace after its lease is over'; fi
    if work_runs; then
      [ "${told:-}" = "$token" ] || say "the lease is over; waiting for $WORK"
      told=$token
    else
      power_off 'its lease is over'
    fi
  fi
  wait_ms=$((left > 0 && left < 1000 ? left : 1000))
  printf -v seconds '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000))
  read -r -t "$seconds" -u 8 word
done
