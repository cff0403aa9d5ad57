"""The TCP ports of a cloud. APIs have the ports that the field knows; the rest keeps clear of the machine's own."""

MARIADB = 13306
RABBITMQ = 15673
RABBITMQ_DISTRIBUTION = 25673
EPMD = 14369
MEMCACHED = 21211
OVSDB = 16640
OVN_NORTHBOUND = 16641
OVN_SOUTHBOUND = 16642
GATEWAY = 16643  # where other hosts reach what listens on the control host's loopback
COPIES = 16522  # the SSH server by which hosts copy disks
LIBVIRT = 16514  # where other hosts' libvirt asks for a guest to be taken

KEYSTONE = 5000
GLANCE = 9292
PLACEMENT = 8778
NOVA = 8774
NOVA_METADATA = 8775
NEUTRON = 9696
HEAT = 8004
HEAT_CFN = 8000
HORIZON = 8080
SWIFT = 8085  # what the field knows it by, 8080, is the dashboard's
SWIFT_OBJECT = 16200
SWIFT_CONTAINER = 16201
SWIFT_ACCOUNT = 16202
NOVNC = 6080
SERIAL = 6083

NAMES = {value: name for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)}

# What other hosts reach of the control host, by the name that they ask for.
SHARED = {
    "keystone": KEYSTONE,
    "glance-api": GLANCE,
    "placement": PLACEMENT,
    "nova-api": NOVA,
    "nova-metadata": NOVA_METADATA,
    "neutron-api": NEUTRON,
    "rabbitmq": RABBITMQ,
    "ovn-southbound": OVN_SOUTHBOUND,
}
