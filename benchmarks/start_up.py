"""CPU seconds that commands take to start, above importing numpy, pydantic, typer and rich.

python benchmarks/start_up.py [--repeats 5] [--json]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any

from _common import parser, show, spent

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


def least(code: str, folder: str, repeats: int) -> float:
    """CPU seconds of a fresh process, the least of several: what else the machine does only adds."""

    def start() -> None:
        subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, cwd=folder)

    return min(spent(start).cpu for _ in range(repeats))


def main() -> None:
    """Print a line for every command."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = least(IMPORTS, folder, given.repeats)
        rows: list[dict[str, Any]] = [{"what": "the imports alone", "CPU s": base, "above": 0.0}]
        for command in COMMANDS:
            code = f"import sys\nfrom miabench.cli.commands import main\nsys.argv = ['miabench', *{command!r}]\nmain()"
            found = least(code, folder, given.repeats)
            rows.append({"what": f"miabench {' '.join(command)}", "CPU s": found, "above": found - base})
    show("CPU seconds to start, least of several", rows, given.json)


if __name__ == "__main__":
    main()
