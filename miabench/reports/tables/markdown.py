"""The results as Markdown tables (GitHub's), with what must be said beside them.

All text from experiments and plugins is escaped: it shows as it is and makes no markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from miabench.reports.tables.report_tables import Tabled, report_tables
from miabench.reports.tables.table import Table, Value, has_spread
from miabench.reports.tables.terminal_layout import plain
from miabench.reports.words import footnotes, provenance
from miabench.reports.words.alerts import turned

SPECIAL = re.compile(r"[\\`*_\[\]<>|~#$]")
ENTITIES = {"<": "&lt;", ">": "&gt;"}


def to_markdown(made: Tabled, said: Sequence[str], made_with: str) -> str:
    """The tables of a report, what they come to in words, then notes and warnings.

    Args:
        made: what the tables show.
        said: the answer, in sentences.
        made_with: versions, for the last note.
    """
    reasons, summary = footnotes.Reasons(), made.summary
    tables = report_tables(made, reasons)
    parts = [*map(escape, said), *map(markdown_table, tables)]
    origin = [*provenance.protocol(summary.index.experiment), *([f"made with {made_with}"] if made_with else ())]
    reading = footnotes.reading(summary, made.judged, best="bold:", spread=has_spread(tables))
    notes = [*reading, *footnotes.beside(summary, made.judged, reasons), *origin]
    notes += [f"warning: {warning}" for warning in (*summary.warnings, *turned(summary, made.judged))]
    parts.append("\n".join(f"- {escape(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    text = plain(text).replace("&", "&amp;")
    return SPECIAL.sub(lambda found: ENTITIES.get(found[0], "\\" + found[0]), text)


def markdown_table(table: Table) -> str:
    """One table with its title and what stands below it; the best values are bold."""
    rows = "\n".join(f"| {' | '.join(row)} |" for row in _rows(table))
    return "\n\n".join([f"**{escape(table.title)}**", rows, *map(escape, table.below)])


def _rows(table: Table) -> Iterator[list[str]]:
    yield [escape(header) for header in (*table.names, *table.headers)]
    yield [":---"] * len(table.names) + ["---:"] * len(table.headers)
    for row in table.rows:
        yield [*map(escape, row.names), *map(_value, row.values)]


def _value(value: Value) -> str:
    text = escape(value.beside)
    text = f"**{text}**" if value.best else text
    return f"{text}<br>{escape(value.below)}" if value.below else text
