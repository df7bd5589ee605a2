"""What things are called in every report: metrics, quantities, defenses and their settings."""

from __future__ import annotations

from collections.abc import Sequence

from miabench.metrics.names import TITLES
from miabench.reports.numbers.lines import Summary, TableRow
from miabench.results.index import Cell

ACCURACY_NAMES = {"train_accuracy": "train acc.", "test_accuracy": "test acc."}
DAGGER = "†"  # marks approaches whose hyper-parameters were not all chosen on the shadow half
CHOICE = (
    "one setting of each defense: the least {} of its strongest attack within {:g} points of {}'s accuracy, "
    "else the most accurate"
)


def baseline_name(lines: Sequence[TableRow]) -> str:
    """The defense that others are compared with, by its name where there is one."""
    return next((line.cell.defense for line in lines if line.cell.is_baseline), "the baseline")


def repetitions(count: int, paired: bool) -> str:
    """So many runs; of pairs of models each is the target of one run, so there it is models, whose number is even."""
    return f"{count + count % 2} models" if paired else f"{count} runs"


def quantity_name(quantity: str) -> str:
    """An accuracy's or an attack's name in a table."""
    return ACCURACY_NAMES.get(quantity, quantity)


def how_chosen(summary: Summary) -> str:
    """What must be said where one setting stands for a defense: see `best.best_setting`."""
    return CHOICE.format(TITLES[summary.metric], summary.max_accuracy_loss, baseline_name(summary.lines))


def title_of(cell: Cell) -> str:
    """The defense with its hyper-parameters, and whether it is none."""
    return with_baseline(cell.label, cell)


def with_baseline(text: str, cell: Cell) -> str:
    """A text about a cell's defense that says so where the defense is none."""
    return f"{text} (no defense)" if cell.is_baseline else text


def marked(line: TableRow) -> str:
    """The defense with its hyper-parameters, with a dagger where they were not all chosen on the shadow half."""
    return line.cell.label + (DAGGER if line.tuned_on_target else "")


def approach(line: TableRow) -> str:
    """The defense with its hyper-parameters and mark, and whether it collapsed."""
    label = with_baseline(marked(line), line.cell)
    if not line.collapsed:
        return label
    share = "" if line.collapsed == line.test.runs else f" in {line.collapsed} of {line.test.runs} runs"
    return f"{label} (collapsed{share})"
