"""CPU seconds that commands take to start, above importing numpy, pydantic, typer and rich.

python benchmarks/start_up.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile

IMPORTS = "import numpy, pydantic, typer, rich.console, rich.live, rich.table"
COMMANDS = (
    ["--help"],
    ["list", "defenses"],
    ["list", "datasets", "images"],
    ["run", "--defense", "rleaxloss"],
    ["run", "--set", "crl.alpha_rce=-1"],
    ["run", "nope.toml"],
    ["report"],
    ["gate", "--max", "auc=0.6"],
)


def seconds(code: str, folder: str) -> float:
    """CPU seconds of a fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(code: str, folder: str, repeats: int) -> float:
    """The least of several: what else the machine does only adds."""
    return min(seconds(code, folder) for _ in range(repeats))


def main() -> None:
    """Print a line for every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        base = least(IMPORTS, folder, repeats)
        print(f"{base:5.2f} s  the imports alone")
        for command in COMMANDS:
            code = f"import sys\nfrom miabench.cli.commands import main\nsys.argv = ['miabench', *{command!r}]\nmain()"
            print(f"{least(code, folder, repeats) - base:+5.2f} s  miabench {' '.join(command)}")


if __name__ == "__main__":
    main()
