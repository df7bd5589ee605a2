"""What the written tables say, whatever their form: names and values as plain text, dataset by dataset.

Markdown, LaTeX and HTML escape and lay out this text; none of them computes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from miabench.metrics.names import TITLES
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.cost import Cost, Costs
from miabench.reports.numbers.difference import Difference, Differences
from miabench.reports.numbers.summary import BASELINE, Line, Statistic, Summary, printed
from miabench.reports.tables.terminal import approach, cell_key
from miabench.reports.words import footnotes


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        text: a number as printed, or why there is none.
        spread: what stands beside it: a standard deviation or an interval.
        note: number of the footnote that says why there is no number.
        best: whether it is marked.
        number: to sort by.
    """

    text: str
    spread: str = ""
    note: int | None = None
    best: bool = False
    number: float | None = None

    @property
    def words(self) -> str:
        """All of it as text."""
        note = "" if self.note is None else f"[{self.note}]"
        return " ".join(filter(None, (self.text, self.spread, note)))


@dataclass(frozen=True)
class Entry:
    """One line: names in the order of the sheet's, then values."""

    line: Line
    names: tuple[str, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Sheet:
    """One table of one dataset.

    Attributes:
        names: headers of the columns that say what a line is about.
        headers: of the values.
    """

    dataset: str
    title: str
    names: tuple[str, ...]
    headers: tuple[str, ...]
    entries: tuple[Entry, ...]


def results(summary: Summary, reasons: footnotes.Reasons) -> list[Sheet]:
    """Accuracy and the attacks of every line, laid out like the paper's tables."""
    sheets = []
    for dataset, lines in _by_dataset(summary.lines):
        headers = ("train acc. ↑", "test acc. ↑", *(f"{attack} ↓" for attack in lines[0].attacks))
        title = f"{_place(lines)}: accuracy, and {TITLES[summary.metric]} of each attack, in percent"
        rows = [[_value(value, reasons) for value in (line.train, line.test, *line.attacks.values())] for line in lines]
        sheets.append(_sheet(dataset, title, headers, list(zip(lines, rows, strict=True))))
    return sheets


def differences(summary: Summary, compared: Differences) -> list[Sheet]:
    """How much each defended line differs from the undefended one; datasets without any are left out."""
    sheets = []
    for dataset, lines in _by_dataset([line for line in summary.lines if line.key in compared]):
        headers = ("test acc. ↑", *(f"{attack} ↓" for attack in lines[0].attacks))
        title = f"{_place(lines)}: difference to {BASELINE}, in points of accuracy and AUC [95% interval]"
        rows = []
        for line in lines:
            comparison = compared[line.key]
            changes = [comparison.accuracy, *(comparison.attacks.get(attack) for attack in line.attacks)]
            rows.append((line, [_change(change) for change in changes]))
        sheets.append(_sheet(dataset, title, headers, rows))
    return sheets


def gaps(summary: Summary) -> list[Sheet]:
    """The adaptivity gap of each attack; none unless both attackers were run."""
    found = adaptivity_gaps(summary)
    lines = [line for line in summary.lines if line.attacker == "adaptive" and cell_key(line) in found]
    sheets = []
    for dataset, own in _by_dataset(lines):
        title = f"{_place(own)}: adaptivity gap: {TITLES[summary.metric]} of the adaptive attacker minus that of the "
        headers = tuple(own[0].attacks)
        rows = [(line, [_gap(found[cell_key(line)].get(attack)) for attack in headers]) for line in own]
        sheets.append(_sheet(dataset, title + "non-adaptive one, in points", headers, rows))
    return sheets


COST_HEADERS = (
    "trainings",
    "CPU seconds",
    f"ratio to {BASELINE}",
    "wall seconds",
    "records forward",
    "records backward",
    "withheld",
    "s per 1,000 answers",
)


def spent(summary: Summary, costs: Costs) -> list[Sheet]:
    """What one target of each cell cost; datasets without any are left out."""
    lines = [line for line in summary.lines if line.attacker == summary.attackers[0] and cell_key(line) in costs]
    sheets = []
    for dataset, own in _by_dataset(lines):
        title = f"{_place(own)}: cost of one target, everything it starts from included"
        bases = {line.cell.model: costs[cell_key(line)] for line in own if line.undefended}
        rows = [(line, _cost(costs[cell_key(line)], bases.get(line.cell.model))) for line in own]
        sheets.append(_sheet(dataset, title, COST_HEADERS, rows))
    return sheets


def reading(summary: Summary) -> Iterator[str]:
    """How to read the numbers; what the terminal marks with a star is bold here."""
    for note in footnotes.reading(summary):
        yield f"bold: {note[2:]}" if note.startswith("* ") else note


def _by_dataset(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    for dataset in dict.fromkeys(line.cell.dataset for line in lines):
        yield dataset, [line for line in lines if line.cell.dataset == dataset]


def _place(lines: Sequence[Line]) -> str:
    """The dataset, and the model where there is one: it needs no column then."""
    models = dict.fromkeys(line.cell.model for line in lines)
    return ", ".join([lines[0].cell.dataset, *(models if len(models) == 1 else ())])


def _sheet(dataset: str, title: str, headers: tuple[str, ...], rows: Sequence[tuple[Line, list[Value]]]) -> Sheet:
    parts = {
        "model": [line.cell.model for line, _ in rows],
        "approach": [approach(line) for line, _ in rows],
        "attacker": [line.attacker for line, _ in rows],
    }
    shown = [name for name, values in parts.items() if name == "approach" or len(set(values)) > 1]
    names = zip(*(parts[name] for name in shown), strict=True)
    entries = (Entry(line, own, tuple(values)) for own, (line, values) in zip(names, rows, strict=True))
    return Sheet(dataset, title, tuple(shown), headers, tuple(entries))


def _value(value: Statistic, reasons: footnotes.Reasons) -> Value:
    if value.mean is None:
        return Value(value.state, note=reasons.number(value.reason or ""))
    spread = "" if value.std is None else f"(±{printed(value.std)})"
    return Value(printed(value.mean), spread, best=value.best, number=value.mean)


def _change(change: Difference | None) -> Value:
    if change is None:
        return Value("n/a")
    value, low, high = (f"{100 * number:+.2f}" for number in (change.value, change.low, change.high))
    return Value(value, f"[{low}, {high}]", number=change.value)


def _gap(value: float | None) -> Value:
    return Value("n/a") if value is None else Value(f"{100 * value:+.2f}", number=value)


def _cost(cost: Cost, base: Cost | None) -> list[Value]:
    numbers = (
        (cost.trainings, "g"),
        (cost.cpu_seconds, ",.2f"),
        (cost.ratio(base), ",.2f"),
        (cost.seconds, ",.2f"),
        (cost.forwarded, ",.0f"),
        (cost.differentiated, ",.0f"),
        (cost.withheld, ",.0f"),
        (cost.answering, ",.3f"),
    )
    return [Value("n/a" if number is None else f"{number:{form}}", number=number) for number, form in numbers]
