"""The one table of all reports: names and values as plain text, whatever the form they are shown in.

The terminal, Markdown, LaTeX and HTML escape and lay out this text; none of them computes or rounds anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from miabench.metrics.names import TITLES
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.cost import Cost, Costs
from miabench.reports.numbers.difference import Difference, Differences
from miabench.reports.numbers.lines import RunStats, Summary, TableRow, printed, signed
from miabench.reports.numbers.names import approach, baseline_name
from miabench.reports.words.footnotes import Reasons

COST_HEADERS = (
    "trainings",
    "CPU seconds",
    "ratio to {}",
    "wall seconds",
    "records forward",
    "records backward",
    "withheld",
    "s per 1,000 answers",
)


@dataclass(frozen=True)
class Value:
    """What stands in one place of a table.

    Attributes:
        text: a number as printed, or why there is none.
        spread: what stands beside it: a standard deviation or an interval.
        below: what stands on a line of its own below both.
        note: number of the footnote that says why there is no number.
        best: whether it is marked.
        number: to sort by; None where the text is no number.
    """

    text: str
    spread: str = ""
    below: str = ""
    note: int | None = None
    best: bool = False
    number: float | None = None

    @classmethod
    def of(cls, fraction: float, spread: str = "", *, best: bool = False) -> Value:
        """A fraction in percent."""
        return cls(printed(fraction), spread, best=best, number=fraction)

    @property
    def beside(self) -> str:
        """All but what stands below, as text."""
        return " ".join(filter(None, (self.text, self.spread, self.footnote)))

    @property
    def footnote(self) -> str:
        """The reference to the footnote, as text; empty without one."""
        return "" if self.note is None else f"[{self.note}]"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        names: what the row is about, in the order of the table's names.
        values: in the order of the table's headers.
        line: what of the results the row shows, for links and shades; None where it shows something else.
    """

    names: tuple[str, ...]
    values: tuple[Value, ...]
    line: TableRow | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether the row says nothing of the defense, since its trainings collapsed."""
        return self.line is not None and bool(self.line.collapsed)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: what it shows, of which dataset.
        names: headers of the columns that say what a row is about.
        headers: of the values.
        sections: rows that belong together; a rule is drawn between sections.
    """

    title: str
    names: tuple[str, ...]
    headers: tuple[str, ...]
    sections: tuple[tuple[Row, ...], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all sections."""
        return tuple(itertools.chain.from_iterable(self.sections))


def new_names(section: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """The names of each row in a section, blank where they and all before them repeat those of the row above."""
    above: tuple[str, ...] = ()
    for row in section:
        yield tuple("" if row.names[: i + 1] == above[: i + 1] else name for i, name in enumerate(row.names))
        above = row.names


# --- the tables of a report ---


def report_tables(summary: Summary, compared: Differences, costs: Costs, reasons: Reasons) -> list[Table]:
    """Results, differences to the baseline, adaptivity gaps and costs of each dataset, as far as there are any."""
    return [
        *results_tables(summary, reasons),
        *differences_tables(summary, compared),
        *gaps_tables(summary),
        *cost_tables(summary, costs),
    ]


def results_tables(summary: Summary, reasons: Reasons) -> list[Table]:
    """Accuracy and the attacks of every line, laid out like the paper's tables."""

    def values(line: TableRow) -> list[Value]:
        return [mean_over_runs(value, reasons) for value in (line.train, line.test, *line.attacks.values())]

    tables = []
    for lines in _by_dataset(summary.lines):
        headers = ("train acc. ↑", "test acc. ↑", *(f"{attack} ↓" for attack in lines[0].attacks))
        title = f"{_about(lines)}: accuracy, and {TITLES[summary.metric]} of each attack, in percent"
        tables.append(_table(title, headers, lines, values))
    return tables


def differences_tables(summary: Summary, compared: Differences) -> list[Table]:
    """How much each defended line differs from the baseline; datasets without any are left out."""

    def values(line: TableRow) -> list[Value]:
        comparison = compared[line.key]
        return [change(one) for one in (comparison.accuracy, *map(comparison.attacks.get, line.attacks))]

    tables = []
    for lines in _by_dataset([line for line in summary.lines if line.key in compared]):
        headers = ("test acc. ↑", *(f"{attack} ↓" for attack in lines[0].attacks))
        name = baseline_name(summary.lines)
        title = f"{_about(lines)}: difference to {name}, in points of accuracy and AUC [95% interval]"
        tables.append(_table(title, headers, lines, values))
    return tables


def gaps_tables(summary: Summary) -> list[Table]:
    """The adaptivity gap of each attack; none unless both attackers were run."""
    gaps = adaptivity_gaps(summary)

    def values(line: TableRow) -> list[Value]:
        return [_number(gaps[line.cell.key].get(attack), signed) for attack in line.attacks]

    tables = []
    for lines in _by_dataset([line for line in summary.lines if line.attacker == "adaptive" and line.cell.key in gaps]):
        title = (
            f"{_about(lines)}: adaptivity gap: {TITLES[summary.metric]} of the adaptive attacker minus that of the "
            "non-adaptive one, in points"
        )
        tables.append(_table(title, tuple(lines[0].attacks), lines, values))
    return tables


def cost_tables(summary: Summary, costs: Costs) -> list[Table]:
    """What one target of each cell cost; datasets without any are left out."""
    bases = {line.site: costs.get(line.cell.key) for line in summary.lines if line.is_baseline}

    def values(line: TableRow) -> list[Value]:
        return list(_cost(costs[line.cell.key], bases.get(line.site)))

    headers = tuple(header.format(baseline_name(summary.lines)) for header in COST_HEADERS)
    lines = [line for line in summary.lines if line.attacker == summary.attackers[0] and line.cell.key in costs]
    return [
        _table(f"{_about(own)}: cost of one target, everything it starts from included", headers, own, values)
        for own in _by_dataset(lines)
    ]


def _by_dataset(lines: Sequence[TableRow]) -> list[list[TableRow]]:
    datasets = dict.fromkeys(line.cell.dataset for line in lines)
    return [[line for line in lines if line.cell.dataset == dataset] for dataset in datasets]


def _about(lines: Sequence[TableRow]) -> str:
    """The dataset, and the model where there is one: it needs no column then."""
    models = dict.fromkeys(line.cell.model for line in lines)
    return ", ".join([lines[0].cell.dataset, *(models if len(models) == 1 else ())])


def _table(
    title: str, headers: tuple[str, ...], lines: Sequence[TableRow], values: Callable[[TableRow], list[Value]]
) -> Table:
    """A row per line, a section per model; of the names only those in which lines differ, and the approach."""
    parts = {
        "model": [line.cell.model for line in lines],
        "approach": [approach(line) for line in lines],
        "attacker": [line.attacker for line in lines],
    }
    shown = tuple(name for name, own in parts.items() if name == "approach" or len(set(own)) > 1)
    names = zip(*(parts[name] for name in shown), strict=True)
    rows = [Row(own, tuple(values(line)), line) for own, line in zip(names, lines, strict=True)]
    sections = itertools.groupby(rows, key=lambda row: row.line and row.line.cell.model)
    return Table(title, shown, headers, tuple(tuple(own) for _, own in sections))


# --- values ---


def mean_over_runs(value: RunStats, reasons: Reasons) -> Value:
    """A mean with its spread, or why there is none."""
    if value.mean is None:
        return Value(value.state, note=reasons.number(value.reason or ""))
    return Value.of(value.mean, "" if value.std is None else plus_minus(value.std), best=value.best)


def plus_minus(std: float) -> str:
    """A standard deviation of fractions, in percent."""
    return f"(±{printed(std)})"


def change(value: Difference | None) -> Value:
    """A difference of fractions in points, with its interval."""
    if value is None:
        return Value("n/a")
    return Value(signed(value.value), f"[{signed(value.low)}, {signed(value.high)}]", number=value.value)


def _number(value: float | None, form: Callable[[float], str]) -> Value:
    return Value("n/a") if value is None else Value(form(value), number=value)


def _cost(cost: Cost, base: Cost | None) -> Iterator[Value]:
    yield _number(cost.trainings, "{:g}".format)
    yield _number(cost.cpu_seconds, "{:,.2f}".format)
    yield _number(cost.ratio(base), "{:,.2f}".format)
    yield _number(cost.seconds, "{:,.2f}".format)
    yield _number(cost.forwarded, "{:,.0f}".format)
    yield _number(cost.differentiated, "{:,.0f}".format)
    yield _number(cost.withheld, "{:,.0f}".format)
    yield _number(cost.answering, "{:,.3f}".format)
