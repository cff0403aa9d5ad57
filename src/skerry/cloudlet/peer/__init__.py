"""Other engines: their identity, the protocol, and one-time tickets."""
