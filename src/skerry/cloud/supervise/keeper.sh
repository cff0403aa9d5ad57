#!/bin/sh
# The parent of supervisord: starts it again when it was killed. It then adopts the services, which have run on without it.
# usage: keeper.sh PIDFILE COMMAND...
# This process is a child subreaper (its starter sets that): services whose supervisord has gone become its children,
# and 'wait' reaps them.
printf '%s\n' "$$" >"$1"
shift
ended= pause=1
trap 'ended=1; kill -TERM "$child" 2>/dev/null' TERM INT
# Run a command to its end; 'wait' alone ends with each signal, too.
attend() {
  "$@" &
  child=$!
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
}
while :; do
  began=$(date +%s)
  attend "$@"
  # It ends with 0 when it was asked to, and has ended the services then.
  [ "$code" != 0 ] && [ -z "$ended" ] || exit 0
  [ $(($(date +%s) - began)) -lt 60 ] || pause=1
  printf '%s supervisord ended (%s); it is started again\n' "$(date '+%F %T')" "$code"
  attend sleep "$pause"
  [ -z "$ended" ] || exit 0
  [ "$pause" -ge 60 ] || pause=$((pause * 2))
  export SKERRY_AGAIN=1
done
