"""How an audit is printed and kept: in the forms of all reports, with its ROC curves.

What draws (matplotlib) is imported where it is used: a table starts without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from miabench.auditing.result import GAP, MODEL_FREE, WORDS, Audit
from miabench.errors import UserError
from miabench.files.atomic import remove_leftovers, replace_file
from miabench.metrics.names import ACCURACIES, MAIN, TITLES
from miabench.reports.numbers.lines import Site, printed
from miabench.reports.tables import latex, markdown
from miabench.reports.tables.table import Row, Table, Value
from miabench.reports.tables.terminal import print_table
from miabench.reports.tables.terminal_layout import open_console, print_note
from miabench.reports.words.footnotes import Reasons
from miabench.reports.write import FILES, PLOTS

if TYPE_CHECKING:
    from miabench.reports.plots.sheet import Width

SAVED = "audit.npz"


class Measured(NamedTuple):
    """What one row of an audit is about; accuracies have no attack."""

    attack: str | None
    metric: str


def write(audit: Audit, form: str) -> None:
    """Print an audit on standard output.

    Args:
        audit: what was found.
        form: `table`, or one of FORMS.
    """
    if form == "table":
        show(open_console(), audit)
    else:
        sys.stdout.write(FORMS[form](audit))


def save(audit: Audit, folder: str | Path, width: Width | None = None, titles: bool = True) -> list[Path]:
    """Write all forms, the audit itself (`Audit.load` reads it) and, in the folder's `plots`, its ROC curves.

    Args:
        audit: what was found.
        folder: made if need be.
        width: of the figure, `column` or `page` of a paper in two columns; None for a screen.
        titles: whether the figure has a heading; a paper has captions.

    Returns:
        What was written.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        return list(_save(audit, Path(folder), width, titles))
    except OSError as error:
        raise UserError(
            f"cannot write the audit to {folder}: {error.strerror or error}; choose another folder with --out"
        ) from None


def to_json(audit: Audit) -> str:
    """One object: what `Audit` has beside the scores, and `rows`, each on its line; what is missing is null."""
    about = {name: getattr(audit, name) for name in WORDS}
    lines = ",\n".join(json.dumps(one, allow_nan=False) for one in _rows(audit))
    return f'{json.dumps(about)[:-1]}, "rows": [\n{lines}\n]}}\n'


def show(console: Console, audit: Audit) -> None:
    """Print the attacks as a table, then what must be said beside it.

    Args:
        console: whose width the table fits; see `terminal_layout.open_console`.
        audit: what was found.
    """
    table, notes = _shown(audit)
    print_table(console, table)
    for note in _all_notes(audit, notes):
        print_note(console, note)


def _shown(audit: Audit) -> tuple[Table, list[str]]:
    """The table, and the notes that stand beside it."""
    reasons = Reasons()
    table = audit_table(audit, reasons)
    return table, [*_notes(audit), *reasons.notes()]


def _all_notes(audit: Audit, notes: Sequence[str]) -> list[str]:
    """The verdict first, the warnings last."""
    return [audit.verdict, *notes, *(f"warning: {warning}" for warning in audit.warnings)]


def _to_csv(audit: Audit) -> str:
    return audit.table.to_csv(index=False, lineterminator="\n")


def _to_markdown(audit: Audit) -> str:
    table, notes = _shown(audit)
    said = "\n".join(f"- {markdown.escape(note)}" for note in _all_notes(audit, notes))
    return f"{markdown.markdown_table(table)}\n\n{said}\n"


def _to_latex(audit: Audit) -> str:
    table, notes = _shown(audit)
    return latex.document(latex.latex_floats(table, []), _all_notes(audit, notes))


def _to_html(audit: Audit) -> str:
    from miabench.reports.page.audit_page import to_html

    return to_html(audit, *_shown(audit))


FORMS: Mapping[str, Callable[[Audit], str]] = {
    "csv": _to_csv,
    "json": to_json,
    "markdown": _to_markdown,
    "latex": _to_latex,
    "html": _to_html,
}


def _save(audit: Audit, folder: Path, width: Width | None, titles: bool) -> Iterator[Path]:
    from miabench.reports.plots import audit_roc
    from miabench.reports.plots.figure import SUFFIXES
    from miabench.reports.plots.figure import save as save_figures
    from miabench.reports.plots.sheet import Sheet

    remove_leftovers(folder)  # an audit that was killed may have left some
    for form, render in FORMS.items():
        with replace_file(folder / FILES[form]) as temporary:
            temporary.write_text(render(audit), encoding="utf-8")
        yield folder / FILES[form]
    with replace_file(folder / SAVED) as temporary:
        audit.save(temporary)
    yield folder / SAVED
    figure = audit_roc.draw(audit, Sheet(width, titles))
    if figure is not None:
        yield from save_figures({Site("", ""): figure}, folder / PLOTS / "roc", SUFFIXES)


def audit_table(audit: Audit, reasons: Reasons) -> Table:
    """A row per attack, a column per metric: baselines, then attacks by their AUC, then those that were not run."""
    measured = _measured(audit)
    train, test = (measured[Measured(None, name)] for name in ACCURACIES)
    title = f"{train['n_members']:,} members and {test['n_nonmembers']:,} non-members of {audit.num_classes} classes"
    names = sorted(dict.fromkeys(audit.table["attack"].dropna()), key=lambda name: _place(measured, name))
    rows = [
        Row((name,), tuple(_value(measured.get(Measured(name, metric)), reasons) for metric in MAIN)) for name in names
    ]
    headers = tuple(TITLES[metric] for metric in MAIN)
    return Table(f"{title}: each attack, in percent [95% interval]", ("attack",), headers, (tuple(rows),))


def _place(measured: Mapping[Measured, Mapping[str, Any]], attack: str) -> tuple[bool, float]:
    """Where an attack stands in the table."""
    if attack in (GAP, MODEL_FREE):
        return False, 0.0
    auc = measured[Measured(attack, "auc")]["value"]
    return True, 1.0 if auc is None else -auc


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
    yield from audit.notes
    yield "intervals are over records: they say nothing about other trainings of the model"
    yield f"{GAP}: the baseline that calls a record a member if it is classified correctly; it needs no outputs"
    if MODEL_FREE in set(audit.table["attack"]):
        yield f"{MODEL_FREE}: a classifier that sees features and labels but no model: what any attack gets for free"
