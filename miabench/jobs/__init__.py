"""From an experiment to stored artifacts."""
