"""Cloudlets: a prepared VM as a small overlay on a base, and a running VM made from both within seconds.

``overlay/``: what an overlay and its base consist of; how they are read, written, checked and stored.
``vm/``: one VM on a stock QEMU: process, disk layers, memory stream, snapshot.
``session/``: synthesis: a running VM from a base and an overlay, and a new overlay from what changed in it.
``handoff/``: moving a running VM to another engine, and the service that receives one.
``peer/``: other engines: identity, protocol, one-time tickets.
``discovery/``: finding an engine, by a directory or by multicast DNS.
``errors``: what can go wrong, as messages and exit codes.
"""
