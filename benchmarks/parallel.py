"""How much sooner two workers end than one: 12 trainings of about 5 seconds, none of which waits for another.

    python benchmarks/parallel.py [--workers 2] [--epochs 250] [--turns 1] [--json]

Trains a pool of 12 models (`bits`, `mlp`, `ce`) by `miabench.train` into an empty store, by one worker and by several
in turns; start-up, planning and storing included. The ratio of wall times means something on free cores alone: where
CPU seconds grow with the workers, or the load printed is above the number of workers, something else was running.
"""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from _common import in_turns, parser, ratio, show

JOBS = 12


def experiment(epochs: int) -> dict[str, Any]:
    """A pool of 12 models."""
    return {
        "name": "parallel",
        "dataset": {"name": "bits", "records_per_class": 400},
        "model": "mlp",
        "defense": "ce",
        "attacks": "entropy",
        "protocol": "pool",
        "models": JOBS,
        "schedule": {"epochs": epochs},
        "device": "cpu",
    }


def train(epochs: int, workers: int) -> None:
    """All trainings, into a store of their own."""
    import miabench

    with TemporaryDirectory() as store:
        miabench.train(experiment(epochs), store=store, workers=workers)


def main() -> None:
    """Print a line for each number of workers."""
    options = parser(__doc__)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--epochs", type=int, default=250)
    options.add_argument("--turns", type=int, default=1)
    given = options.parse_args()
    counts = (1, given.workers)
    found = in_turns({str(count): partial(train, given.epochs, count) for count in counts}, given.turns)
    alone = [one.wall for one in found["1"]]
    rows = [
        {
            "workers": count,
            "wall s": min(one.wall for one in found[str(count)]),
            "CPU s": min(one.cpu for one in found[str(count)]),
            "times as fast": ratio([one.wall for one in found[str(count)]], alone),
        }
        for count in counts
    ]
    show(f"{JOBS} trainings of {given.epochs} epochs", rows, given.json)


if __name__ == "__main__":
    main()
