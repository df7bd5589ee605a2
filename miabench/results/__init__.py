"""What is stored of an experiment."""
