"""Kills commands at random moments and file operations, runs them again, and compares all that is left.

    python benchmarks/crash.py [--kills 500]

They are the kills of tests/end_to_end/test_crash.py, which the suite does 25 of: train, attack, report with its pages
and plots, tune and store gc, in turns; one in four at a moment, with real workers. Each takes some seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests" / "end_to_end" / "test_crash.py"


def main() -> None:
    """Run the tests; their summary is the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    environment = {**os.environ, "MIABENCH_CRASHES": str(parser.parse_args().kills)}
    sys.exit(
        subprocess.run([sys.executable, "-m", "pytest", "--runslow", "-q", str(TESTS)], env=environment).returncode
    )


if __name__ == "__main__":
    main()
