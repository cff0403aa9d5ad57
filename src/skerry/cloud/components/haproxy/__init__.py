"""HAProxy: the front of the APIs, and the gateway by which other hosts reach the control plane."""
