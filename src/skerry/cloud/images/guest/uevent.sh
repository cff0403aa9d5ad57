#!/bin/sh
# Called for each event of the kernel: a network interface that comes gets DHCP, one that goes loses it; a disk with
# a label is named by it as udev would do (a user who may not read the disk finds it there: 'blkid -L config-2').
. /lib/skerry/common.sh
case $SUBSYSTEM:$ACTION in
  block:add | block:change)
    label=$(blkid -s LABEL -o value "/dev/$DEVNAME")
    case $label in
      "" | . | .. | */*) ;;
      *) mkdir -p /dev/disk/by-label && ln -sf "/dev/$DEVNAME" "/dev/disk/by-label/$label" ;;
    esac
    exit 0
    ;;
esac
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
