#!/bin/sh
# barbican 23.0.0 (release 2026.2): its WSGI module reads its paste file from one compiled-in path.
#
# Expected: 'barbican.wsgi.api', as the WSGI modules of keystone, glance, nova, neutron and placement of the same release, can
#   be given its files by the environment (OS_BARBICAN_CONFIG_DIR or the like), or has an option like nova's 'api_paste_config'.
#   The wheel installs the paste file below the environment (etc/barbican), as those of the others do.
# Seen: whatever the home folder, the environment and the current folder have, only /etc/barbican/barbican-api-paste.ini is
#   looked at. A virtual environment without that file in /etc cannot serve the API; a mount namespace of the service's own helps.
#
# Needs python3 with venv and a package index. Ends with 0 when it is still so, 1 when it has changed.
set -eu
[ ! -e /etc/barbican ] || { echo "this machine has an /etc/barbican: run it elsewhere" >&2; exit 2; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qqq --disable-pip-version-check 'barbican==23.0.0' 'setuptools<81'
paste=$work/env/etc/barbican/barbican-api-paste.ini
[ -f "$paste" ] || { echo "changed: the wheel has no paste file in etc/barbican"; exit 1; }
mkdir -p "$work/home/.barbican"
cp "$paste" "$work/home/.barbican/"
printf '[DEFAULT]\ndb_auto_create = true\n[database]\nconnection = sqlite:///%s/barbican.sqlite\n' "$work" >"$work/home/.barbican/barbican.conf"
cd "$(dirname "$paste")"
said=$(env -i HOME="$work/home" PATH=/usr/bin:/bin OS_BARBICAN_CONFIG_DIR="$(dirname "$paste")" \
  "$work/env/bin/python" -W ignore -c 'import barbican.wsgi.api' 2>&1 | tail -n 1) || true
echo "$said"
case $said in
  *"No such file"*"/etc/barbican/barbican-api-paste.ini"* | *"/etc/barbican/barbican-api-paste.ini"*"not found"*) echo "still so" ;;
  *) echo "changed"; exit 1 ;;
esac
