"""The residue of a session: what has changed in it since it began, as an overlay; the VM runs on."""

from __future__ import annotations

from collections.abc import Callable

from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import overlay_maker
from skerry.cloudlet.session.overlay_maker import Created
from skerry.cloudlet.session.session import Session
from skerry.cloudlet.vm.process import GATEWAY, Vm


def keep(store: Store, session: Session, vm: Vm, name: str, report: Callable[[str], None]) -> Created:
    """Keep an overlay of a session. Its network card, which no overlay has, is out meanwhile: connections break.

    Raises what overlay_maker.keep does, and GuestError when the card does not come back.
    """
    card = vm.has_nic()
    if card:
        report("taking its network card out")
        vm.remove_nic()
    try:
        return overlay_maker.keep(store, session, vm, name, report=report)
    finally:
        if card:
            vm.add_nic(session.mac, session.address, session.ports, session.outbound)
            agent = vm.agent()
            try:
                agent.network(session.mac, f"{session.address}/24", GATEWAY)
            finally:
                agent.close()
