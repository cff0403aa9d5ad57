"""How change happens: steps and their graph, the journal, the lock, the transport to a host."""
