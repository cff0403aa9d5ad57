"""Finding a cloudlet: by a directory, or in the LAN by multicast DNS."""
