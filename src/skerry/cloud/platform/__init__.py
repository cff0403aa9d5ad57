"""What an operating system does for a cloud on one host.

``base``: what every platform offers. ``choice``: which one a host has. ``debian``: the first of them.
"""
