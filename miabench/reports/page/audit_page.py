"""An audit as one web page that needs nothing else: the verdict, the table, ROC curves."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from miabench.auditing.result import Audit
from miabench.reports.page.page import FOLDER, inline, template
from miabench.reports.plots.audit_roc import draw
from miabench.reports.tables.table import Table


def to_html(audit: Audit, table: Table, notes: Sequence[str]) -> str:
    """The page.

    Args:
        audit: what was found.
        table: of the attacks.
        notes: beside the table; the verdict and the warnings have places of their own.
    """
    figure = draw(audit)
    return template("audit.html").render(
        verdict=audit.verdict,
        warnings=audit.warnings,
        table=table,
        notes=notes,
        plot=None if figure is None else inline(figure, "roc-"),
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # the package's own
    )
