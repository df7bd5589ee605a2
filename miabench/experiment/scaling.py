"""`--scale s`: any experiment in small, to see it work before paying for it.

With a share s of the pool (classes in proportion):
    epochs          x sqrt(s), 20 at least, and all that counts epochs in proportion (hyper-parameters of type `Epochs`,
                    by default too; schedules of defenses)
    batch size      x s, 16 at least: an epoch has as many steps as before, or, where 16 are more, fewer
    learning rates  x sqrt(new batch size / old), which keeps the variance of a step (Krizhevsky 2014,
                    arXiv:1404.5997, section 5)
    runs            x sqrt(s), one at least; all shadow models
What the experiment has less of stays. 60,000 images at s = 0.01 are 150 members and, at 20 epochs, 200 steps: enough
for a small network without a defense to leave chance behind; with the batch size as it was there were 10 steps.
Attacks train as long as ever: what they cost falls with the number of records. The experiment carries the share as a
mark, and `remarks` says it beside every result; the share also stands in the name of every scaled dataset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from miabench.errors import UserError
from miabench.experiment.model import Choice, DatasetChoice, DefenseChoice, Experiment
from miabench.plugins.base import EPOCHS
from miabench.plugins.defense import Defense
from miabench.plugins.discover import PluginIndex, discover
from miabench.training.schedule import Schedule

FEWEST_EPOCHS = 20
SMALLEST_BATCH = 16

C = TypeVar("C", bound=Choice)


def scaled(experiment: Experiment, share: float, keep: Collection[str] = ()) -> Experiment:
    """An experiment in small.

    Args:
        experiment: to scale; one that is scaled already is scaled again.
        share: of the pool, above 0 and at most 1.
        keep: keys that stay as they are (`runs`, `schedule.epochs`, `dp-sgd.schedule.lr`): what the user chose beside
            the scale.

    Raises:
        UserError: a share that is none; a defense that does not exist.
    """
    if not 0 < share <= 1:
        raise UserError(f"--scale {share:g}: give a share of the pool above 0 and at most 1, for example 0.1")
    if share == 1:
        return experiment
    schedule = _smaller_schedule(experiment.schedule, share, keep)
    plugins = discover(experiment.plugins)
    runs = experiment.runs if "runs" in keep else max(1, round(experiment.runs * math.sqrt(share)))
    change = _Change(schedule.epochs / experiment.schedule.epochs, share, schedule.lr / experiment.schedule.lr)
    defenses = [_changed(choice, change, plugins, keep) for choice in experiment.defense]
    return experiment.model_copy(
        update={
            "name": f"{experiment.name}@{share:g}",
            "dataset": [_smaller(choice, experiment, share, keep) for choice in experiment.dataset],
            "defense": defenses,
            "schedule": schedule,
            "runs": runs,
            "scale": share * (experiment.scale or 1),
            "scaled_defaults": _scaled_defaults(experiment, defenses),
        }
    )


class _Change(NamedTuple):
    """What numbers of epochs, batch sizes and learning rates are multiplied by."""

    epochs: float
    batch_size: float
    lr: float


def _smaller(choice: DatasetChoice, experiment: Experiment, share: float, keep: Collection[str]) -> DatasetChoice:
    """A share of a dataset; a smaller schedule where it has one of its own."""
    choice = _fewer_records(choice, share)
    if not choice.schedule:
        return choice
    smaller = _smaller_schedule(experiment.schedule.replaced(choice.schedule), share, keep)
    return choice.model_copy(update={"schedule": smaller.model_dump(mode="json")})


def _smaller_schedule(schedule: Schedule, share: float, keep: Collection[str]) -> Schedule:
    """Fewer epochs with milestones in proportion, smaller batches and steps, but for the keys to keep.

    Of milestones that fall together the last counts.
    """
    kept = {key for key in Schedule.model_fields if {"schedule", f"schedule.{key}"} & {*keep}}
    epochs = min(schedule.epochs, max(FEWEST_EPOCHS, round(schedule.epochs * math.sqrt(share))))
    epochs = schedule.epochs if "epochs" in kept else epochs
    size = schedule.batch_size if "batch_size" in kept else _batch(schedule.batch_size, share)
    lower = 1.0 if "lr" in kept else math.sqrt(size / schedule.batch_size)
    milestones = {_epoch(done, epochs / schedule.epochs): lr * lower for done, lr in schedule.milestones.items()}
    return schedule.model_copy(
        update={
            "epochs": epochs,
            "lr": schedule.lr * lower,
            "milestones": schedule.milestones if "milestones" in kept else milestones,
            "batch_size": size,
        }
    )


def _batch(size: int, share: float) -> int:
    return min(size, max(SMALLEST_BATCH, round(size * share)))


def _epoch(epoch: int, factor: float) -> int:
    return max(1, round(epoch * factor))


def _fewer_records(choice: DatasetChoice, share: float) -> DatasetChoice:
    """A share of the records that the choice names; of the pool where it names none."""

    def fewer(records: float | None) -> float:
        return round(records * share) if records is not None and records >= 1 else (records or 1) * share

    return _with(choice, "records", _each(choice.params.get("records"), fewer))


def _changed(choice: DefenseChoice, change: _Change, plugins: PluginIndex, keep: Collection[str]) -> DefenseChoice:
    """Those of a defense's parameters that count epochs (fields marked EPOCHS), and its own schedule.

    Of the schedule keys to keep stay.
    """
    counted = _counted(plugins.get("defense", choice.name).load(), choice.params)
    for name, value in counted.items():
        fewer = _each(value, lambda epoch: epoch and _epoch(epoch, change.epochs))  # None stays
        if fewer != value:
            choice = _with(choice, name, fewer)
    schedule = dict(choice.schedule)
    keys: dict[str, Callable[[Any], Any]] = {
        "epochs": lambda epoch: _epoch(epoch, change.epochs),
        "batch_size": lambda size: _batch(size, change.batch_size),
        "lr": lambda lr: lr * change.lr,
        "milestones": lambda rates: {_epoch(int(e), change.epochs): lr * change.lr for e, lr in rates.items()},
    }
    for key in (keys.keys() & schedule.keys()) - _kept(choice, keep):
        schedule[key] = _each(schedule[key], keys[key])
    return choice.model_copy(update={"schedule": schedule})


def _scaled_defaults(experiment: Experiment, smaller: Sequence[DefenseChoice]) -> dict[str, dict[str, Any]]:
    """By defense, the values that scaling gave parameters which nobody set."""
    found: dict[str, dict[str, Any]] = {}
    for before, after in zip(experiment.defense, smaller, strict=True):
        known = experiment.scaled_defaults.get(before.name, {})  # of an experiment that was scaled already
        for name, value in after.params.items():
            if name not in before.params or (name in known and before.params[name] == known[name]):
                found.setdefault(before.name, {})[name] = value
    return found


def _kept(choice: DefenseChoice, keep: Collection[str]) -> set[str]:
    """The keys of a defense's own schedule to keep; hyphens and underscores are alike."""
    asked = {key.replace("_", "-") for key in keep}
    own = [f"{name}.schedule" for name in (choice.name, "defense")]
    return {key for key in Schedule.model_fields if any({one, f"{one}.{key.replace('_', '-')}"} & asked for one in own)}


def _counted(defense: type[Defense], params: Mapping[str, Any]) -> dict[str, Any]:
    """What counts epochs, by name: values that are set, and defaults whose place no other parameter takes."""
    fields = {name: field for name, field in defense.model_fields.items() if EPOCHS in field.metadata}
    replaced = {name for name, tried in defense.tune.items() if params.get(tried.unless or "") is not None}
    defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
    kept = {name: value for name, value in defaults.items() if name not in replaced}
    return kept | {name: value for name, value in params.items() if name in fields}


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value changed; of a grid every value, those that fall together once."""
    if not isinstance(value, list):
        return change(value)
    changed = [change(one) for one in value]
    return [one for i, one in enumerate(changed) if one not in changed[:i]]


def _with(choice: C, name: str, value: Any) -> C:
    return choice.model_copy(update={"params": {**choice.params, name: value}})
