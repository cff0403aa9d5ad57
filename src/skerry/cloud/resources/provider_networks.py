"""Provider networks: those of cloud.toml are in the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skerry.cloud.engine.step import Change
from skerry.cloud.model.provider import Provider
from skerry.cloud.resources.base import ApiStep
from skerry.common.errors import StepError


class ProviderNetworks(ApiStep):
    """Each network of cloud.toml is there, with a subnet. One that the file no longer names stays: servers may use it."""

    name = "provider-networks"
    title = "provider networks"
    needs = ("start:neutron-api", "accounts", "wires")
    cost = 1.0

    def look(self) -> list[Change]:
        changes = []
        for provider in self.ctx.cloud.provider:
            network = self._found(provider)
            if network is None:
                changes.append(Change(f"create network {provider.name}", after=_where(provider)))
            elif (network.provider_physical_network, network.provider_segmentation_id or 0) != (
                provider.interface,
                provider.vlan,
            ):
                before = (
                    f"{network.provider_physical_network}, {network.provider_segmentation_id or 'untagged'}"
                )
                raise StepError(
                    self.name,
                    f"network '{provider.name}' is {before} in the cloud and {_where(provider)} in cloud.toml. Delete"
                    f" it ('skerry openstack network delete {provider.name}') or give the new one another name.",
                )
            elif not any(self.ctx.api.network.subnets(network_id=network.id)):
                changes.append(Change(f"create subnet {provider.name}", after=str(provider.cidr)))
        return changes

    def _found(self, provider: Provider) -> Any:
        return self.ctx.api.network.find_network(provider.name, project_id=self.ctx.api.current_project_id)

    def apply(self, report: Callable[[str], None]) -> None:
        network = self.ctx.api.network
        for provider in self.ctx.cloud.provider:
            segment = {"provider_segmentation_id": provider.vlan} if provider.vlan else {}
            found = self._found(provider) or network.create_network(
                name=provider.name,
                is_shared=provider.shared,
                provider_network_type="vlan" if provider.vlan else "flat",
                provider_physical_network=provider.interface,
                **segment,
            )
            if any(network.subnets(network_id=found.id)):
                continue
            first, last = provider.pool or (None, None)
            network.create_subnet(
                name=provider.name,
                network_id=found.id,
                ip_version=4,
                cidr=str(provider.cidr),
                gateway_ip=provider.gateway or None,
                is_dhcp_enabled=provider.dhcp,
                dns_nameservers=self.ctx.name_servers,
                **({"allocation_pools": [{"start": str(first), "end": str(last)}]} if first else {}),
            )


def _where(provider: Provider) -> str:
    return f"{provider.interface}, {f'VLAN {provider.vlan}' if provider.vlan else 'untagged'}"
