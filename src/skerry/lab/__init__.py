"""The lab: several hosts, switches and machines on one machine, as namespaces.

``model``: what a lab is, the typed form of a lab file. ``units``: rates, times and shares as people write them.
``builder``: makes it of namespaces. ``state``: what is recorded of a lab that is up. ``status``: what it is like now.
``hosts/``: a host: namespaces, first process, disks, processes.
``links/``: a link: veth pairs, delay and loss, Open vSwitch, the uplink to this machine's network.
``faults``: links cut or degraded, hosts frozen or without power. ``healer``: ends a fault after its time.
``lab``: a lab as a Python program uses it. ``testing``: pytest fixtures. ``reaper``: takes a killed
test run's lab down.
"""
