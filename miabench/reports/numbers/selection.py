"""Which lines and attacks of a summary a report shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from miabench.errors import UserError, nearest
from miabench.reports.numbers.best import strongest
from miabench.reports.numbers.lines import Summary, TableRow

WORST = "worst"  # sorts by the strongest attack
ACCURACIES: dict[str, Callable[[TableRow], float | None]] = {
    "train-accuracy": lambda line: line.train.mean,
    "test-accuracy": lambda line: line.test.mean,
}


@dataclass(frozen=True)
class Selection:
    """What of the results is shown.

    Attributes:
        metric: of the attacks, one of the tidy table's.
        rows: names or labels of defenses, `*` standing for anything; all if empty. What the others are compared with,
            training without defense, always stays.
        columns: labels of attacks, likewise; accuracies are always shown.
        sort: an attack's label or `worst` (lowest first), `test-accuracy` or `train-accuracy` (highest first); the
            experiment's order if None. Lines of different datasets and models are never mixed.
    """

    metric: str = "auc"
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: str | None = None


ALL = Selection()


def select(summary: Summary, selection: Selection) -> Summary:
    """The chosen lines with the chosen attacks, sorted; a note says what was left out, for marks stay as they were.

    Raises:
        UserError: a row, column or sort key that nothing matches, all at once.
    """
    attacks = list(summary.lines[0].attacks) if summary.lines else []
    problems = [*_problems(summary, attacks, selection)]
    if problems:
        raise UserError(*problems)
    columns = [name for name in attacks if _matches((name,), selection.columns)]
    lines = [
        replace(line, attacks={name: line.attacks[name] for name in columns})
        for line in summary.lines
        if line.is_baseline or _matches((line.cell.defense, line.cell.label), selection.rows)
    ]
    notes = summary.notes
    if len(lines) < len(summary.lines):
        notes = (*notes, f"{len(lines)} of {len(summary.lines)} lines are shown; marks are among all")
    return replace(summary, lines=tuple(_sorted(lines, selection.sort)), notes=notes)


def _problems(summary: Summary, attacks: Sequence[str], selection: Selection) -> Iterator[str]:
    defenses = {name for line in summary.lines for name in (line.cell.defense, line.cell.label)}
    for pattern in selection.rows:
        if not _matches(list(defenses), (pattern,)):
            yield f"--rows {pattern!r} is no defense of the experiment{nearest(pattern, defenses)}"
    for pattern in selection.columns:
        if not _matches(attacks, (pattern,)):
            yield f"--columns {pattern!r} is no attack of the experiment{nearest(pattern, attacks)}"
    keys = [*ACCURACIES, WORST, *attacks]
    if selection.sort is not None and selection.sort not in keys:
        yield f"--sort {selection.sort!r} is no column{nearest(selection.sort, keys)}"


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _sorted(lines: Sequence[TableRow], key: str | None) -> list[TableRow]:
    """Sorted within each dataset and model; what has no value stands last."""
    if key is None:
        return list(lines)
    sites = list(dict.fromkeys(line.site for line in lines))

    def order(line: TableRow) -> tuple[int, bool, float]:
        value = _sort_value(line, key)
        return sites.index(line.site), value is None, value or 0.0

    return sorted(lines, key=order)


def _sort_value(line: TableRow, key: str) -> float | None:
    """What is sorted by, lowest first."""
    if key in ACCURACIES:
        value = ACCURACIES[key](line)
        return None if value is None else -value
    if key == WORST:
        top = strongest(line, list(line.attacks))
        return None if top is None else top.mean
    return line.attacks[key].mean if key in line.attacks else None
