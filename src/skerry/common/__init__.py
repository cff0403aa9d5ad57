"""What every system of Skerry shares, by theme.

``errors``: failures with a remedy and an exit code. ``log``: the commands that a verb runs. ``proc``: running programs.
``process``: which process is which. ``privilege``: what only root may do. ``namespaces``: those of the kernel.
``locks``: one at a time, between processes. ``files``: writing whole files. ``wait``: waiting for facts.
``clock``: one that slows down on a busy machine. ``toml_model``: TOML files as typed models.
``unix_http``: HTTP over a Unix socket. ``accelerator``: whether KVM is of use. ``debian``: systems by mmdebstrap.
"""
