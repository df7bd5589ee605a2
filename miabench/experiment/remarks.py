"""What must be said beside every result of an experiment, and over it."""

from __future__ import annotations

from miabench.experiment.model import Experiment


def subject(experiment: Experiment) -> str:
    """What is measured, whatever the experiment is called: its datasets and models."""
    kinds = (experiment.dataset, experiment.model)
    return ", ".join(dict.fromkeys(choice.name for kind in kinds for choice in kind))


def remarks(experiment: Experiment) -> list[str]:
    """That it is a scaled one, how much of the pool a model holds, what was tuned on it, and which values are ours."""
    said = []
    if experiment.scale is not None:
        said.append(
            f"a scaled experiment (--scale {experiment.scale:g}): that share of the pool, {experiment.schedule.epochs} "
            f"epochs in batches of {experiment.schedule.batch_size}, runs: {experiment.runs}; "
            "its numbers are not those of the full experiment"
        )
    said.append(_share(experiment))
    names = {choice.name for choice in experiment.defense}
    tuned = [name for name in experiment.tuned if name in names]
    if experiment.protocol == "pool" and tuned:
        said.append(f"half of the records took part in tuning {', '.join(tuned)}")
    ours = [item for item in experiment.unpublished if "." not in item or item.partition(".")[0] in names]
    if ours:
        said.append(f"not published with the paper, so the values are ours: {', '.join(ours)}")
    return said


def _share(experiment: Experiment) -> str:
    """How much of the pool a model holds: results under two protocols are not comparable."""
    protocol = experiment.protocol
    if protocol == "disjoint":
        return "protocol disjoint: each model is trained on about a quarter of the pool (protocol pool: half)"
    share, other = ("half", "disjoint: a quarter") if protocol == "pool" else ("a quarter", "pool: half")
    return (
        f"protocol {protocol}: {experiment.models} models, each the target once, each trained on about {share} of the "
        f"pool (protocol {other})"
    )
