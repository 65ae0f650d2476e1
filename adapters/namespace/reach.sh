#!/bin/bash
# On the host, in the site's network: waits until the machine's sshd greets with the word it was given at
# its start, so that an address which somebody else has taken is found out. The host key is for the guest
# to check; a key exchange here would cost more than all the rest of the boot. reach.sh ADDRESS PORT WORD
set -u
until { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null; do sleep 0.01; done
read -r -t 5 banner <&3
banner=${banner%$'\r'}
[[ $banner == SSH-2.0-*" $3" ]] || { echo "at $1 answers “${banner:-nobody}”, not the machine $3" >&2; exit 1; }
