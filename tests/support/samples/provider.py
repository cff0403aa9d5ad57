"""A provider network as cloud.toml has it."""

OFFICE = """
[[provider]]
name = "office"
interface = "eth2"
vlan = 120
cidr = "192.0.2.0/24"
gateway = "192.0.2.1"
pool = ["192.0.2.100", "192.0.2.199"]
"""
