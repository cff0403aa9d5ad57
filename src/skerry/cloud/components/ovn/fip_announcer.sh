#!/bin/sh
# When a server has arrived here by live migration: see arrivals.py for the reasons.
#   arrivals.sh SOUTHBOUND SWITCH CHASSIS BRIDGE    until it is ended, or the southbound database is gone
southbound=$1 switch=$2 chassis=$3 bridge=$4
sb() { ovn-sbctl --db="$southbound" --timeout=5 --bare "$@"; }

# Announces the floating addresses of a port on the external network: a gratuitous ARP request (RFC 5227) for each.
announce() {
  patch=$(ovs-vsctl --db="$switch" --timeout=5 list-ports "$bridge" | grep -m1 '^patch-') || return 0 # no way outside from here
  outside=$(ovs-vsctl --db="$switch" --timeout=5 get Interface "$patch" ofport)
  sb --columns=nat_addresses find Port_Binding type=patch | tr '"' ' ' | grep -o "[0-9a-f:]\{17\} [0-9.]* is_chassis_resident( *$1 *)" |
    while read -r mac address _; do
      mac=$(echo "$mac" | tr -d :)
      # shellcheck disable=SC2046,SC2086 # four numbers
      ip=$(printf '%02x%02x%02x%02x' $(echo $address | tr . ' '))
      ovs-ofctl packet-out "$bridge" \
        "in_port=$outside packet=ffffffffffff${mac}08060001080006040001${mac}${ip}000000000000${ip} actions=NORMAL"
    done
}

ovsdb-client --format=csv monitor "$southbound" OVN_Southbound Port_Binding additional_chassis | while IFS=, read -r row what second; do
  [ -z "$row" ] || port=$row # is in the line with the old values, not in that with the new ones
  [ "$what" = new ] || continue
  ovn-appctl -t ovn-controller inc-engine/recompute
  if [ "$second" = '[]' ] && [ "$(sb get Port_Binding "$port" chassis)" = "$(sb --columns=_uuid find Chassis name="$chassis")" ]; then
    announce "$(sb get Port_Binding "$port" logical_port | tr -d '"')"
  fi
  (sleep 1 && ovn-appctl -t ovn-controller inc-engine/recompute) & # the agent may learn of it a little later than this
done
