#!/bin/sh
# Called by udhcpc with what happened and, in the environment, the lease.
. /lib/skerry/common.sh
# Busybox hands its variables over in lower case; shellcheck cannot know them.
nic=$interface
metric=$((100 + $(cat "/sys/class/net/$nic/ifindex")))

case $1 in
  deconfig)
    ip -4 addr flush dev "$nic"
    exit
    ;;
  bound | renew) ;;
  *) exit ;;
esac

[ "$mtu" ] && ip link set "$nic" mtu "$mtu"
if ! ip -4 addr show dev "$nic" | grep -q "inet $ip/$mask "; then
  ip -4 addr flush dev "$nic"
  ip addr add "$ip/$mask" broadcast "${broadcast:-+}" dev "$nic"
fi

ip -4 route show dev "$nic" | grep " metric $metric" | while read -r target _; do
  ip route del "$target" dev "$nic" metric "$metric"
done
if [ "$staticroutes" ]; then
  # Pairs of target and gateway (option 121). With them option 3 does not count (RFC 3442).
  set -- $staticroutes
  while [ $# -ge 2 ]; do
    if [ "$2" = 0.0.0.0 ]; then
      ip route add "$1" dev "$nic" metric "$metric"
    else
      ip route add "$1" via "$2" dev "$nic" metric "$metric"
    fi
    shift 2
  done
else
  for gateway in $router; do ip route add default via "$gateway" dev "$nic" metric "$metric"; done
fi

{
  [ "${search:-$domain}" ] && echo "search ${search:-$domain}"
  for server in $dns; do echo "nameserver $server"; done
} >"$run/dns/$nic"
cat "$run"/dns/* >/run/resolv.conf

[ -s "$state/instance-id" ] || set_hostname "$hostname"
: >"$run/lease"
say_ready
