"""Run by the clients' environment: what a member does with Apache Libcloud. Prints 'ok WHAT' for each step, 'failed WHAT'.

Its one argument is a file with the login, as JSON.
"""

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from libcloud.compute.base import NodeState
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

NAME = "tour"
PATIENCE = 480


def connect(login: dict[str, str]) -> Any:
    """A driver of the API's second form, which talks to the network service itself."""
    return get_driver(Provider.OPENSTACK)(
        login["username"],
        login["password"],
        api_version="2.2",
        ex_force_auth_url=login["auth_url"].removesuffix("/v3"),
        ex_force_auth_version="3.x_password",
        ex_tenant_name=login["project_name"],
        ex_domain_name=login["user_domain_name"],
        ex_force_service_region=login["region"],
    )


class Tour:
    """One step after another; what was made goes at the end, the last first."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.undo: list[tuple[str, Callable[[], Any]]] = []

    def do(self, what: str, step: Callable[[], Any]) -> Any:
        """Take a step, and print how it went; raises what the step raised."""
        try:
            result = step()
        except Exception as error:
            print(f"failed {what}: {type(error).__name__}: {error}", flush=True)
            raise
        print(f"ok {what}", flush=True)
        return result

    def later(self, what: str, step: Callable[[], Any]) -> None:
        self.undo.append((what, step))

    def back(self) -> None:
        """Undo all, also what follows a step that failed."""
        for what, step in reversed(self.undo):
            with suppress(Exception):  # it has been said
                self.do(what, step)


def until(what: str, probe: Callable[[], Any]) -> Any:
    """The first true answer. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(2)
    raise TimeoutError(what)


def greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), 3) as link:
            link.settimeout(3)
            return link.recv(4) == b"SSH-"
    except OSError:
        return False


def walk(tour: Tour) -> None:
    """A network, a group and a server with a floating address; it stops, starts, reboots and goes."""
    driver, do, later = tour.driver, tour.do, tour.later
    image = do("finds the image", lambda: next(i for i in driver.list_images() if i.name == "tiny"))
    sizes = do("lists sizes", lambda: {size.name: size for size in driver.list_sizes()})
    public = do(
        "finds the public network", lambda: next(n for n in driver.ex_list_networks() if n.name == "public")
    )

    network = do("makes a network", lambda: driver.ex_create_network(NAME))
    later("removes the network", lambda: driver.ex_delete_network(network))
    subnet = do("makes a subnet", lambda: driver.ex_create_subnet(NAME, network, "10.96.0.0/24"))
    later("removes the subnet", lambda: driver.ex_delete_subnet(subnet))
    router = do(
        "makes a router",
        lambda: driver.ex_create_router(NAME, external_gateway_info={"network_id": public.id}),
    )
    later("removes the router", lambda: driver.ex_delete_router(router))
    do("connects the router", lambda: driver.ex_add_router_subnet(router, subnet))
    later("disconnects the router", lambda: driver.ex_del_router_subnet(router, subnet))
    group = do("makes a security group", lambda: driver.ex_create_security_group(NAME, "lets SSH in"))
    later("removes the security group", lambda: driver.ex_delete_security_group(group))
    do("lets SSH in", lambda: driver.ex_create_security_group_rule(group, "tcp", 22, 22, cidr="0.0.0.0/0"))
    do("makes a keypair", lambda: driver.create_key_pair(NAME))
    later("removes the keypair", lambda: driver.delete_key_pair(driver.get_key_pair(NAME)))

    node = do(
        "asks for a server",
        lambda: driver.create_node(
            name=NAME,
            image=image,
            size=sizes["m1.nano"],
            networks=[network],
            ex_keyname=NAME,
            ex_security_groups=[group],
            ex_metadata={"made": "by libcloud"},
        ),
    )

    def gone() -> None:
        node.destroy()
        until("the server is gone", lambda: all(other.id != node.id for other in driver.list_nodes()))

    def state() -> Any:
        return driver.ex_get_node_details(node.id).state

    def metadata() -> None:
        found = driver.ex_get_metadata(node)
        if found != {"made": "by libcloud"}:
            raise ValueError(f"it is {found}")

    later("removes the server", gone)
    do("waits for the server", lambda: driver.wait_until_running([node], 2, PATIENCE, "private_ips"))
    do("reads its metadata", metadata)
    floating = do("takes a floating address", lambda: driver.ex_create_floating_ip(public.name))
    later("gives the floating address back", lambda: driver.ex_delete_floating_ip(floating))
    do("gives it to the server", lambda: driver.ex_attach_floating_ip_to_node(node, floating))
    do("is greeted by SSH", lambda: until("a greeting", lambda: greets(floating.ip_address)))
    do("stops it", lambda: driver.ex_stop_node(node))
    do("sees it stopped", lambda: until("it stops", lambda: state() == NodeState.STOPPED))
    do("starts it", lambda: driver.ex_start_node(node))
    do("sees it run", lambda: until("it runs", lambda: state() == NodeState.RUNNING))
    do("reboots it", lambda: driver.reboot_node(node))
    do("sees it run again", lambda: until("it runs", lambda: state() == NodeState.RUNNING))
    do("reads its console", lambda: driver.ex_get_console_output(node))


def main() -> None:
    login = json.loads(Path(sys.argv[1]).read_text())
    tour = Tour(Tour(None).do("logs in", lambda: connect(login)))
    try:
        walk(tour)
    finally:
        tour.back()


if __name__ == "__main__":
    main()
