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

# Pairs of target and gateway (option 121). With them option 3 does not count (RFC 3442).
set -- $staticroutes
[ $# -gt 0 ] || set -- ${router:+0.0.0.0/0 ${router%% *}} # the first is the preferred one
kept=" "
while [ $# -ge 2 ]; do
  target=$1
  case $1 in 0.0.0.0 | 0.0.0.0/0) target=default ;; esac
  if [ "$2" = 0.0.0.0 ]; then
    ip route replace "$target" dev "$nic" metric "$metric"
  else
    ip route replace "$target" via "$2" dev "$nic" metric "$metric"
  fi
  kept="$kept${target%/32} "
  shift 2
done
# Only now what no lease names any more: what still holds is never missing, not even while a lease is renewed.
ip -4 route show dev "$nic" | grep " metric $metric" | while read -r target _; do
  case $kept in *" $target "*) ;; *) ip route del "$target" dev "$nic" metric "$metric" ;; esac
done

{
  [ "${search:-$domain}" ] && echo "search ${search:-$domain}"
  for server in $dns; do echo "nameserver $server"; done
} >"$run/dns/$nic"
cat "$run"/dns/* >/run/resolv.conf

[ -s "$state/instance-id" ] || set_hostname "$hostname"
: >"$run/lease"
say_ready
