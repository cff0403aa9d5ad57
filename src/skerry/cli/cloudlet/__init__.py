"""'skerry cloudlet': bases, overlays, sessions, handoff, discovery."""
