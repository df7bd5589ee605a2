"""Gives commands and readers of files what nobody should give them, and sees that each says what is wrong.

    python benchmarks/fuzz.py [--examples 10000]

They are the tests of tests/miabench/test_fuzz.py, of which the suite tries some hundred examples: experiments, `--set`,
command lines, CSV, npz, JSON, pictures and archives. The examples are shared out among them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests" / "miabench" / "test_fuzz.py"
KINDS = 9  # of tests


def main() -> None:
    """Run the tests; their summary is the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000)
    each = -(-parser.parse_args().examples // KINDS)
    environment = {**os.environ, "MIABENCH_FUZZ_EXAMPLES": str(each)}
    sys.exit(
        subprocess.run([sys.executable, "-m", "pytest", "--runslow", "-q", str(TESTS)], env=environment).returncode
    )


if __name__ == "__main__":
    main()
