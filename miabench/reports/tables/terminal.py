"""Tables in a terminal or a text file, and the results printed so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from rich.console import Console

from miabench.reports.numbers.cost import Costs
from miabench.reports.numbers.difference import Differences
from miabench.reports.numbers.lines import Summary
from miabench.reports.tables.table import Table, Value, new_names, report_tables
from miabench.reports.tables.terminal_layout import Column, Item, print_columns, print_note
from miabench.reports.words import footnotes


def show(console: Console, summary: Summary, compared: Differences, costs: Costs) -> None:
    """Print the tables of a report, then what must be said beside them.

    Args:
        console: whose width the tables fit; see `terminal_layout.open_console`.
        summary: all lines are printed.
        compared: differences of these lines; what is missing is left out.
        costs: of the cells; what is missing is left out.
    """
    reasons = footnotes.Reasons()
    for table in report_tables(summary, compared, costs, reasons):
        print_table(console, table)
    for note in _notes(summary, compared, reasons):
        print_note(console, note)


def print_table(console: Console, table: Table) -> None:
    """Print a table, a rule between its sections; the best values have a star and are bold."""
    rows, columns = table.rows, []
    names = list(itertools.chain.from_iterable(new_names(section) for section in table.sections))
    for i, header in enumerate(table.names):
        items = [Item((own[i],), _style(row.is_quiet)) for own, row in zip(names, rows, strict=True)]
        columns.append(Column(header, items, names=True))
    for i, header in enumerate(table.headers):
        columns.append(Column(header, [_item(row.values[i], row.is_quiet) for row in rows]))
    print_columns(console, table.title, list(_ends(table)), columns)


def _notes(summary: Summary, compared: Differences, reasons: footnotes.Reasons) -> Iterator[str]:
    yield from footnotes.reading(summary, best="*")
    yield from footnotes.beside(summary, compared, reasons)
    yield from (f"warning: {warning}" for warning in summary.warnings)


def _ends(table: Table) -> Iterator[bool]:
    """After which rows a rule is drawn: below each section but the last."""
    for section in table.sections:
        yield from [False] * (len(section) - 1)
        yield section is not table.sections[-1]


def _item(value: Value, is_quiet: bool) -> Item:
    text = f"*{value.text}" if value.best else value.text
    parts: Sequence[str] = [part for part in (text, value.spread, value.footnote) if part]
    return Item(tuple(parts), "bold" if value.best else _style(is_quiet), value.below)


def _style(is_quiet: bool) -> str:
    return "dim" if is_quiet else ""
