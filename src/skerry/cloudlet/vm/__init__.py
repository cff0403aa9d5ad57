"""One VM on a stock QEMU: started, controlled, snapshotted, its disk layers, its memory stream; the guest's recipe."""
