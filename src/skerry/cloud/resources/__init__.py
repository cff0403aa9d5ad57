"""What 'up' creates in a fresh cloud: flavors, image, networks, key pair, first server."""
