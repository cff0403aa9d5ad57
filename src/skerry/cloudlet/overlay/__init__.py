"""What an overlay and its base consist of: pages, segments, index, manifest, signature; read, written, stored."""
