#!/bin/sh
# Answers the host on the second serial port, one line for each request: VERB ID WORDS...
# A serial port has no notion of a peer that hangs up, so a snapshot of this loop can be resumed anywhere.
exec 3<>/dev/ttyS1
answer() { printf '%s\n' "$*" >&3; }
answer ready

run() { # ID BASE64: run a shell script, answer with its status and the end of what it printed
  printf %s "$2" | base64 -d >/run/script
  (cd / && exec sh /run/script) >/run/output 2>&1 </dev/null 3>&-
  status=$?
  answer "done $1 $status $(tail -c 3000 /run/output | base64 -w 0)"
}

renew() { # ID SECONDS SEED NAME MACHINE: clock, randomness, name and machine id of this copy
  date -u -s "@$2" >/dev/null
  printf %s "$3" | base64 -d >/dev/urandom
  hostname "$4"
  printf '%s\n' "$5" >/etc/machine-id
  answer "done $1 0"
  for key in /etc/ssh/ssh_host_*_key; do
    [ -e "$key" ] || break
    rm -f /etc/ssh/ssh_host_* && ssh-keygen -q -A && killall -q -HUP sshd
    break
  done 3>&- &
}

network() { # ID MAC ADDRESS/PREFIX GATEWAY: give the card with this MAC its address, when it is there
  tries=0
  while [ $tries -lt 500 ]; do
    for card in /sys/class/net/*; do
      read -r mac <"$card/address" || continue
      [ "$mac" = "$2" ] || continue
      card=${card##*/}
      ip link set "$card" up && ip address add "$3" dev "$card" && ip route replace default via "$4" dev "$card"
      answer "done $1 $?"
      return
    done
    tries=$((tries + 1))
    sleep 0.02
  done
  answer "done $1 1"
}

while read -r verb id words <&3; do
  case $verb in
    hello) answer "done $id 0" ;;
    run) run "$id" "$words" ;;
    renew) renew "$id" $words ;;
    network) network "$id" $words ;;
    *) answer "done $id 127" ;;
  esac
done
