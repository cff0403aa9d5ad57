"""One migration, measured: probes, captures, the load in the guest, QEMU's own figures, and what follows from them."""
