"""One report: printed in the form asked for, and kept in a folder in all forms with its plots.

What draws (matplotlib) is imported where it is used: a table starts without it.
"""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from miabench.errors import UserError
from miabench.files.atomic import replace_file
from miabench.reports.numbers.cost import Costs, costs
from miabench.reports.numbers.difference import Differences, compare
from miabench.reports.numbers.lines import Summary
from miabench.reports.numbers.names import baseline_name
from miabench.reports.numbers.selection import ALL, Selection, select
from miabench.reports.numbers.summary import MAX_ACCURACY_LOSS, summarize
from miabench.reports.tables.csv_json import to_csv, to_json
from miabench.reports.tables.latex import to_latex
from miabench.reports.tables.markdown import to_markdown
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.words import provenance
from miabench.results.results import Results

PLOTS = "plots"  # folder of the figures in the report's folder
MOST_RESAMPLED = 25_000_000  # scores in all differences: half a minute of bootstrap
MOST_DIFFERENCES = 5_000  # more are not read one by one; with few records these take ten seconds


@dataclass(frozen=True)
class Report:
    """What all forms are made from, each part computed once and only if a form needs it.

    Attributes:
        results: what the store holds of an experiment.
        max_accuracy_loss: points of test accuracy below the baseline's at which a value can still be marked best.
        selection: what is shown; `csv` and `json` always have everything.
    """

    results: Results
    max_accuracy_loss: float = MAX_ACCURACY_LOSS
    selection: Selection = ALL

    @property
    def table(self) -> pd.DataFrame:
        """The tidy table: a row per cell, run, attacker, attack and metric; values are fractions."""
        return self.results.table

    def text(self, form: str = "table") -> str:
        """The report in one form: `table`, `csv`, `json`, `markdown`, `latex` or `html`."""
        if form != "table":
            return FORMS[form](self)
        file = io.StringIO()
        show(open_console(file), self.summary, self.compared, self.costs)
        return file.getvalue()

    def show(self, form: str = "table") -> None:
        """Print one form, alone on standard output; a table fits the terminal."""
        if form == "table":
            show(open_console(), self.summary, self.compared, self.costs)
        else:
            sys.stdout.write(self.text(form))

    def save(self, folder: str | Path) -> list[Path]:
        """Write all forms and, in the folder's `plots`, the figures.

        Returns:
            What was written.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            return _write(self, Path(folder))
        except OSError as error:
            raise UserError(
                f"cannot write the report to {folder}: {error.strerror or error}; choose another folder with --out"
            ) from None

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text())}</pre>"

    @cached_property
    def summary(self) -> Summary:
        """The selected lines; a note says so where differences are left out."""
        summary = select(summarize(self.results, self.selection.metric, self.max_accuracy_loss), self.selection)
        if not _too_many_differences(summary):
            return summary
        note = (
            f"differences to {baseline_name(summary.lines)} with intervals would take long and are left out: "
            "choose fewer --rows or --columns"
        )
        return replace(summary, notes=(*summary.notes, note))

    @cached_property
    def compared(self) -> Differences:
        """Differences to the baseline; none if they would take long."""
        return {} if _too_many_differences(self.summary) else compare(self.results, self.summary)

    @cached_property
    def costs(self) -> Costs:
        """Costs of the cells."""
        return costs(self.results)


def _html(made: Report) -> str:
    """The page, with the trade-off of the lines that are shown."""
    from miabench.reports import plots
    from miabench.reports.page.page import to_html

    drawn = plots.draw(made.summary)
    figures = {f"{site.dataset}, {site.model}: accuracy against attacks": figure for site, figure in drawn.items()}
    return to_html(made.results, made.summary, made.compared, made.costs, figures)


FORMS: Mapping[str, Callable[[Report], str]] = {
    "csv": lambda made: to_csv(made.results),
    "json": lambda made: to_json(made.results),
    "markdown": lambda made: to_markdown(made.summary, made.compared, made.costs, provenance.made_with(made.results)),
    "latex": lambda made: to_latex(made.summary, made.compared, provenance.made_with(made.results)),
    "html": _html,
}
FILES = {
    "csv": "results.csv",
    "json": "results.json",
    "markdown": "results.md",
    "latex": "results.tex",
    "html": "report.html",
}


def report(
    results: Results,
    form: str,
    max_accuracy_loss: float = MAX_ACCURACY_LOSS,
    out: Path | None = None,
    selection: Selection = ALL,
) -> None:
    """Print the results, alone on standard output.

    Args:
        results: what the store holds of an experiment.
        form: `table`, or one of FORMS.
        max_accuracy_loss: points of test accuracy below the baseline's at which a value can still be marked best.
        out: folder that also gets all forms and, in its folder `plots`, the figures.
        selection: what is shown; `csv` and `json` always have everything.
    """
    made = Report(results, max_accuracy_loss, selection)
    made.show(form)
    for path in made.save(out) if out else ():
        sys.stderr.write(f"wrote {path}\n")


def _too_many_differences(summary: Summary) -> bool:
    differences = [(line.cell.counts, 1 + len(line.attacks)) for line in summary.lines if not line.is_baseline]
    records = ((counts.get("members", 0) + counts.get("non-members", 0), count) for counts, count in differences)
    resampled = summary.index.experiment.runs * sum(n * count for n, count in records)
    return resampled > MOST_RESAMPLED or sum(count for _, count in differences) > MOST_DIFFERENCES


def _write(made: Report, folder: Path) -> list[Path]:
    from miabench.reports import plots

    paths = []
    for form, render in FORMS.items():
        paths.append(folder / FILES[form])
        with replace_file(paths[-1]) as temporary:
            temporary.write_text(render(made), encoding="utf-8")
    return paths + plots.all_plots(made.results, made.summary, folder / PLOTS)
