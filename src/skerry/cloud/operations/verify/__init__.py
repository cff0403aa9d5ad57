"""The cloud, judged by others: upstream's own tests, and clients that people use."""
