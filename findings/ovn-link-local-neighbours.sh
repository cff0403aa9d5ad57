#!/bin/sh
# OVN 23.03.1 (Debian 12): with port security, nobody learns where a server's IPv6 link-local address is.
#
# Expected: a port whose port security has a hardware address may answer for the link-local address that goes with it; neighbour
#   advertisements come with hop limit 255 (RFC 4861, 7.1.2), and so ovn-controller's flows let those pass.
# Seen: the flow for the link-local address wants hop limit 225. Every true advertisement for it is dropped, while those for the
#   port's other addresses, whose flows want no hop limit, pass. A guest asks for its metadata over IPv6 and never gets the answer.
#
# Needs Debian 12 (amd64) and its packages' mirror; no root. Ends with 0 when it is still so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'for file in "$work"/*.pid; do kill "$(cat "$file")" 2>/dev/null || true; done; sleep 1; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq download ovn-common=23.03.1-1~deb12u2 ovn-host=23.03.1-1~deb12u2 ovn-central=23.03.1-1~deb12u2 \
  openvswitch-switch=3.1.0-2+deb12u1 openvswitch-common=3.1.0-2+deb12u1 libbpf1 libevent-2.1-7 libnuma1 libunbound8 libxdp1
for package in *.deb; do dpkg-deb -x "$package" tree; done
export PATH="$work/tree/usr/lib/openvswitch-switch:$work/tree/usr/bin:$work/tree/usr/sbin:$PATH"
export LD_LIBRARY_PATH="$work/tree/usr/lib/x86_64-linux-gnu"
export OVS_RUNDIR="$work" OVN_RUNDIR="$work" OVS_LOGDIR="$work" OVN_LOGDIR="$work" OVS_DBDIR="$work" OVN_DBDIR="$work"
share="$work/tree/usr/share"
begin() { name=$1; shift; "$@" --pidfile="$work/$name.pid" --detach --no-chdir -vconsole:off; }
ovsdb-tool create conf.db "$share/openvswitch/vswitch.ovsschema"
ovsdb-tool create nb.db "$share/ovn/ovn-nb.ovsschema"
ovsdb-tool create sb.db "$share/ovn/ovn-sb.ovsschema"
begin conf ovsdb-server conf.db --remote="punix:$work/db.sock"
begin nb ovsdb-server nb.db --remote="punix:$work/nb.sock"
begin sb ovsdb-server sb.db --remote="punix:$work/sb.sock"
vsctl() { ovs-vsctl --db="unix:$work/db.sock" "$@"; }
nbctl() { ovn-nbctl --db="unix:$work/nb.sock" "$@"; }
vsctl --no-wait init
vsctl --no-wait set Open_vSwitch . external_ids:system-id=here external_ids:ovn-remote="unix:$work/sb.sock" \
  external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip=127.0.0.1 external_ids:ovn-bridge-datapath-type=dummy
begin switch ovs-vswitchd --enable-dummy=override "unix:$work/db.sock"
begin northd ovn-northd --ovnnb-db="unix:$work/nb.sock" --ovnsb-db="unix:$work/sb.sock"
begin controller ovn-controller "unix:$work/db.sock"
nbctl ls-add net
nbctl lsp-add net port
nbctl lsp-set-addresses port '52:54:00:00:00:01 2001:db8::1'
nbctl lsp-set-port-security port '52:54:00:00:00:01 2001:db8::1'
tries=0
until vsctl --timeout=10 br-exists br-int; do tries=$((tries + 1)); [ $tries -lt 60 ]; sleep 1; done
vsctl --timeout=10 add-port br-int port -- set Interface port type=dummy external_ids:iface-id=port
tries=0
until flows=$(ovs-ofctl dump-flows "unix:$work/br-int.mgmt" table=74 | grep icmp_type=136); do
  tries=$((tries + 1)); [ $tries -lt 60 ]; sleep 1
done
ovn-controller --version | head -n 1
echo "$flows" | grep 'nd_tll=52:54:00:00:00:01' | sed 's/.*priority=/priority=/; s/ actions=.*//'
case $(echo "$flows" | grep 'nd_target=fe80::5054:ff:fe00:1,nd_tll=52:54') in
  *nw_ttl=225*) echo "still so" ;;
  *) echo changed; exit 1 ;;
esac
