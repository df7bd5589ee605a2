"""`python -m miabench`."""

import sys
from importlib.util import find_spec

if __name__ == "__main__":
    if find_spec("miabench.defenses") is None:  # the source tree: its defenses are beside this folder, not in it
        sys.exit(
            "error: miabench is not installed; in the folder of its pyproject.toml: pip install . (then: miabench)"
        )
    from miabench.cli.commands import main

    main()
