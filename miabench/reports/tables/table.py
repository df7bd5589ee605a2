"""The one table of all reports: names and values as plain text, whatever the form they are shown in.

The terminal, Markdown, LaTeX and HTML escape and lay out this text; none of them computes or rounds anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from miabench.metrics.estimates import Floats
from miabench.reports.numbers.evidence import Change
from miabench.reports.numbers.lines import RunStats, TableRow, printed, signed
from miabench.reports.words.footnotes import Reasons


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
    def of(cls, fraction: float, spread: str = "", below: str = "", *, best: bool = False) -> Value:
        """A fraction in percent."""
        return cls(printed(fraction), spread, below, best=best, number=fraction)

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
        below: sentences that stand right under the table.
    """

    title: str
    names: tuple[str, ...]
    headers: tuple[str, ...]
    sections: tuple[tuple[Row, ...], ...]
    below: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all sections."""
        return tuple(itertools.chain.from_iterable(self.sections))


def has_spread(tables: Iterable[Table]) -> bool:
    """Whether some value stands with its standard deviation."""
    return any("±" in value.spread for table in tables for row in table.rows for value in row.values)


def new_names(section: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """The names of each row in a section, blank where they and all before them repeat those of the row above."""
    above: tuple[str, ...] = ()
    for row in section:
        yield tuple("" if row.names[: i + 1] == above[: i + 1] else name for i, name in enumerate(row.names))
        above = row.names


def mean_over_runs(value: RunStats, reasons: Reasons, best: bool = False) -> Value:
    """A mean with its spread, or why there is none."""
    if value.mean is None:
        return Value(value.state, note=reasons.number(value.reason or ""))
    return Value.of(value.mean, "" if value.std is None else plus_minus(value.std), best=best)


def interval(low: float, high: float) -> str:
    """The ends of an interval of fractions, in percent."""
    return f"[{printed(low)}, {printed(high)}]"


def plus_minus(std: float) -> str:
    """A standard deviation of fractions, in percent."""
    return f"(±{printed(std)})"


def change(value: Change | None) -> Value:
    """A difference of fractions in points, with its interval."""
    if value is None:
        return Value("n/a")
    return Value(signed(value.value), f"[{signed(value.low)}, {signed(value.high)}]", number=value.value)


def number(value: float | None, form: Callable[[float], str]) -> Value:
    """A number in a form of its own, or that there is none."""
    return Value("n/a") if value is None else Value(form(value), number=value)


def overlap(runs: Floats) -> Value:
    """The mean over runs (R,) of a number from 0 to 1, and its standard deviation."""
    spread = f"±{runs.std(ddof=1):.3f}" if len(runs) > 1 else ""
    return Value(f"{runs.mean():.3f}", spread, number=float(runs.mean()))
