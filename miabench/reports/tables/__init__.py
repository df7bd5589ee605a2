"""One table, in every form."""
