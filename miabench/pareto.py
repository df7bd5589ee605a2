"""The outcome of tuning: the settings that no other beats in both test accuracy and attack AUC, as text and TOML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from miabench.experiment import Experiment, Tuned
from miabench.search_space import LEARNING_RATE, with_values
from miabench.toml_text import toml_text
from miabench.trials import Trial
from miabench.tuning import Study


class Point(NamedTuple):
    """One point of a front.

    Attributes:
        number: of the trial, from 0.
        accuracy: test accuracy, a fraction.
        auc: attack AUC.
        experiment: the tuned experiment with this defense at this setting: what to run on the target half.
    """

    number: int
    accuracy: float
    auc: float
    experiment: Experiment


def pareto_front(study: Study) -> list[Point]:
    """The trials that no other beats (at least as good in both, better in one), most accurate first."""
    points = [
        Point(number, trial.accuracy, trial.auc, _chosen(study, trial))
        for number, trial in enumerate(study.trials)
        if trial.accuracy is not None and trial.auc is not None
    ]
    front = [point for point in points if not any(_beats(other, point) for other in points)]
    return sorted(front, key=lambda point: (-point.accuracy, point.number))


def _beats(one: Point, other: Point) -> bool:
    good, bad = (one.accuracy, -one.auc), (other.accuracy, -other.auc)
    return good != bad and good[0] >= bad[0] and good[1] >= bad[1]


def _chosen(study: Study, trial: Trial) -> Experiment:
    tuned = {study.defense: Tuned(study=study.key, parameters=list(trial.values))}
    return with_values(study.experiment, dict(trial.values)).model_copy(update={"tuned": tuned})


def point_toml(point: Point) -> str:
    """What a point sets, as TOML that takes the place of the same keys of the tuned experiment."""
    experiment = point.experiment.model_dump(mode="json")
    keys = ["defense", "tuned"]
    if any(LEARNING_RATE in tuned.parameters for tuned in point.experiment.tuned.values()):
        keys.append("schedule")
    return toml_text({key: experiment[key] for key in keys})


def front_text(studies: Sequence[Study]) -> str:
    """All fronts, each point under its figures with its exact TOML; and which trials failed, and why."""
    return "\n".join(_study_text(study) for study in studies).rstrip()


def _study_text(study: Study) -> str:
    if study.reason:
        return f"# {study.defense}: n/a: {study.reason}\n"
    failed: dict[str, int] = {}
    for trial in study.trials:
        if trial.why:
            failed[trial.why] = failed.get(trial.why, 0) + 1
    lines = [
        f"# {study.defense}: {len(study.trials)} trials, {study.trainings} of {study.budget} trainings, "
        f"{sum(failed.values())} trials failed",
        *(f"#   {count} failed: {why.splitlines()[-1]}" for why, count in failed.items()),
        "",
    ]
    for point in pareto_front(study):
        figures = f"# {study.defense}: test accuracy {point.accuracy:.4f}, attack AUC {point.auc:.4f}"
        lines.append(f"{figures} (trial {point.number})\n{point_toml(point)}")
    return "\n".join(lines)
