"""One report: printed in the form asked for, and kept in a folder in all forms with its plots.

What draws (matplotlib) is imported where it is used: a table starts without it.
"""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from miabench.errors import UserError
from miabench.files.atomic import remove_leftovers, replace_file
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.branches import BranchShares, branch_shares
from miabench.reports.numbers.consistency import Consistency, consistency
from miabench.reports.numbers.cost import costs
from miabench.reports.numbers.duels import duels
from miabench.reports.numbers.evidence import Judgement, judge
from miabench.reports.numbers.lines import Summary
from miabench.reports.numbers.loss_ranks import LossRanks, loss_ranks
from miabench.reports.numbers.recommendation import Recommendation, recommend
from miabench.reports.numbers.selection import ALL, Selection, select
from miabench.reports.numbers.summary import MAX_ACCURACY_LOSS, summarize
from miabench.reports.tables.csv_json import loss_ranks_csv, to_csv, to_json
from miabench.reports.tables.latex import to_latex
from miabench.reports.tables.markdown import to_markdown
from miabench.reports.tables.report_tables import Tabled
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.words import provenance
from miabench.reports.words.sentences import answer
from miabench.results.results import Results

if TYPE_CHECKING:
    import pandas as pd

    from miabench.reports.plots.sheet import Width

T = TypeVar("T")

PLOTS = "plots"  # folder of the figures in the report's folder
LOSS_RANKS = "loss-ranks.csv"  # beside it


@dataclass(frozen=True)
class Report:
    """What all forms are made from, each part computed once and only if a form needs it.

    Attributes:
        results: what the store holds of an experiment.
        max_accuracy_loss: points of test accuracy below the baseline's at which a value can still be marked best.
        selection: what is shown; `csv` and `json` always have everything.
        details: whether a printed table is followed by every attack, the gaps and the costs; files have them always.
    """

    results: Results
    max_accuracy_loss: float = MAX_ACCURACY_LOSS
    selection: Selection = ALL
    details: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """The tidy table: a row per cell, run, attacker, attack and metric; values are fractions."""
        return self.results.table

    def text(self, form: str = "table") -> str:
        """The report in one form: `table`, `csv`, `json`, `markdown`, `latex` or `html`."""
        if form != "table":
            return self._kept(FORMS[form](self))
        file = io.StringIO()
        show(open_console(file), self.tabled, self.answer, self.details)
        return self._kept(file.getvalue())

    def show(self, form: str = "table") -> None:
        """Print one form, alone on standard output; a table fits the terminal."""
        if form == "table":
            show(open_console(), self.tabled, self.answer, self.details)
            self.results.derived.save()
        else:
            sys.stdout.write(self.text(form))

    def save(self, folder: str | Path, width: Width | None = None, titles: bool = True) -> list[Path]:
        """Write all forms and, in the folder's `plots`, the figures.

        Args:
            folder: made if need be.
            width: of the figures, `column` or `page` of a paper in two columns; None for a screen.
            titles: whether figures have headings; a paper has captions.

        Returns:
            What was written.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            return self._kept(_write(self, Path(folder), width, titles))
        except OSError as error:
            raise UserError(
                f"cannot write the report to {folder}: {error.strerror or error}; choose another folder with --out"
            ) from None

    def _kept(self, made: T) -> T:
        """What was made; what it was made from is kept for the next report."""
        self.results.derived.save()
        return made

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text())}</pre>"

    @cached_property
    def summary(self) -> Summary:
        """The selected lines."""
        return select(self._all, self.selection)

    @cached_property
    def _all(self) -> Summary:
        return summarize(self.results, self.selection.metric, self.max_accuracy_loss)

    @cached_property
    def judged(self) -> Judgement:
        """Intervals, worst cases and differences of all lines: what is marked does not depend on what is shown."""
        return judge(self.results, self._all)

    @cached_property
    def advice(self) -> Sequence[Recommendation]:
        """What to use within the accuracy that may be lost."""
        return [*recommend(self.results, self._all, self.judged, self.max_accuracy_loss)]

    @property
    def answer(self) -> list[str]:
        """The advice in words."""
        return [*answer(self.advice)]

    @cached_property
    def tabled(self) -> Tabled:
        """What the tables show."""
        return Tabled(
            self.summary,
            self.judged,
            gaps=adaptivity_gaps(self.results, self.summary),
            duels=duels(self.results, self.summary, self.judged),
            costs=costs(self.results),
            branches=self.branches,
            consistency=lambda: self.consistency,
            loss_ranks=lambda: self.loss_ranks,
        )

    @cached_property
    def branches(self) -> BranchShares:
        """Which way the steps of relaxed losses went."""
        return branch_shares(self.results)

    @cached_property
    def consistency(self) -> Sequence[Consistency]:
        """How alike the networks behave on members and non-members."""
        return consistency(self.results, self.summary)

    @cached_property
    def loss_ranks(self) -> Sequence[LossRanks]:
        """Whether the defenses find the same records hard."""
        return loss_ranks(self.results, self.summary)


def _html(made: Report) -> str:
    """The page, with all figures of the lines that are shown."""
    from miabench.reports import plots
    from miabench.reports.page.page import to_html

    figures = {
        f"{site.dataset}, {site.model}: {plots.TITLES[name]}": figure
        for name, figures in plots.all_figures(made.results, made.tabled)
        for site, figure in figures.items()
    }
    return to_html(made.results, made.tabled, made.answer, figures)


FORMS: Mapping[str, Callable[[Report], str]] = {
    "csv": lambda made: to_csv(made.results),
    "json": lambda made: to_json(made.results, made.judged, made.branches, made.consistency, made.loss_ranks),
    "markdown": lambda made: to_markdown(made.tabled, made.answer, provenance.made_with(made.results)),
    "latex": lambda made: to_latex(made.tabled, provenance.made_with(made.results)),
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
    details: bool = False,
) -> None:
    """Print the results, alone on standard output.

    Args:
        results: what the store holds of an experiment.
        form: `table`, or one of FORMS.
        max_accuracy_loss: points of test accuracy below the baseline's at which a value can still be marked best.
        out: folder that also gets all forms and, in its folder `plots`, the figures.
        selection: what is shown; `csv` and `json` always have everything.
        details: see `Report`.
    """
    made = Report(results, max_accuracy_loss, selection, details)
    made.show(form)
    for path in made.save(out) if out else ():
        sys.stderr.write(f"wrote {path}\n")


def _write(made: Report, folder: Path, width: Width | None, titles: bool) -> list[Path]:
    from miabench.reports import plots
    from miabench.reports.plots.sheet import Sheet

    remove_leftovers(folder)  # a report that was killed may have left some
    paths = []
    for form, render in FORMS.items():
        paths.append(folder / FILES[form])
        with replace_file(paths[-1]) as temporary:
            temporary.write_text(render(made), encoding="utf-8")
    if made.loss_ranks:
        paths.append(folder / LOSS_RANKS)
        with replace_file(paths[-1]) as temporary:
            temporary.write_text(loss_ranks_csv(made.loss_ranks), encoding="utf-8")
    return paths + plots.all_plots(made.results, made.tabled, folder / PLOTS, Sheet(width, titles))
