#!/bin/sh
# Lets ovn-controller compute its flows anew when a server has arrived by live migration. See arrivals.py for the reason.
#   arrivals.sh DATABASE    until it is ended, or the database is gone
ovsdb-client --format=csv monitor "$1" OVN_Southbound Port_Binding additional_chassis | while read -r line; do
  case $line in
  *,new,*)
    for pause in 0 1; do # the agent may learn of it a little later than this
      sleep $pause
      ovn-appctl -t ovn-controller inc-engine/recompute
    done
    ;;
  esac
done
