"""The outcome of tuning: the settings that no other beats in both test accuracy and attack AUC, as an experiment."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from miabench.experiment.model import DefenseChoice, Experiment, Tuned
from miabench.files.toml import toml_text
from miabench.metrics.dominance import pareto_front
from miabench.tuning.search import Study
from miabench.tuning.space import with_values


@dataclass(frozen=True)
class Tuning:
    """The searches over the defenses of an experiment; as text, an experiment file with their Pareto fronts.

    Attributes:
        experiment: what was tuned.
        studies: one per defense.
    """

    experiment: Experiment
    studies: Sequence[Study]

    def __str__(self) -> str:
        return front_text(self.experiment, self.studies)

    @property
    def tuned(self) -> dict[str, Any]:
        """The fronts as one experiment, to be run; {} where no setting was measured."""
        return tomllib.loads(str(self))


class Point(NamedTuple):
    """One point of a front.

    Attributes:
        number: of the trial, from 0; of several that tried the same the first.
        accuracy: test accuracy, a fraction.
        auc: attack AUC.
        choice: the defense at this setting.
    """

    number: int
    accuracy: float
    auc: float
    choice: DefenseChoice


def best_points(study: Study) -> list[Point]:
    """The settings that no other dominates, most accurate first; of equally good ones the first trial stands first."""
    (choice,) = study.experiment.defense
    points: list[Point] = []
    for number, trial in enumerate(study.trials):
        chosen = with_values(choice, trial.values)
        if trial.accuracy is not None and trial.auc is not None and all(chosen != point.choice for point in points):
            points.append(Point(number, trial.accuracy, trial.auc, chosen))
    return [points[i] for i in pareto_front([(point.accuracy, point.auc) for point in points])]


def front_text(experiment: Experiment, studies: Sequence[Study]) -> str:
    """The experiment with every point of every front, as a TOML file to be run.

    Comments say what became of the trials and, above each point, its figures; where there is no point they are all.
    """
    on_trial = [line for study in studies for line in _outcome(study)]
    points = [(study, point) for study in studies for point in best_points(study)]
    if not points:
        return "\n".join(on_trial)
    tuned = {study.defense: Tuned(study=study.key, parameters=list(study.trials[0].values)) for study, _ in points}
    update = {"name": f"{experiment.name}-tuned", "defense": [point.choice for _, point in points], "tuned": tuned}
    table = experiment.model_copy(update=update).as_file()
    choices = zip(points, table.pop("defense"), strict=True)
    entries = [f"{_figures(*point)}\n{toml_text({'defense': [choice]})}" for point, choice in choices]
    return "\n".join([*on_trial, "", toml_text(table), *entries]).rstrip()


def _outcome(study: Study) -> Iterator[str]:
    if study.reason:
        yield f"# {study.defense}: n/a: {study.reason}"
        return
    failed = Counter(trial.why.splitlines()[-1] for trial in study.trials if trial.why)
    yield (
        f"# {study.defense}: {len(study.trials)} trials, {study.trainings} of {study.budget} trainings, "
        f"{failed.total()} trials failed"
    )
    yield from (f"#   {count} failed: {why}" for why, count in failed.items())


def _figures(study: Study, point: Point) -> str:
    accuracy, auc = f"test accuracy {point.accuracy:.4f}", f"attack AUC {point.auc:.4f}"
    return f"# {study.defense}: {accuracy}, {auc} on the shadow half (trial {point.number})"
