"""What a plugin is, and finding it."""
