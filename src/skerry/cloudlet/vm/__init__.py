"""One VM on a stock QEMU: started, spoken to, snapshotted, its disk layers, its memory stream; the guest's recipe."""
