"""The results as tables in a terminal or a text file, laid out like the paper's Table 1."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console

from miabench.metrics.names import TITLES
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.cost import Costs
from miabench.reports.numbers.difference import Difference, Differences
from miabench.reports.numbers.summary import BASELINE, Line, Statistic, Summary, printed
from miabench.reports.tables.terminal_layout import Column, Item, Rows, print_columns, print_note
from miabench.reports.words import footnotes

T = TypeVar("T")


def show(console: Console, summary: Summary, differences: Differences, spent: Costs) -> None:
    """Print the results and the differences to `ce`, dataset by dataset, then what must be said beside them.

    Args:
        console: whose width the tables fit; see `layout.open_console`.
        summary: all lines are printed.
        differences: of these lines; what is missing is left out.
        spent: what each cell cost.
    """
    reasons = footnotes.Reasons()
    for dataset in dict.fromkeys(line.cell.dataset for line in summary.lines):
        lines = [line for line in summary.lines if line.cell.dataset == dataset]
        title = f"{dataset}: accuracy, and {TITLES[summary.metric]} of each attack, in percent"
        columns = [*_names(summary, lines), *_results(lines, reasons)]
        print_columns(console, Rows(title, _ends(lines)), columns)
        compared = [line for line in lines if line.key in differences]
        if compared:
            title = f"{dataset}: difference to {BASELINE}, in points of accuracy and AUC [95% interval]"
            columns = [*_names(summary, compared), *_differences(compared, differences)]
            print_columns(console, Rows(title, _ends(compared)), columns)
        _show_gaps(console, summary, [line for line in lines if line.attacker == "adaptive"])
        _show_costs(console, [line for line in lines if line.attacker == summary.attackers[0]], spent)
    for note in _notes(summary, differences, reasons):
        print_note(console, note)


def _show_gaps(console: Console, summary: Summary, lines: Sequence[Line]) -> None:
    """The adaptivity gap of each attack, where both attackers were run."""
    gaps = adaptivity_gaps(summary)
    lines = [line for line in lines if cell_key(line) in gaps]
    if not lines:
        return
    columns = [Column("model", [Item((line.cell.model,)) for line in lines], names=True)]
    columns.append(Column("approach", [Item((approach(line),)) for line in lines], names=True))
    for attack in lines[0].attacks:
        values = [gaps[cell_key(line)].get(attack) for line in lines]
        columns.append(Column(attack, [Item(("n/a" if value is None else f"{100 * value:+.2f}",)) for value in values]))
    title = f"{lines[0].cell.dataset}: adaptivity gap: {TITLES[summary.metric]} of the adaptive attacker"
    print_columns(console, Rows(f"{title} minus that of the non-adaptive one, in points", _ends(lines)), columns)


def _show_costs(console: Console, lines: Sequence[Line], spent: Costs) -> None:
    """What one target costs under each defense; ratios only where times were measured alike."""
    lines = [line for line in lines if cell_key(line) in spent]
    if not lines:
        return
    paid = [spent[cell_key(line)] for line in lines]
    bases = {line.cell.model: spent[cell_key(line)] for line in lines if line.undefended}
    ratios = [cost.ratio(bases.get(line.cell.model)) for line, cost in zip(lines, paid, strict=True)]
    columns = [
        Column("model", [Item((line.cell.model,)) for line in lines], names=True),
        Column("approach", [Item((approach(line),)) for line in lines], names=True),
        Column("trainings", [Item((f"{cost.trainings:g}",)) for cost in paid]),
        Column("CPU seconds", [Item((f"{cost.cpu_seconds:.2f}",)) for cost in paid]),
        Column("ratio to ce", [Item((_or_na(ratio, ".2f"),)) for ratio in ratios]),
        Column("wall seconds", [Item((f"{cost.seconds:.2f}",)) for cost in paid]),
        Column("records forward", [Item((f"{cost.forwarded:,.0f}",)) for cost in paid]),
        Column("records backward", [Item((f"{cost.differentiated:,.0f}",)) for cost in paid]),
        Column("withheld", [Item((f"{cost.withheld:,}",)) for cost in paid]),
        Column("s per 1,000 answers", [Item((_or_na(cost.answering, ".3f"),)) for cost in paid]),
    ]
    title = f"{lines[0].cell.dataset}: cost of one target, everything it starts from included"
    print_columns(console, Rows(title, _ends(lines)), columns)


def _or_na(value: float | None, form: str) -> str:
    return "n/a" if value is None else f"{value:{form}}"


def cell_key(line: Line) -> tuple[str, str, str]:
    """What names the line's cell: dataset, model, and the defense with its hyper-parameters."""
    return line.cell.dataset, line.cell.model, line.cell.label


