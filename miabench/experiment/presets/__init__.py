"""Built-in experiments: one TOML file each."""
