#!/bin/sh
# Learns from the config drive or the metadata service which server this is, and makes it that one.
. /lib/skerry/common.sh
data=$run/data
url=http://169.254.169.254
mkdir -p "$data"

drivers() {
  while read -r module; do insmod "/run/modules/$module.ko"; done </run/modules/late
  touch "$run/drivers"
  acpid -c /lib/skerry/acpi >/dev/null 2>&1
}

grow() {
  disk=$(awk '$2 == "/" && $1 ~ "^/dev/" { print $1 }' /proc/mounts)
  resize2fs "$disk" >"$run/grow.log" 2>&1 || say "the root file system did not grow: $(tail -n 1 "$run/grow.log")"
}

from_drive() {
  drive=$(blkid -l -o device -t LABEL=config-2) || drive=$(blkid -l -o device -t LABEL=CONFIG-2) || return 1
  mkdir -p "$run/drive" && mount -o ro "$drive" "$run/drive" || return 1
  cp "$run/drive/openstack/latest/meta_data.json" "$data/" && cp "$run/drive/openstack/latest/user_data" "$data/" 2>/dev/null
  umount "$run/drive"
  valid
}

get() { timeout "$patience" wget -q -O "$data/$2.part" "$url/$1" 2>"$run/wget.log" && mv "$data/$2.part" "$data/$2"; }

# For a page that need not be there: fails when a slow or a busy service leaves it open whether it is.
optional() { get "$1" "$2" || grep -q ' 404' "$run/wget.log"; }

from_network() {
  if get openstack/latest/meta_data.json meta_data.json && valid; then
    script=openstack/latest/user_data
    return 0
  fi
  # No such page: a service that knows only Amazon's form.
  grep -q ' 404' "$run/wget.log" && get latest/meta-data/instance-id id || return 1
  optional latest/meta-data/hostname name && optional latest/meta-data/public-keys/0/openssh-key key || return 1
  script=latest/user-data
  jq -n --arg id "$(cat "$data/id")" --arg name "$(cat "$data/name" 2>/dev/null)" --arg key "$(cat "$data/key" 2>/dev/null)" \
    '{uuid: $id, hostname: $name, public_keys: {key: $key}}' >"$data/meta_data.json"
  valid
}

valid() { id=$(jq -er .uuid "$data/meta_data.json" 2>/dev/null); }
field() { jq -r "$1" "$data/meta_data.json"; }

apply() {
  keys=/home/skerry/.ssh/authorized_keys
  field '.public_keys // {} | .[]' | while read -r key; do
    grep -qxF "$key" "$keys" || echo "$key" >>"$keys"
  done
  [ "$(cat "$state/instance-id" 2>/dev/null)" = "$id" ] && return

  set_hostname "$(field '.hostname // ""')"
  password=$(field '.admin_pass // ""')
  if [ "$password" ]; then
    hash=$(echo "$password" | mkpasswd -m sha512 -P 0)
    sed -i "s|^root:[^:]*:|root:$hash:|" /etc/shadow
  fi
  # Without a UUID of the machine only the metadata shows that this disk was copied from another server.
  if ! valid_uuid "$(machine_uuid)"; then
    owner=$(cat "$state/hostkey-owner")
    if [ "$owner" ] && [ "$owner" != "$id" ]; then
      new_hostkey "$id"
      kill "$(cat /run/dropbear.pid)"
      start_ssh
    fi
    echo "$id" >"$state/hostkey-owner"
  fi
  # Only now: a server whose user data comes late can be reached meanwhile.
  until [ -z "$script" ] || optional "$script" user_data; do
    tries=$((tries + 1))
    [ "$tries" = 30 ] && say "no user data so far: $url/$script: $(tail -n 1 "$run/wget.log")"
    sleep 1
  done
  # Before the user data: it runs once, also when it restarts the machine.
  echo "$id" >"$state/instance-id"
  sync
  say "this is server $id, $(hostname), from the $1"
  [ "$(head -c 2 "$data/user_data" 2>/dev/null)" = "#!" ] || return 0
  cp "$data/user_data" "$state/user-data" && chmod 700 "$state/user-data"
  "$state/user-data" >/dev/console 2>&1
  say "user data ended with status $?"
}

{ drivers; grow; } &
script= # where the metadata service has the user data
tries=0
until [ -e "$run/drivers" ] && from_drive && source="config drive"; do
  # A first answer takes a cold Nova some seconds, and whoever gives up and asks again gives it more to do.
  patience=$((5 + tries))
  [ "$patience" -gt 30 ] && patience=30
  if [ -e "$run/lease" ] && from_network; then source="metadata service" && break; fi
  tries=$((tries + 1))
  # It may come yet: a server without its key would be lost.
  [ "$tries" = 30 ] &&
    say "no config drive and no answer from $url: $(tail -n 1 "$run/wget.log" 2>/dev/null); no key, no user data so far"
  [ "$tries" -lt 20 ] && sleep 0.5 || sleep 3
done
tries=0 patience=30
apply "$source"
