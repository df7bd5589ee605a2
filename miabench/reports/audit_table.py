"""How an audit is printed: a table for the terminal, CSV, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from miabench.auditing.result import GAP, MODEL_FREE, WORDS, Audit
from miabench.metrics.names import MAIN, TITLES
from miabench.reports.numbers.summary import printed
from miabench.reports.tables.terminal_layout import Column, Item, Rows, open_console, print_columns, print_note
from miabench.reports.words.footnotes import Reasons


def write(audit: Audit, form: str) -> None:
    """Print an audit on standard output.

    Args:
        audit: what was found.
        form: `table`, `csv` or `json`.
    """
    if form == "table":
        show(open_console(), audit)
    else:
        sys.stdout.write(to_json(audit) if form == "json" else audit.table.to_csv(index=False, lineterminator="\n"))


def to_json(audit: Audit) -> str:
    """One object: what `Audit` has beside the scores, and `rows`, each on its line; what is missing is null."""
    about = {name: getattr(audit, name) for name in WORDS}
    lines = ",\n".join(json.dumps(one, allow_nan=False) for one in _rows(audit))
    return f'{json.dumps(about)[:-1]}, "rows": [\n{lines}\n]}}\n'


def show(console: Console, audit: Audit) -> None:
    """Print the attacks as a table, then what must be said beside it.

    Args:
        console: whose width the table fits; see `miabench.reports.tables.terminal_layout.open_console`.
        audit: what was found.
    """
    values = {(one["attack"], one["metric"]): one for one in _rows(audit)}
    train, test = (values[None, f"{part}_accuracy"] for part in ("train", "test"))
    names = list(dict.fromkeys(audit.table["attack"].dropna()))
    reasons = Reasons()
    cells = {key: _item(one, reasons) for key, one in values.items() if key[0] is not None}
    columns = [Column("attack", [Item((name,)) for name in names], names=True)]
    for metric in MAIN:
        columns.append(Column(TITLES[metric], [cells.get((name, metric), Item(("",))) for name in names]))
    title = f"{train['n_members']:,} members and {test['n_nonmembers']:,} non-members of {audit.num_classes} classes"
    print_columns(console, Rows(f"{title}: each attack, in percent [95% interval]", [False] * len(names)), columns)
    for note in (*_notes(audit, train["value"], test["value"]), *reasons.notes()):
        print_note(console, note)
    for warning in audit.warnings:
        print_note(console, f"warning: {warning}")


def _rows(audit: Audit) -> list[dict[str, Any]]:
    """The table's rows, what is missing as None."""
    table = audit.table.astype(object)
    return [
        {str(name): value for name, value in one.items()} for one in table.where(table.notna(), None).to_dict("records")
    ]


def _item(one: Mapping[str, Any], reasons: Reasons) -> Item:
    if one["reason"] is not None:
        return Item(("n/a", f"[{reasons.number(one['reason'])}]"))
    return Item((printed(one["value"]), f"[{printed(one['low'])}, {printed(one['high'])}]"))


def _notes(audit: Audit, train: float, test: float) -> Iterator[str]:
    yield audit.verdict
    yield f"accuracy on members {printed(train)}, on non-members {printed(test)}; {audit.shadows} shadow models"
    yield from audit.notes
    yield "intervals are over records: they say nothing about other trainings of the model"
    yield f"{GAP}: the baseline that calls a record a member if it is classified correctly; it needs no outputs"
    if MODEL_FREE in set(audit.table["attack"]):
        yield f"{MODEL_FREE}: a classifier that sees features and labels but no model: what any attack gets for free"
