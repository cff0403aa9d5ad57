#!/bin/sh
# openstacksdk 4.22.0 with barbican 23.0.0: a secret that was listed is not deleted, and nobody is told.
#
# Expected: delete_secret(secret), with an object that secrets() has returned, deletes it, and so project_cleanup() does, which
#   calls that for each secret of a project.
# Seen: the object's id is the secret's whole address. The library puts it behind /v1/secrets/, barbican answers 404, and 404 is what
#   the library takes for "gone already". delete_secret returns None, project_cleanup ends, and the secret stays with its payload.
#   With secret.secret_id, the last part of the address, it is deleted.
#
# Needs Python 3.11 or newer, its venv module and the package index; no root. Ends with 0 when it is still so, 1 when it has changed.
set -eu
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q --disable-pip-version-check install openstacksdk==4.22.0 barbican==23.0.0
mkdir .barbican # the one place where all of it looks for its configuration: below its home
cat >.barbican/barbican.conf <<CONF
[DEFAULT]
db_auto_create = True
sql_connection = sqlite:///$work/barbican.db
[database]
connection = sqlite:///$work/barbican.db
[simple_crypto_plugin]
kek = $(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
CONF
cat >paste.ini <<CONF
[composite:main]
use = egg:Paste#urlmap
/: versions
/v1: api
[app:versions]
paste.app_factory = barbican.api.app:create_version_app
[pipeline:api]
pipeline = unauthenticated-context microversion apiapp
[app:apiapp]
paste.app_factory = barbican.api.app:create_main_app
[filter:unauthenticated-context]
paste.filter_factory = barbican.api.middleware.context:UnauthenticatedContextMiddleware.factory
[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
CONF
cat >serve.py <<CODE
from wsgiref.simple_server import make_server
from barbican.common import config
from paste import deploy
api = deploy.loadapp("config:$work/paste.ini", name="main")
def named(environ, start):
    environ["webob.adhoc_attrs"] = {"request_id": "req-1"}  # which the context without authentication wants
    return api(environ, start)
server = make_server("127.0.0.1", 0, named)
config.CONF.set_override("host_href", f"http://127.0.0.1:{server.server_port}")
open("port", "w").write(str(server.server_port))
server.serve_forever()
CODE
cat >use.py <<'CODE'
import sys
import openstack
place = f"http://127.0.0.1:{open('port').read()}"
cloud = openstack.connect(auth_type="none", auth={"endpoint": place}, key_manager_endpoint_override=place)
cloud.session.additional_headers |= {"X-Project-Id": "0123456789abcdef0123456789abcdef", "X-Roles": "member"}
api = cloud.key_manager
api.create_secret(name="one", payload="x", payload_content_type="text/plain")
(secret,) = api.secrets()
result = api.delete_secret(secret)
left = [one.name for one in api.secrets()]
print(f"delete_secret(secret) returned {result}; there are {left}; its id is {secret.id.replace(place, 'http://HOST')}")
api.delete_secret(secret.secret_id)
right = [one.name for one in api.secrets()]
print(f"delete_secret(secret.secret_id): there are {right}")
sys.exit(0 if result is None and left == ["one"] and right == [] else 9)
CODE
HOME="$work" env/bin/python serve.py >serve.log 2>&1 &
server=$!
tries=0
until [ -s port ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { cat serve.log; exit 2; }
  sleep 0.2
done
code=0
env/bin/python use.py || code=$?
case $code in
  0) echo "still so" ;;
  9) echo "changed"; exit 1 ;;
  *) tail -n 20 serve.log; exit 2 ;;
esac
