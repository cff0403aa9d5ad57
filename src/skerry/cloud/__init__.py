"""The distribution: describe a cloud, plan, converge, supervise, verify, diagnose, recover."""
