"""What a plugin may import (`api`) and how plugins are found (`loading`)."""
