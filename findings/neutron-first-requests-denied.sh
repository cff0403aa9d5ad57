#!/bin/sh
# neutron 29.0.0 (release 2026.2): after a start, requests that come while the first one loads the policy are denied.
#
# Expected: an administrator may do the same in every thread of the API, also when the threads are asked at once right after the
#   start. nova and placement of the same release make their policy enforcer known when it is complete, nova under a lock.
# Seen: neutron.policy.init() makes its enforcer known before it has a rule. The thread that came first fills it, for a good part
#   of a second, and is answered rightly; all others meanwhile are told that the administrator may not (the API answers 403).
#   With a WSGI server that has threads this is what clients see for a moment after each restart. Where 'neutron.policy.init()'
#   is called as the application is loaded, before the first request, it does not happen.
#
# Needs python3 with venv and a package index. Ends with 0 when it is still so, 1 when it has changed.
set -eu
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qqq --disable-pip-version-check 'neutron==29.0.0' 'setuptools<81'
cat >"$work/ask.py" <<'END'
import sys
import threading
import time

from neutron import policy
from neutron.common import config  # noqa: F401  (registers the options)
from neutron_lib import context
from oslo_config import cfg

cfg.CONF([], project="neutron", default_config_files=[], default_config_dirs=[])
admin = context.get_admin_context()
if sys.argv[1] == "loaded":
    policy.init()
answers = []


def ask():
    target = {"project_id": "p", "tenant_id": "p"}
    answers.append(policy.check(admin, "create_network", target, pluralized="networks"))


threads = [threading.Thread(target=ask) for _ in range(6)]
for thread in threads:
    thread.start()
    time.sleep(0.01)
for thread in threads:
    thread.join()
print(f"{answers.count(True)} of {len(answers)} allowed")
END
for when in first loaded; do
  said=$("$work/env/bin/python" -W ignore "$work/ask.py" "$when" 2>/dev/null | tail -n 1)
  echo "$when: $said"
  case $when:$said in
    first:"6 of 6 allowed") echo "changed"; exit 1 ;;
    first:*" of 6 allowed" | loaded:"6 of 6 allowed") ;;
    *) echo "changed"; exit 1 ;;
  esac
done
echo "still so"
