"""Guest images that Skerry builds itself."""
