"""The engine as a daemon: takes VMs over from the engines that it is paired with."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from skerry.cloudlet.discovery.discovery import Cloudlet
from skerry.cloudlet.handoff import destination
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.tickets import Tickets
from skerry.cloudlet.peer.wire import Accept, Begin, Kind, Named, Offer, PeerConnection
from skerry.common.errors import PreflightError, RefusedError, SkerryError

_CONNECTIONS = 16
_HANDSHAKE = 10.0  # seconds


class HandoffServer:
    """Listens on an address and a port (0: any free one). Raises PreflightError when it cannot.

    ``most`` VMs arrive at a time, of ``most_mib`` of memory; ``outbound`` lets in those that may reach other hosts.
    The attribute ``about`` gives the answer to paired engines that ask; None: nothing.
    """

    def __init__(
        self,
        store: Store,
        address: str,
        port: int,
        *,
        most: int = 2,
        most_mib: int = 65536,
        outbound: bool = False,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._store, self._report = store, report
        self.about: Callable[[], Cloudlet] | None = None
        self._outbound, self._most_mib = outbound, most_mib
        self._identity = Identity(store.root / "keys")
        self._tickets = Tickets()
        self._places = threading.BoundedSemaphore(most)
        self._connections = threading.BoundedSemaphore(_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._stopping = False
        destination.sweep(store)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._listener = socket.create_server((address, port), family=family, backlog=32)
        except OSError as error:
            raise PreflightError(
                f"Cannot listen on {address}, port {port}: {error.strerror}.", remedy="Give another --port."
            ) from None
        self.address = str(self._listener.getsockname()[0])
        self.port = int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until ``stop`` is called; returns when all handoffs have ended."""
        while not self._stopping:
            try:
                plain, (host, *_) = self._listener.accept()
            except OSError:
                break
            if not self._connections.acquire(blocking=False):
                plain.close()  # whoever gets no place may try again
                continue
            self._threads = {each for each in self._threads if each.is_alive()}
            thread = threading.Thread(target=self._connection, args=(plain, host), daemon=True)
            self._threads.add(thread)
            thread.start()
        for thread in self._threads:
            thread.join(30)

    def stop(self) -> None:
        """Break off what arrives; VMs that run continue."""
        self._stopping = True
        # Closing alone would not wake who waits in it.
        for sock in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _connection(self, plain: socket.socket, host: str) -> None:
        sock = plain
        try:
            self._open.add(sock)
            plain.settimeout(_HANDSHAKE)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = self._identity.context(server=True).wrap_socket(plain, server_side=True)
            self._open.discard(sock)
            sock = secure
            self._open.add(sock)
            self._talk(PeerConnection(secure, host), self._identity.known(secure))
        except ssl.SSLEOFError:
            pass  # it only measured the way
        except (ssl.SSLError, OSError) as error:
            self._report(f"{host}: {getattr(error, 'verify_message', '') or error}")
        finally:
            self._open.discard(sock)
            sock.close()
            self._connections.release()

    def _talk(self, link: PeerConnection, peer: str) -> None:
        """Offers, questions, and at most one handoff, which ends the connection."""
        try:
            while not self._stopping:
                kind, body = link.receive(Kind.OFFER, Kind.BEGIN, Kind.STATUS, Kind.ASK)
                if kind is Kind.OFFER:
                    offer = wire.read(Offer, body)
                    held = destination.check(
                        self._store, offer, outbound=self._outbound, most_mib=self._most_mib
                    )
                    ticket = self._tickets.new(peer, offer, held)
                    link.send(Kind.ACCEPT, Accept(id=ticket.id, held=len(held)))
                elif kind is Kind.STATUS:
                    if not self._tickets.runs(wire.read(Named, body).id, peer):
                        raise RefusedError("that VM does not run here")
                    link.send(Kind.RUNNING)
                elif kind is Kind.ASK:
                    if self.about is None:
                        raise RefusedError("this engine does not report what it holds")
                    link.send(Kind.CLOUDLET, self.about())
                else:
                    self._handoff(link, peer, wire.read(Begin, body))
                    return
        except ConnectionError:
            pass  # whoever has nothing more to send hangs up
        except (SkerryError, ValueError) as reason:
            self._report(f"{link.name}, {peer[:16]}: {reason}")
            link.refuse(reason)

    def _handoff(self, link: PeerConnection, peer: str, begin: Begin) -> None:
        ticket = self._tickets.begin(begin.id, peer)
        if not self._places.acquire(blocking=False):
            ticket.end()
            raise RefusedError("as many VMs arrive here as are allowed at a time; try again later")
        try:
            self._report(f"'{ticket.offer.name}' arrives from {link.name}, {peer[:16]}")
            destination.receive(self._store, link, ticket, begin, self._report)
        except OSError as error:
            self._report(f"'{ticket.offer.name}' did not arrive: {error}")
            raise
        finally:
            self._places.release()
            ticket.end()
