"""Further hosts of a cloud: reached, joined, removed, and migrated between."""
