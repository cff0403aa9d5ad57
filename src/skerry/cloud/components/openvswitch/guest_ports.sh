#!/bin/sh
# Keeps the host's own network out of guests' interfaces, and these up. See guest_ports.py for the reason.
#   guestports.sh           until it is ended
#   guestports.sh --check   exit 0 when it has seen to all that there are now
GROUP=29547 # of links (ip-link(8)): one that nobody else uses
TABLE=skerry_guests

# Takes a line of 'ip -o link', sets $name, and succeeds when that is a port of neutron ('tap', then the first
# 11 characters of the port's id) that is not as it should be.
lacking() {
  name=${2%%[:@]*}
  case $name in tap????????-??) ;; *) return 1 ;; esac
  case "$*" in *[\<,]UP[,\>]*" group $GROUP "*) return 1 ;; esac
}

if [ "$1" = --check ]; then
  nft list table inet $TABLE >/dev/null || exit 1
  ip -o link | {
    while read -r line; do lacking $line && echo "$name is open to the host" && exit 1; done
    echo kept
  }
  exit
fi

nft -f - <<END || exit 1
table inet $TABLE
delete table inet $TABLE
table inet $TABLE {
  chain in { type filter hook prerouting priority raw; iifgroup $GROUP drop; }
  chain out { type filter hook output priority raw; oifgroup $GROUP drop; }
}
table arp $TABLE
delete table arp $TABLE
table arp $TABLE {
  chain in { type filter hook input priority filter; iifgroup $GROUP drop; }
  chain out { type filter hook output priority filter; oifgroup $GROUP drop; }
}
END

{ ip -o monitor link & sleep 0.2; ip -o link; wait; } | while read -r line; do
  if lacking $line; then
    echo 1 >"/proc/sys/net/ipv6/conf/$name/disable_ipv6"
    ip link set "$name" group $GROUP up
  fi
done 2>&1
