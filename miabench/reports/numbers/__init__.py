"""What reports say, as numbers."""
