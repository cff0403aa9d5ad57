"""Networks of a fresh cloud: external, private, a router, a security group."""

from __future__ import annotations

from collections.abc import Callable

from skerry.cloud.engine.step import Change
from skerry.cloud.model.cloud_toml import POOL_PREFIX
from skerry.cloud.resources.base import GROUP, POOL, PRIVATE, PUBLIC, ROUTER, ApiStep


class Network(ApiStep):
    """The external network, a private one, a router between them; a security group that lets SSH and ping in.

    The external network is the default one, and there is a default pool of subnets: so neutron makes a network for a
    project that asks for one ('--nic auto').
    """

    name = "network"
    title = "networks, router, security group"
    needs = ("start:neutron-api", "accounts", "start:ovn-northd", "external-network")
    cost = 3.0

    def look(self) -> list[Change]:
        network = self.ctx.api.network
        changes = []
        networks, own = list(network.networks()), self._own()
        have = {item.name for item in networks if item.project_id == self._project()}
        changes += [Change(f"create network {name}") for name in (PUBLIC, PRIVATE) if name not in have]
        if PUBLIC in have and not any(item.is_default for item in networks):
            changes.append(Change(f"make network {PUBLIC} the default one"))
        if not self._has_pool():
            changes.append(Change(f"create subnet pool {POOL}", after=str(self.ctx.cloud.private.pool)))
        have = {item.name for item in network.subnets(**own)}
        changes += [Change(f"create subnet {name}") for name in (PUBLIC, PRIVATE) if name not in have]
        router = network.find_router(ROUTER, **own)
        if router is None or not router.external_gateway_info:
            changes.append(Change(f"create router {ROUTER}"))
        elif not any(
            True for _ in network.ports(device_id=router.id, device_owner="network:router_interface")
        ):
            changes.append(Change(f"connect router {ROUTER} to network {PRIVATE}"))
        group = network.find_security_group(GROUP, **own)
        if (
            group is None
            or len(list(network.security_group_rules(security_group_id=group.id, direction="ingress"))) < 2
        ):
            changes.append(Change(f"create security group {GROUP}"))
        return changes

    def _has_pool(self) -> bool:
        """Whether there is a default pool, be it an operator's own."""
        return any(pool.ip_version == 4 and pool.is_default for pool in self.ctx.api.network.subnet_pools())

    def _project(self) -> str:
        return str(self.ctx.api.current_project_id)

    def _own(self) -> dict[str, str]:
        """What selects the cloud's own: other projects may have things of the same names."""
        return {"project_id": self._project()}

    def apply(self, report: Callable[[str], None]) -> None:
        network, cloud, own = self.ctx.api.network, self.ctx.cloud, self._own()
        public = network.find_network(PUBLIC, **own) or network.create_network(
            name=PUBLIC,
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network="public",
        )
        if not any(item.is_default for item in network.networks()):
            network.update_network(public, is_default=True)
        if not self._has_pool():
            network.create_subnet_pool(
                name=POOL,
                prefixes=[str(cloud.private.pool)],
                default_prefix_length=POOL_PREFIX,
                is_shared=True,
                is_default=True,
            )
        hosts = cloud.external.cidr
        # Without a pool neutron hands out all but the gateway's: the first is the host's, where there is none.
        ends = cloud.external.pool or (() if cloud.external.gateway else (hosts[2], hosts[-2]))
        pool = {"allocation_pools": [{"start": str(ends[0]), "end": str(ends[1])}]} if ends else {}
        if network.find_subnet(PUBLIC, **own) is None:
            network.create_subnet(
                name=PUBLIC,
                network_id=public.id,
                ip_version=4,
                cidr=str(hosts),
                gateway_ip=cloud.external.gateway or str(hosts[1]),
                is_dhcp_enabled=False,
                **pool,
            )
        private = network.find_network(PRIVATE, **own) or network.create_network(name=PRIVATE)
        subnet = network.find_subnet(PRIVATE, **own) or network.create_subnet(
            name=PRIVATE,
            network_id=private.id,
            ip_version=4,
            cidr=str(cloud.private.cidr),
            dns_nameservers=self.ctx.name_servers,
        )
        router = network.find_router(ROUTER, **own) or network.create_router(name=ROUTER)
        if not router.external_gateway_info:
            network.update_router(router, external_gateway_info={"network_id": public.id})
        if not any(True for _ in network.ports(device_id=router.id, device_owner="network:router_interface")):
            network.add_interface_to_router(router, subnet_id=subnet.id)
        group = network.find_security_group(GROUP, **own) or network.create_security_group(
            name=GROUP, description="SSH and ping from everywhere"
        )
        have = {
            (rule.protocol, rule.port_range_min)
            for rule in network.security_group_rules(security_group_id=group.id, direction="ingress")
        }
        for protocol, port in (("icmp", None), ("tcp", 22)):
            if (protocol, port) not in have:
                network.create_security_group_rule(
                    security_group_id=group.id,
                    direction="ingress",
                    protocol=protocol,
                    port_range_min=port,
                    port_range_max=port,
                )
