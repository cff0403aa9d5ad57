# Sourced by the other scripts of the guest.
PATH=/usr/bin
state=/var/lib/skerry
run=/run/skerry
hostkey=/etc/dropbear/hostkey

say() { echo "skerry-tiny: $*" >/dev/console; }

machine_uuid() { cat /sys/class/dmi/id/product_uuid 2>/dev/null; }

valid_uuid() {
  case $1 in
    "" | 00000000-0000-0000-0000-000000000000 | ffffffff-*) return 1 ;;
    ????????-????-????-????-????????????) return 0 ;;
  esac
  return 1
}

# Host keys belong to one server ($1), or to none yet when its UUID is not known.
new_hostkey() {
  rm -f "$hostkey"
  dropbearkey -t ed25519 -f "$hostkey" >/dev/null 2>&1
  valid_uuid "$1" && echo "$1" >"$state/hostkey-owner" || : >"$state/hostkey-owner"
}

# -s: no passwords. -w: not as root; skerry has sudo.
start_ssh() { dropbear -s -w -r "$hostkey" -P /run/dropbear.pid; }

set_hostname() {
  name=${1%%.*}
  [ "$name" ] || return 0
  hostname "$name"
  echo "$name" >/etc/hostname
  printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$name" >/etc/hosts
}

# SSH can be reached when it listens and there is an address; whichever comes second reports it.
say_ready() {
  [ -e "$run/ssh" ] && [ -e "$run/lease" ] && mkdir "$run/ready" 2>/dev/null || return 0
  read -r up _ </proc/uptime
  say "ready, SSH on 22 after $up s"
}
