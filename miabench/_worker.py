"""What `python -m miabench._worker` runs."""

from miabench.jobs.worker import main

main()
