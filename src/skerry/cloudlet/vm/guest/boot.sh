#!/bin/sh
# First program of a cloudlet guest: what must be there before the agent answers.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -o remount,rw,discard /
for module in virtio_blk virtio_net virtio_rng vmgenid; do modprobe -q "$module"; done
ip link set lo up
hostname cloudlet
stty -F /dev/ttyS1 raw -echo
# What an image starts by itself when it boots.
[ ! -x /etc/skerry/start ] || /etc/skerry/start >/dev/null 2>&1 &
