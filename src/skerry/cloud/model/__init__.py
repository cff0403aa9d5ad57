"""What a cloud is: cloud.toml and the meaning of its values, its folders, its ports, its secrets."""
