"""What strangers, other users of the machine and slow clients cannot do to the cloud."""

from __future__ import annotations

import json
import re
import secrets
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import keystoneauth1.exceptions
import openstack
import pytest

if TYPE_CHECKING:
    from tests.support.cloud import Cloud

WRONG = 12  # logins with a wrong password; more than what keystone takes


def login(cloud: Cloud, name: str, password: str, project: str | None = None) -> bool:
    """Whether keystone lets an account in."""
    auth = {"auth_url": "http://127.0.0.1:5000/v3", "username": name, "password": password}
    auth |= {"user_domain_id": "default"}
    if project:
        auth |= {"project_name": project, "project_domain_id": "default"}
    try:
        openstack.connection.Connection(auth=auth).authorize()
    except (openstack.exceptions.SDKException, keystoneauth1.exceptions.Unauthorized):
        return False
    return True


@pytest.fixture
def somebody(cloud: Cloud) -> Iterator[tuple[Any, str]]:
    """An account of a user, and its password."""
    password = secrets.token_urlsafe()
    user = cloud.api.identity.create_user(name="somebody", password=password, domain_id="default")
    yield user, password
    cloud.api.identity.delete_user(user)


def test_who_guesses_passwords_is_locked_out(cloud: Cloud, somebody: tuple[Any, str]) -> None:
    user, password = somebody
    assert login(cloud, user.name, password)
    for _ in range(WRONG):
        assert not login(cloud, user.name, "guessed")
    assert not login(cloud, user.name, password), "the account is locked for a while"


def test_nobody_locks_the_clouds_own_accounts(cloud: Cloud) -> None:
    known = json.loads((cloud.etc / "secrets.json").read_text())
    for name, secret in (("nova", known["service-nova"]), ("admin", known["admin"])):
        for _ in range(WRONG):
            assert not login(cloud, name, "guessed")
        assert login(cloud, name, secret, "service" if name == "nova" else "admin")


def test_the_services_account_of_the_broker_administers_nothing(cloud: Cloud) -> None:
    script = """
import sys
from skerry.cloud.context import Context
from skerry.cloud.components.rabbitmq import RabbitMQ
ctx = Context.at(sys.argv[1])
words = [ctx.platform.program("rabbitmqctl"), "-q", "list_users", "--formatter", "json"]
print(ctx.platform.run(words, env=RabbitMQ(ctx).environment()).stdout)
"""
    told = cloud.host.run([sys.executable, "-c", script, str(cloud.root)], timeout=60).stdout
    assert json.loads(told) == [{"user": "openstack", "tags": []}]


@pytest.mark.parametrize(("port", "path"), [(8080, "/auth/login/"), (5000, "/v3/auth/tokens")])
def test_slow_clients_hold_no_api(cloud: Cloud, port: int, path: str) -> None:
    """Fifty clients begin to send a form and stop; the next one is answered."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    with ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            client.sendall(head.encode())
        page = "/auth/login/" if port == 8080 else "/v3"
        address = f"http://127.0.0.1:{port}{page}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200


def test_no_console_token_is_in_a_log_and_none_of_them_is_for_others(cloud: Cloud) -> None:
    server = cloud.server("first")
    console = cloud.api.compute.create_server_remote_console(server, protocol="vnc", type="novnc")
    token = re.search(r"token(?:=|%3D)([0-9a-f-]{36})", console.url)
    assert token, console.url
    request = (
        f"GET /?token={token[1]} HTTP/1.1\r\nHost: 127.0.0.1:6080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: binary\r\nOrigin: http://127.0.0.1:6080\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", 6080), timeout=30) as viewer:
        viewer.sendall(request.encode())
        assert b"101" in viewer.recv(4096)
    folder = cloud.root / "var/log/skerry"
    assert folder.stat().st_mode & 0o027 == 0
    logs = [path for path in folder.rglob("*") if path.is_file()]
    assert len(logs) > 20
    assert [path.name for path in logs if token[1] in path.read_text(errors="replace")] == []
    assert [path.name for path in logs if path.stat().st_mode & 0o027] == []
