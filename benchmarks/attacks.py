"""CPU seconds and memory of the attacks that compare with reference models, once the derived answers are stored.

    python benchmarks/attacks.py                    # 16 references, 10,000 records, 10 classes
    python benchmarks/attacks.py 64 60000 100       # the size that must take less than 10 CPU seconds an attack

The first lines are the derived probes of one model (computed once and stored), then come the scores of one target.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from miabench import LogOdds, Observed, Probe, TrueProbability, create_attack

ATTACKS = ("lira", "rmia", "base", "attack-r", "calibrated", "attack-p")


def timed(name: str, do: Callable[[], Any]) -> Any:
    """What a call gives; its CPU seconds are printed."""
    begun = time.process_time()
    found = do()
    print(f"{name:<28} {time.process_time() - begun:7.2f} s")
    return found


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


def main(K: int, N: int, num_classes: int) -> None:
    """Print a line per probe and attack."""
    print(f"{K} references, {N:,} records, {num_classes} classes; CPU seconds")
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(N, num_classes)).astype(np.float32), random.integers(num_classes, size=N)
    for probe in (LogOdds(), TrueProbability(temperature=2.0)):
        timed(f"deriving {type(probe).__name__}", partial(probe.derive, logits, labels))
    for name in ATTACKS:
        variants = [{}] if name != "lira" else [{"variance": v} for v in ("pooled", "record", "shrunk")]
        for params in [*variants, *([{"mode": "offline"}] if name in ("lira", "rmia", "base") else [])]:
            attack = create_attack(name, **params)
            (asked,) = attack.probes()
            target = observed(asked, K, N, num_classes, np.random.default_rng(1), population=False)
            timed(" ".join([name, *map(str, params.values())]), partial(attack.score, target, {}))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("16", "10000", "10")))
