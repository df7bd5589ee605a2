"""The kinds of job: each from its description to artifacts, one file for each."""
