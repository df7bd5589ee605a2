"""`python -m miabench`."""

from miabench.cli import main

if __name__ == "__main__":
    main()
