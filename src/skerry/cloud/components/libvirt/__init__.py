"""libvirt and QEMU: the private instance, the choice between KVM and TCG, and the guests."""
