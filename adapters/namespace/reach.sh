#!/bin/bash
# On the host, in the site's network: waits until the machine's sshd answers with the host key that was
# made for it, so that an address which somebody else has taken is found out. reach.sh ADDRESS PORT KEY
set -u
until { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null; do sleep 0.01; done
exec 3>&-
shown=$(ssh-keyscan -T 2 -t ed25519 -p "$2" "$1" 2>/dev/null | cut -d ' ' -f 2,3)
[ "$shown" = "$3" ] || { echo "at $1 answers ${shown:-nobody}, not $3" >&2; exit 1; }
