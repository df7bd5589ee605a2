"""How an audit is printed: a table for the terminal, CSV, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import Console

from miabench.auditing.audit import GAP, MODEL_FREE, Audit
from miabench.metrics.names import ACCURACIES, MAIN, TITLES
from miabench.reports.numbers.lines import printed
from miabench.reports.tables.table import Row, Table, Value
from miabench.reports.tables.terminal import print_table
from miabench.reports.tables.terminal_layout import open_console, print_note
from miabench.reports.words.footnotes import Reasons


class Measured(NamedTuple):
    """What one row of an audit is about; accuracies have no attack."""

    attack: str | None
    metric: str


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
    """One object: `num_classes`, `shadows`, `warnings`, and `rows`, each on its line; what is missing is null."""
    about = {"num_classes": audit.num_classes, "shadows": audit.shadows, "warnings": audit.warnings}
    lines = ",\n".join(json.dumps(one, allow_nan=False) for one in _rows(audit))
    return f'{json.dumps(about)[:-1]}, "rows": [\n{lines}\n]}}\n'


def show(console: Console, audit: Audit) -> None:
    """Print the attacks as a table, then what must be said beside it.

    Args:
        console: whose width the table fits; see `terminal_layout.open_console`.
        audit: what was found.
    """
    reasons = Reasons()
    print_table(console, audit_table(audit, reasons))
    for note in (*_notes(audit), *reasons.notes()):
        print_note(console, note)
    for warning in audit.warnings:
        print_note(console, f"warning: {warning}")


def audit_table(audit: Audit, reasons: Reasons) -> Table:
    """A row per attack, a column per metric."""
    measured = _measured(audit)
    train, test = (measured[Measured(None, name)] for name in ACCURACIES)
    title = f"{train['n_members']:,} members and {test['n_nonmembers']:,} non-members of {audit.num_classes} classes"
    names = dict.fromkeys(audit.table["attack"].dropna())
    rows = [
        Row((name,), tuple(_value(measured.get(Measured(name, metric)), reasons) for metric in MAIN)) for name in names
    ]
    headers = tuple(TITLES[metric] for metric in MAIN)
    return Table(f"{title}: each attack, in percent [95% interval]", ("attack",), headers, (tuple(rows),))


def _measured(audit: Audit) -> Mapping[Measured, Mapping[str, Any]]:
    return {Measured(one["attack"], one["metric"]): one for one in _rows(audit)}


def _rows(audit: Audit) -> list[dict[str, Any]]:
    """The table's rows, what is missing as None."""
    table = audit.table.astype(object)
    return [
        {str(name): value for name, value in one.items()} for one in table.where(table.notna(), None).to_dict("records")
    ]


def _value(one: Mapping[str, Any] | None, reasons: Reasons) -> Value:
    if one is None:
        return Value("")
    if one["reason"] is not None:
        return Value("n/a", note=reasons.number(one["reason"]))
    return Value.of(one["value"], f"[{printed(one['low'])}, {printed(one['high'])}]")


def _notes(audit: Audit) -> Iterator[str]:
    measured = _measured(audit)
    train, test = (measured[Measured(None, name)]["value"] for name in ACCURACIES)
    yield f"accuracy on members {printed(train)}, on non-members {printed(test)}; {audit.shadows} shadow models"
    yield "intervals are over records: they say nothing about other trainings of the model"
    yield f"{GAP}: the baseline that calls a record a member if it is classified correctly; it needs no outputs"
    if MODEL_FREE in set(audit.table["attack"]):
        yield f"{MODEL_FREE}: a classifier that sees features and labels but no model: what any attack gets for free"
