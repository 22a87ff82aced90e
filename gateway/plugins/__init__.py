"""What a plugin may import (`api`), how plugins are found, loaded and kept from doing harm."""
