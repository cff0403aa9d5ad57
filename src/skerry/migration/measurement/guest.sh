#!/bin/sh
# Load in a guest, and what it sees of its own migration. Runs as root on the guest, with busybox alone.
#   guest.sh start RATE AREA CHECK   write RATE MiB/s into AREA MiB, and check CHECK MiB of patterns; 0: not at all
#   guest.sh read                    MiB written; rounds checked, and bad readings; the longest time between two ticks
#                                    since the last 'read', in 1/100 s of the guest's clock
#   guest.sh disk MIB RATE           write MIB to the disk once, then RATE MiB/s into it
#   guest.sh stop
D=/run/migration-load
uptime() {
  read -r up _ </proc/uptime
  now=${up%.*}${up#*.}
}
nap() { read -r -t "$1" _ <&3; } # costs no process, as sleep would
keep() { # RATE FILE AREA FLAGS: write RATE MiB/s over and over into FILE, which is AREA MiB long
  uptime
  begun=$now wrote=0 at=0 total=0
  while :; do
    uptime
    owed=$(($1 * (now - begun) / 100 - wrote))
    # What a standstill has left undone is not made up for: it would be a burst.
    if [ $owed -gt $(($1 + 8)) ]; then begun=$now wrote=0 owed=0; fi
    if [ $owed -lt 1 ]; then nap 0.02; continue; fi
    [ $owed -le 8 ] || owed=8
    [ $((at + owed)) -le "$3" ] || at=0
    dd if=$D/pages of="$2" bs=1M count=$owed seek=$at conv=notrunc$4 2>/dev/null
    at=$((at + owed)) wrote=$((wrote + owed)) total=$((total + owed))
    echo $total >"$D/wrote.${2##*/}"
  done
}
tick() {
  uptime
  last=$now longest=0
  while :; do
    nap 0.02
    uptime
    gap=$((now - last)) last=$now
    if [ -e $D/again ]; then rm -f $D/again; longest=0; fi
    if [ $gap -gt $longest ]; then longest=$gap; echo $longest >$D/longest; fi
  done
}
check() { # MIB: a pattern that no round had before, written once and read back four times
  round=0 bad=0
  while :; do
    round=$((round + 1))
    wanted=$(yes "round $round of the pattern" | head -c "$1"M | md5sum)
    yes "round $round of the pattern" | head -c "$1"M >$D/checked
    for again in 1 2 3 4; do
      [ "$(md5sum <$D/checked)" = "$wanted" ] || { bad=$((bad + 1)); echo "round $round, reading $again" >>$D/bad; }
    done
    echo "$round $bad" >$D/checks
  done
}
stop() {
  [ ! -e $D/groups ] || for group in $(cat $D/groups); do kill -9 -"$group" 2>/dev/null; done
  umount $D 2>/dev/null
  rm -f /var/tmp/migration-load
}
prepare() {
  stop
  mkdir -p $D
  mount -t tmpfs -o "size=$1m" load $D
  dd if=/dev/urandom of=$D/pages bs=1M count=8 2>/dev/null # zero pages would cost no bandwidth
  mkfifo $D/nap
  exec 3<>$D/nap
  echo 0 >$D/wrote.area; echo "0 0" >$D/checks; echo 0 >$D/longest
}
background() { setsid "$0" "$@" </dev/null >/dev/null 2>&1 3<>$D/nap & echo $! >>$D/groups; }
case $1 in
start)
  prepare $((12 + $3 + $4))
  background tick
  [ "$2" = 0 ] || { dd if=/dev/zero of=$D/area bs=1M count="$3" 2>/dev/null; background keep "$2" $D/area "$3" ""; }
  [ "$4" = 0 ] || background check "$4"
  ;;
disk)
  dd if=$D/pages of=/var/tmp/migration-load bs=1M count=8 2>/dev/null
  at=8
  while [ $at -lt "$2" ]; do dd if=$D/pages of=/var/tmp/migration-load bs=1M count=8 seek=$at conv=notrunc 2>/dev/null; at=$((at + 8)); done
  sync
  [ "$3" = 0 ] || background keep "$3" /var/tmp/migration-load "$2" ",fsync"
  ;;
read)
  set --
  while [ $# != 4 ]; do set -- $(cat $D/wrote.area $D/checks $D/longest); done # one may be about to be written
  echo "$@"
  : >$D/again; echo 0 >$D/longest
  ;;
keep | tick | check) "$@" ;;
stop) stop ;;
esac
