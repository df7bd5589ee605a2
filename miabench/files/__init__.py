"""Reading strangers' files, and writing our own."""
