#!/bin/sh
# Called for each event of the kernel: a network interface that comes gets DHCP, one that goes loses it.
. /lib/skerry/common.sh
[ "$SUBSYSTEM" = net ] || exit 0
pid=/run/skerry/dhcp-$INTERFACE.pid
case $ACTION:$INTERFACE in
  add:eth* | add:en*)
    # Interfaces that were there at boot are announced twice; mkdir lets one through.
    mkdir "$run/nic-$INTERFACE" 2>/dev/null || exit 0
    ip link set "$INTERFACE" up
    udhcpc -f -S -i "$INTERFACE" -p "$pid" -s /lib/skerry/dhcp.sh -t 4 -T 1 -A 1 \
      -O staticroutes -O mtu >/dev/null 2>&1 &
    ;;
  remove:*)
    [ -s "$pid" ] && kill "$(cat "$pid")"
    rm -rf "$run/nic-$INTERFACE" "$run/dns/$INTERFACE"
    ;;
esac
