"""One report: printed in the form asked for, and kept in a folder with its plots."""

from __future__ import annotations

import sys
from pathlib import Path

from miabench.atomic import replace_file
from miabench.report import tidy
from miabench.report.cost import costs
from miabench.report.difference import compare
from miabench.report.layout import open_console
from miabench.report.plots import trade_off
from miabench.report.summary import summarize
from miabench.report.table import show
from miabench.results import Results


def report(results: Results, form: str, within: float, out: Path | None) -> None:
    """Print the results and keep them as files.

    Args:
        results: what the store holds of an experiment.
        form: `table`, `csv` or `json`; the last two are alone on standard output, and then nothing else is made.
        within: points of test accuracy below CE's at which a value can still be marked best.
        out: folder of the plot and the tidy files; by default `reports/<experiment>` in the store.
    """
    if form != "table":
        sys.stdout.write(tidy.to_csv(results) if form == "csv" else tidy.to_json(results))
        return
    summary = summarize(results, within=within)
    show(open_console(), summary, compare(results, summary), costs(results))
    folder = out or results.store.folder / "reports" / results.index.experiment.name
    written = [folder / "results.csv", folder / "results.json"]
    for path, text in zip(written, (tidy.to_csv(results), tidy.to_json(results)), strict=True):
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    written += trade_off(results, folder / "trade-off.png")
    sys.stderr.write("".join(f"wrote {path}\n" for path in written))
