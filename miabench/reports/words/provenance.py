"""Where results come from, in sentences: what was trained how often, from which seed, with which versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from miabench.experiment.model import Experiment
from miabench.results.results import Results
from miabench.store.store import Ref

PROTOCOLS = {
    "disjoint": "target and shadow models are trained and tested on disjoint halves of the data",
    "pool": "models share the pool, and each is trained on about half of it",
    "tune": "as in a trial of tuning, models share the shadow half, and each is trained on about half of it",
}
SHADOWS = {
    "same": "under the target's defense (adaptive attacker)",
    "baseline": "without defense (non-adaptive attacker)",
    "both": "under the target's defense (adaptive attacker), and without it (non-adaptive)",
}
COMPUTED_FROM = ("miabench", "python", "torch", "numpy")  # versions that a caption names


def protocol(experiment: Experiment) -> Iterator[str]:
    """The splits, the trainings and the seed, a sentence each."""
    yield f"protocol {experiment.protocol}: {PROTOCOLS[experiment.protocol]}"
    if experiment.paired:
        yield f"{experiment.models} models per cell, in complementary pairs; each is the target once"
    else:
        yield f"{_count(experiment.runs, 'training')} per cell on fixed splits"
    if experiment.shadows:
        shadows = _count(experiment.shadows, "shadow model")
        yield f"{shadows} for each target, trained {SHADOWS[experiment.attacker.shadow_defense]}"
    else:
        yield "no shadow models: attacks learn nothing, and no threshold is learnt"
    yield trained_on(experiment)
    own, then = ("", "") if experiment.paired else (" of the target", "; shadow i splits with seed + i")
    yield f"seed {experiment.seed} (splits{own} and every random stream{then})"


def trained_on(experiment: Experiment) -> str:
    """The schedule, in a sentence; datasets and defenses may have others."""
    schedule = experiment.schedule
    return f"{_count(schedule.epochs, 'epoch')} of SGD, batches of {schedule.batch_size}, learning rate {schedule.lr:g}"


def versions(results: Results) -> dict[str, str]:
    """Library versions, processor and accelerator of the first stored result; a report of several warns of them."""
    environments = (results.store.manifest(ref).environment for ref in _stored(results))
    found = next((environment for environment in environments if environment), {})
    return {name: str(value) for name, value in found.items() if value}


def made_on(results: Results) -> date | None:
    """The day on which the newest result was made: the same results give the same report on any day."""
    stored = (entry.metrics for entry in results.index.entries)
    known = (results.store.manifest(ref).made for ref in stored if ref and results.store.has(ref))
    return max(filter(None, known), default=None)


def made_with(results: Results) -> str:
    """The versions that matter most, in one line; empty where nothing is stored."""
    known = versions(results)
    return ", ".join(f"{name} {known[name]}" for name in COMPUTED_FROM if name in known)


def _stored(results: Results) -> Iterator[Ref]:
    for entry in results.index.entries:
        for ref in (entry.network, entry.records):
            if ref and results.store.has(ref):
                yield ref


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
