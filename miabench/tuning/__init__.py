"""Search on the shadow half."""
