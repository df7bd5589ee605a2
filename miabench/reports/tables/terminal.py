"""Tables in a terminal or a text file, and the results printed so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from rich.console import Console

from miabench.reports.tables.report_tables import Tabled, report_tables, worst_tables
from miabench.reports.tables.table import Table, Value, has_spread, new_names
from miabench.reports.tables.terminal_layout import Column, Item, print_columns, print_note
from miabench.reports.words import footnotes, provenance
from miabench.reports.words.alerts import turned


def show(console: Console, made: Tabled, said: Sequence[str], details: bool) -> None:
    """Print the worst cases, what they come to in words, and what must be said beside them.

    Args:
        console: whose width the tables fit; see `terminal_layout.open_console`.
        made: what the tables show.
        said: the answer, in sentences.
        details: whether every attack, the gaps and the costs are shown too.
    """
    reasons = footnotes.Reasons()
    tables = report_tables(made, reasons) if details else worst_tables(made, reasons)
    for table in tables:
        print_table(console, table)
    for sentence in said:
        print_note(console, sentence)
    if said:
        console.print()
    for note in _notes(made, tables, reasons):
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
    for sentence in table.below:
        print_note(console, sentence)


def _notes(made: Tabled, tables: Sequence[Table], reasons: footnotes.Reasons) -> Iterator[str]:
    yield from footnotes.reading(made.summary, made.judged, best="*", spread=has_spread(tables))
    yield from footnotes.beside(made.summary, made.judged, reasons)
    yield f"trained on {provenance.trained_on(made.summary.index.experiment)}"
    yield from (f"warning: {warning}" for warning in (*made.summary.warnings, *turned(made.summary, made.judged)))


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
