#!/bin/sh
# /init of the initramfs: loads the drivers, finds the root disk, hands over to it.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

load() { while read -r module; do insmod "/modules/$module.ko"; done <"/modules/$1"; }

root=
read -r line </proc/cmdline
for word in $line; do case $word in root=/dev/*) root=${word#root=} ;; esac; done

# With root= that disk and no other: a rescued server has a second disk with the same label.
find_root() {
  for disk in ${root:-/dev/vd[a-z] /dev/sd[a-z]}; do
    [ -b "$disk" ] || continue
    label=$(dd if="$disk" bs=1 skip=1144 count=9 2>/dev/null)
    [ "$root" ] || [ "$label" = tiny-root ] || continue
    mount -t ext4 -o rw,noatime "$disk" /root && return 0
  done
  return 1
}

load early
tries=0
until find_root; do
  # A disk on another bus than virtio-blk: the other drivers are loaded after the first miss.
  [ "$tries" = 0 ] && { load late; : >/modules/late; }
  tries=$((tries + 1))
  if [ "$tries" = 100 ]; then
    echo "skerry-tiny: no root disk: looked for ${root:-a disk with the label tiny-root} for 20 s; block devices: $(ls /sys/class/block | tr '\n' ' ')"
    exec sh
  fi
  sleep 0.2
done

# The modules of this very kernel stay at hand, whatever kernel the disk was made with.
mount -t tmpfs -o mode=755 run /root/run
cp -r /modules /root/run/modules
for place in dev proc sys; do mount -o move "/$place" "/root/$place"; done
exec switch_root /root /sbin/init
