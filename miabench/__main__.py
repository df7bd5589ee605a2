"""`python -m miabench`."""

from miabench.cli.commands import main

if __name__ == "__main__":
    main()
