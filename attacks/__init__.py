"""Built-in attacks: one file each; the file's name is the attack's name."""
