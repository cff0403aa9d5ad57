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

renew() { # ID SECONDS SEED NAME MACHINE: clock, randomness, name and machine id of this copy; SEED is hexadecimal
  # One process for two things, because starting one is what takes time: clock_settime, and a seed for /dev/urandom.
  # A seed alone counts from the next reseeding on, minutes later: until then copies would draw the same numbers.
  # So the kernel is made to reseed (RNDRESEEDCRNG). Where it knows vmgenid it has done so by itself.
  perl -e 'my ($time, $seed) = @ARGV; my $whole = int $time;
    syscall(227, 0, pack("qq", $whole, int(($time - $whole) * 1e9)));
    open(R, ">", "/dev/urandom"); syswrite(R, pack("H*", $seed)); ioctl(R, 0x5207, 0)' "$2" "$3"
  echo "$4" >/proc/sys/kernel/hostname
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
      # With an address when it comes up, it announces it to the network by ARP: who asks first for it would wait long, while
      # the guest waits for its pages.
      echo 1 >"/proc/sys/net/ipv4/conf/$card/arp_notify"
      printf '%s\n' "address add $3 dev $card" "link set $card up" "route replace default via $4 dev $card" | ip -batch -
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
