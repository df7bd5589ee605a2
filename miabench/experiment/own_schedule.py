"""The schedule of an experiment that writes none: each dataset's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from miabench.errors import UserError
from miabench.experiment.model import Experiment
from miabench.plugins.catalogue import catalogue
from miabench.plugins.discover import discover
from miabench.training.schedule import Schedule


def on_own_schedules(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """An experiment on its datasets' own schedules.

    Where they differ, the first dataset's stands for the experiment and each dataset has its own beside its name.

    Args:
        experiment: that writes no schedule.
        changes: keys of a schedule to replace in each.
    """
    own = [
        Schedule.model_validate(_own_schedule(choice.name, experiment.plugins).model_dump() | dict(changes))
        for choice in experiment.dataset
    ]
    datasets = experiment.dataset
    if any(schedule != own[0] for schedule in own):
        datasets = [
            choice.model_copy(update={"schedule": schedule.model_dump(mode="json") | choice.schedule})
            for choice, schedule in zip(experiment.dataset, own, strict=True)
        ]
    return experiment.model_copy(update={"schedule": own[0], "dataset": datasets})


def _own_schedule(dataset: str, plugins: Sequence[str]) -> Schedule:
    """The schedule that a dataset declares; planning says what is wrong with one that is not there."""
    built_in = catalogue()["dataset"].get(dataset)
    if built_in:
        return Schedule.model_validate(built_in["schedule"])
    try:
        return discover(plugins).get("dataset", dataset).load().schedule
    except UserError:
        return Schedule()
