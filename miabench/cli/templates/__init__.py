"""What `miabench new` writes: one commented, working plugin file per kind."""
