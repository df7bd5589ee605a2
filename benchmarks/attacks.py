"""CPU seconds and memory of the attacks that compare with reference models, once the derived answers are stored.

    python benchmarks/attacks.py [--references 64] [--records 60000] [--classes 100] [--json]

At these sizes an attack must take less than 10 CPU seconds, deriving 1 second a model, and all of it 8 GiB.

The first lines are the derived probes of one model (computed once and stored), then come the scores of one target.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _common import parser, show, spent

from miabench import LogOdds, Observed, Probe, TrueProbability, create_attack

ATTACKS = ("lira", "rmia", "base", "attack-r", "calibrated", "attack-p")


def answers(probe: Probe, phi: np.ndarray) -> np.ndarray:
    """What a probe answers where the log odds are phi."""
    return phi if probe == LogOdds() else 1 / (1 + np.exp(-phi / 2))


def observed(probe: Probe, K: int, N: int, num_classes: int, random: np.random.Generator, population: bool) -> Observed:
    """One model's answers and its references', on records of half of the references or of none."""
    keep = np.zeros((K, N), dtype=bool) if population else random.random((K, N)) < 0.5
    phi = random.normal(size=N) * 3 + random.normal(size=(K + 1, N))
    phi[1:] += 2 * keep
    return Observed(
        labels=random.integers(num_classes, size=N),
        member=None,
        num_classes=num_classes,
        answers={probe: answers(probe, phi[0])},
        references={probe: answers(probe, phi[1:])},
        reference_in=keep,
        reference_out=~keep,
        population=None if population else observed(probe, K, N // 10, num_classes, random, population=True),
    )


def derived(N: int, num_classes: int) -> list[dict[str, Any]]:
    """Rows: what one model's log odds and probabilities take."""
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(N, num_classes)).astype(np.float32), random.integers(num_classes, size=N)
    probes = (LogOdds(), TrueProbability(temperature=2.0))
    return [row(f"deriving {type(probe).__name__}", partial(probe.derive, logits, labels)) for probe in probes]


def scored(name: str, K: int, N: int, num_classes: int) -> list[dict[str, Any]]:
    """Rows: what an attack's variants take on one target."""
    variants = [{}] if name != "lira" else [{"variance": v} for v in ("pooled", "record", "shrunk")]
    rows = []
    for params in [*variants, *([{"mode": "offline"}] if name in ("lira", "rmia", "base") else [])]:
        attack = create_attack(name, **params)
        (asked,) = attack.probes()
        target = observed(asked, K, N, num_classes, np.random.default_rng(1), population=False)
        rows.append(row(" ".join([name, *map(str, params.values())]), partial(attack.score, target, {})))
    return rows


def row(what: str, do: Callable[[], Any]) -> dict[str, Any]:
    """CPU seconds of a call, and the peak of this process until then."""
    cpu = spent(do).cpu
    return {"what": what, "CPU s": cpu, "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def main() -> None:
    """Print a line per probe and attack."""
    options = parser(__doc__)
    options.add_argument("--references", type=int, default=64)
    options.add_argument("--records", type=int, default=60_000)
    options.add_argument("--classes", type=int, default=100)
    given = options.parse_args()
    rows = derived(given.records, given.classes)
    for name in ATTACKS:
        rows += scored(name, given.references, given.records, given.classes)
    title = f"{given.references} references, {given.records:,} records, {given.classes} classes; CPU seconds"
    show(title, rows, given.json)


if __name__ == "__main__":
    main()
