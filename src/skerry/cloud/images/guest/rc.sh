#!/bin/sh
# Run once by init at boot. What SSH needs comes first; all that is slow goes to the background.
umask 022
exec </dev/null >/dev/console 2>&1
. /lib/skerry/common.sh

mkdir -p /dev/pts /dev/shm "$run/dns"
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
hostname -F /etc/hostname
ip link set lo up

for nic in /sys/class/net/*; do
  [ "$nic" = /sys/class/net/lo ] || ACTION=add SUBSYSTEM=net INTERFACE=${nic##*/} /lib/skerry/uevent.sh
done

# Nova gives each server its UUID as the machine's: a copy of a disk knows at once that it is another server.
if [ ! -s "$hostkey" ] || { valid_uuid "$(machine_uuid)" && [ "$(machine_uuid)" != "$(cat $state/hostkey-owner 2>/dev/null)" ]; }; then
  new_hostkey "$(machine_uuid)"
fi
start_ssh
touch "$run/ssh"
say_ready

/lib/skerry/instance.sh &
