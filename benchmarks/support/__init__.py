"""What benchmarks share: bare machines, links, workloads, plots."""