def _notes(summary: Summary, differences: Differences, reasons: footnotes.Reasons) -> Iterator[str]:
    yield from footnotes.reading(summary)
    yield from footnotes.beside(summary, differences, reasons)
    yield from (f"warning: {warning}" for warning in summary.warnings)


def _ends(lines: Sequence[Line]) -> list[bool]:
    """A rule below each model's last line."""
    return [a.cell.model != b.cell.model for a, b in itertools.pairwise(lines)] + [False]


def _names(summary: Summary, lines: Sequence[Line]) -> Iterator[Column]:
    models = [line.cell.model for line in lines]
    yield Column("model", [Item((model if new else "",)) for model, new in _news(models)], names=True)
    cells = [(line.cell.model, approach(line), _style(line)) for line in lines]
    approaches = [Item((label if new else "",), style) for (_, label, style), new in _news(cells)]
    yield Column("approach", approaches, names=True)
    if len(summary.attackers) > 1:
        yield Column("attacker", [Item((line.attacker,), _style(line)) for line in lines], names=True)


def _news(values: Sequence[T]) -> Iterator[tuple[T, bool]]:
    """Each value, and whether it is another than the one before: what is repeated is left blank."""
    for i, value in enumerate(values):
        yield value, i == 0 or value != values[i - 1]


def marked(line: Line) -> str:
    """The defense with its hyper-parameters, with a dagger where they were not all chosen on the shadow half."""
    return line.cell.label + (footnotes.DAGGER if line.tuned_on_target else "")


def approach(line: Line) -> str:
    """The defense with its hyper-parameters and mark, and whether it collapsed."""
    label = f"{marked(line)} (no defense)" if line.cell.defense == BASELINE else marked(line)
    if not line.collapsed:
        return label
    share = "" if line.collapsed == line.test.runs else f" in {line.collapsed} of {line.test.runs} runs"
    return f"{label} (collapsed{share})"


def _style(line: Line) -> str:
    return "dim" if line.collapsed else ""


def _results(lines: Sequence[Line], reasons: footnotes.Reasons) -> Iterator[Column]:
    for value in itertools.chain.from_iterable((line.train, line.test, *line.attacks.values()) for line in lines):
        if value.mean is None:
            reasons.number(value.reason or "")  # in the order in which a line is read
    for header, values in _columns(lines):
        items = [_value(value, reasons, _style(line)) for line, value in zip(lines, values, strict=True)]
        yield Column(header, items)


def _columns(lines: Sequence[Line]) -> Iterator[tuple[str, list[Statistic]]]:
    yield "train acc. ↑", [line.train for line in lines]
    yield "test acc. ↑", [line.test for line in lines]
    for attack in lines[0].attacks:
        yield f"{attack} ↓", [line.attacks[attack] for line in lines]


def _value(value: Statistic, reasons: footnotes.Reasons, style: str) -> Item:
    if value.mean is None:
        return Item((value.state, f"[{reasons.number(value.reason or '')}]"), style)
    mean = f"*{printed(value.mean)}" if value.best else printed(value.mean)
    spread = () if value.std is None else (f"(±{printed(value.std)})",)
    return Item((mean, *spread), "bold" if value.best else style)


def _differences(lines: Sequence[Line], differences: Differences) -> Iterator[Column]:
    compared = [differences[line.key] for line in lines]
    columns = {"test acc. ↑": [comparison.accuracy for comparison in compared]}
    for attack in lines[0].attacks:
        columns[f"{attack} ↓"] = [comparison.attacks.get(attack) for comparison in compared]
    for header, changes in columns.items():
        yield Column(header, [_change(change, _style(line)) for change, line in zip(changes, lines, strict=True)])


def _change(change: Difference | None, style: str) -> Item:
    if change is None:
        return Item(("n/a",), style)
    value, low, high = (f"{100 * number:+.2f}" for number in (change.value, change.low, change.high))
    return Item((value, f"[{low}, {high}]"), style)
