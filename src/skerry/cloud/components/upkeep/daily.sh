#!/bin/sh
# Sleeps until the upkeep of the cloud is due, and runs it then: while it waits, a shell costs next to nothing.
# usage: daily.sh DUE|never LOGS COMMAND...
# DUE is a file with two numbers, when the upkeep last began and when it is due (seconds since the epoch): the command
# writes it. LOGS is a folder where no log may grow for a whole day.
due=$1 logs=$2
shift 2
umask 027
day=86400 large=61440  # in blocks of 512 bytes: 30 MiB
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 0' TERM INT
wait_for() { "$@" & child=$!; wait "$child"; child=; }

now=$(date +%s)
# A new cloud has nothing to keep up yet.
[ "$due" = never ] || [ -s "$due" ] || printf '%s %s\n' "$now" "$((now + day))" >"$due"
pause=${SKERRY_UPKEEP_PAUSE:-600}
while :; do
  wait_for sleep "$pause"
  last=0 next=0
  now=$(date +%s)
  [ "$due" = never ] && next=$((now + day)) || read -r last next <"$due" || :
  if [ "$now" -ge "${next:-0}" ] || [ "$now" -lt "${last:-0}" ]; then  # the clock may have been set back
    wait_for nice -n 10 "$@" upkeep --daily
  elif [ -n "$(find "$logs" -maxdepth 1 -type f \( -name '*.log' -o -name '*.out' \) -size +"$large" 2>/dev/null | head -n 1)" ]; then
    wait_for nice -n 10 "$@" upkeep logs
  fi
done
