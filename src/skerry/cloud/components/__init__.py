"""What a cloud consists of: one file or folder per component, and the registry of all of them."""
