"""Debian: ``packages`` by apt, ``users`` by shadow's tools, ``network`` by iproute2 and nftables, ``system`` the rest."""
