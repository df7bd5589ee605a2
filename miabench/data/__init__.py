"""The pool of records, and who gets which."""
