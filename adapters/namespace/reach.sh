#!/bin/bash
# On the host, in the site's network: waits until the machine's sshd greets with the word it was given at
# its start, so that an address which somebody else has taken is found out. The host key is for the guest
# to check; a key exchange here would cost more than all the rest of the boot. The caller sets the time
# limit. reach.sh ADDRESS PORT WORD
set -u
while :; do
  banner=
  if { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null; then
    read -r -t 5 banner <&3
    exec 3>&-
  fi
  banner=${banner%$'\r'}
  [ -z "$banner" ] || break
  sleep 0.01
done
[[ $banner == SSH-2.0-*" $3" ]] || { echo "at $1 answers “$banner”, not the machine $3" >&2; exit 1; }
