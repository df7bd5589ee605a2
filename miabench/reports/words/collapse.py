"""What to type where a defense collapsed: right under the table that shows it, where it is missed least."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from miabench.experiment.model import Experiment
from miabench.reports.numbers.lines import Summary, TableRow
from miabench.reports.numbers.names import baseline_name
from miabench.results.index import Cell
from miabench.training.schedule import Schedule

SETTING = re.compile(r"--set \S*[^\s.,;)]")
SLOWER = 10  # the learning rate that is tried where nothing better is known
LONGER = 10  # times the epochs, where members are not learnt either


def remedies(summary: Summary, lines: Sequence[TableRow]) -> Iterator[str]:
    """For each collapsed defense of these lines: the option that its advice names, else a longer or slower schedule.

    A defense's schedule is set for it alone: the others, and what they are compared with, stay as they are. Where that
    collapsed too, no defense is the reason: the schedule is.
    """
    experiment = summary.index.experiment
    base = next((line.cell for line in lines if line.collapsed and line.is_baseline), None)
    if base is not None:
        own = f"{base.defense}." if any(name.startswith("schedule.") for name in base.params) else ""
        yield (
            f"{baseline_name(lines)} collapsed: nothing was learnt under this schedule; add to your command: "
            f"{_schedule_options(experiment, [base], own)}"
        )
        return
    for defense in dict.fromkeys(line.cell.defense for line in lines if line.collapsed):
        advised = [warning for warning in summary.warnings if warning.startswith(f"{defense}:")]
        named = [found[0] for warning in advised if (found := SETTING.search(warning))]
        cells = [line.cell for line in lines if line.collapsed and line.cell.defense == defense]
        options = " ".join(dict.fromkeys(named)) or _schedule_options(experiment, cells, f"{defense}.")
        yield f"{defense} collapsed; add to your command: {options}"


def _schedule_options(experiment: Experiment, cells: Sequence[Cell], whose: str) -> str:
    """More epochs, or a lower learning rate, from what these cells were trained with.

    Args:
        experiment: the cells'.
        cells: one or more.
        whose: what stands before `schedule.`: a plugin's name and a dot, or nothing.
    """
    schedules = [_trained_on(experiment, cell) for cell in cells]
    epochs = LONGER * max(schedule.epochs for schedule in schedules)
    lr = min(schedule.lr for schedule in schedules) / SLOWER
    longer = f"--set {whose}schedule.epochs={epochs}" if whose else f"--epochs {epochs}"
    return f"{longer}, or --set {whose}schedule.lr={lr:g}"


def _trained_on(experiment: Experiment, cell: Cell) -> Schedule:
    """The schedule of a cell, as far as its epochs and learning rate go: its dataset's, but for what is its own."""
    dataset = next((one.schedule for one in experiment.dataset if one.name == cell.dataset.partition(" ")[0]), {})
    own = {key: cell.params[f"schedule.{key}"] for key in ("epochs", "lr") if f"schedule.{key}" in cell.params}
    return experiment.schedule.replaced(dataset).replaced(own)
