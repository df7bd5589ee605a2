"""`--scale s`: any experiment in small, to see it work before paying for it.

With a share s of the pool (classes in proportion): epochs x sqrt(s), 10 at least, and all that counts epochs in
proportion (hyper-parameters of type `Epochs`, by default too; schedules of defenses); runs x sqrt(s), one at least; all
shadow models. What the experiment has less of stays.
Attacks train as long as ever: what they cost falls with the number of records. The experiment carries the share as a
mark, and `remarks` says it beside every result; the share also stands in the name of every scaled dataset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from miabench.errors import UserError
from miabench.experiment.model import Choice, DatasetChoice, DefenseChoice, Experiment
from miabench.plugins.base import EPOCHS
from miabench.plugins.defense import Defense
from miabench.plugins.discover import PluginIndex, discover
from miabench.training.schedule import Schedule

FEWEST_EPOCHS = 10

C = TypeVar("C", bound=Choice)


def scaled(experiment: Experiment, share: float, keep: Collection[str] = ()) -> Experiment:
    """An experiment in small.

    Args:
        experiment: to scale; one that is scaled already is scaled again.
        share: of the pool, above 0 and at most 1.
        keep: keys that stay as they are (`runs`, `epochs`): what the user chose beside the scale.

    Raises:
        UserError: a share that is none; a defense that does not exist.
    """
    if not 0 < share <= 1:
        raise UserError(f"--scale {share:g}: give a share of the pool above 0 and at most 1, for example 0.1")
    if share == 1:
        return experiment
    schedule = experiment.schedule if "epochs" in keep else _shorter(experiment.schedule, math.sqrt(share))
    shortened = schedule.epochs / experiment.schedule.epochs
    plugins = discover(experiment.plugins)
    runs = experiment.runs if "runs" in keep else max(1, round(experiment.runs * math.sqrt(share)))
    return experiment.model_copy(
        update={
            "name": f"{experiment.name}@{share:g}",
            "dataset": [_smaller(choice, experiment, share, keep) for choice in experiment.dataset],
            "defense": [_fewer_epochs(choice, shortened, plugins) for choice in experiment.defense],
            "schedule": schedule,
            "runs": runs,
            "scale": share * (experiment.scale or 1),
        }
    )


def _smaller(choice: DatasetChoice, experiment: Experiment, share: float, keep: Collection[str]) -> DatasetChoice:
    """A share of a dataset; fewer epochs where it has a schedule of its own."""
    choice = _fewer_records(choice, share)
    if not choice.schedule or "epochs" in keep:
        return choice
    shorter = _shorter(experiment.schedule.replaced(choice.schedule), math.sqrt(share))
    return choice.model_copy(update={"schedule": shorter.model_dump(mode="json")})


def _shorter(schedule: Schedule, factor: float) -> Schedule:
    """Epochs times the factor, milestones in proportion; of milestones that fall together the last counts."""
    epochs = min(schedule.epochs, max(FEWEST_EPOCHS, round(schedule.epochs * factor)))
    milestones = {_epoch(done, epochs / schedule.epochs): lr for done, lr in schedule.milestones.items()}
    return schedule.model_copy(update={"epochs": epochs, "milestones": milestones})


def _epoch(epoch: int, factor: float) -> int:
    return max(1, round(epoch * factor))


def _fewer_records(choice: DatasetChoice, share: float) -> DatasetChoice:
    """A share of the records that the choice names; of the pool where it names none."""

    def fewer(records: float | None) -> float:
        return round(records * share) if records is not None and records >= 1 else (records or 1) * share

    return _with(choice, "records", _each(choice.params.get("records"), fewer))


def _fewer_epochs(choice: DefenseChoice, factor: float, plugins: PluginIndex) -> DefenseChoice:
    """Those of a defense's parameters that count epochs (fields marked EPOCHS), and of its own schedule."""
    counted = _counted(plugins.get("defense", choice.name).load(), choice.params)
    for name, value in counted.items():
        fewer = _each(value, lambda epoch: epoch and _epoch(epoch, factor))  # None stays
        if fewer != value:
            choice = _with(choice, name, fewer)
    schedule = dict(choice.schedule)
    if "epochs" in schedule:
        schedule["epochs"] = _each(schedule["epochs"], lambda epoch: _epoch(epoch, factor))
    if "milestones" in schedule:
        schedule["milestones"] = {_epoch(int(done), factor): lr for done, lr in schedule["milestones"].items()}
    return choice.model_copy(update={"schedule": schedule})


def _counted(defense: type[Defense], params: Mapping[str, Any]) -> dict[str, Any]:
    """What counts epochs, by name: values that are set, and defaults whose place no other parameter takes."""
    fields = {name: field for name, field in defense.model_fields.items() if EPOCHS in field.metadata}
    replaced = {name for name, tried in defense.tune.items() if params.get(tried.unless or "") is not None}
    defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
    kept = {name: value for name, value in defaults.items() if name not in replaced}
    return kept | {name: value for name, value in params.items() if name in fields}


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value changed; of a grid every value, those that fall together once."""
    return list(dict.fromkeys(map(change, value))) if isinstance(value, list) else change(value)


def _with(choice: C, name: str, value: Any) -> C:
    return choice.model_copy(update={"params": {**choice.params, name: value}})
