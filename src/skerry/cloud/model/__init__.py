"""What a cloud is: cloud.toml, its folders, its ports, its secrets."""
