"""Figures of an experiment, all made from stored results; one module per figure.

matplotlib's objects are used throughout: no window is opened and no global state is left behind. A figure holds the
cells of one dataset and model; a defense has the same colour and marker in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from miabench.reports.numbers.cost import costs
from miabench.reports.numbers.evidence import Judgement
from miabench.reports.numbers.lines import Summary
from miabench.reports.plots import against_cost, heat_map, histograms, origin_boundary, roc, worst_cases
from miabench.reports.plots.against_accuracy import draw, draw_ablation, trade_off
from miabench.reports.plots.figure import SUFFIXES, Figures, save
from miabench.reports.plots.records import load_records
from miabench.results.results import Results

__all__ = ["all_figures", "all_plots", "draw", "draw_ablation", "trade_off"]


def all_plots(results: Results, summary: Summary, judged: Judgement, folder: Path) -> list[Path]:
    """Write every figure that the results support, as PNG, SVG and PDF: `worst-cases`, `trade-off`, `cost` and so on.

    Args:
        results: of an experiment, finished or not.
        summary: see `all_figures`.
        judged: of the same lines.
        folder: made if need be.

    Returns:
        The files that were written; a figure without data is none of them.
    """
    made = all_figures(results, summary, judged)
    return [path for name, figures in made for path in save(figures, folder / name, SUFFIXES)]


def all_figures(results: Results, summary: Summary, judged: Judgement) -> Iterator[tuple[str, Figures]]:
    """Every kind of figure by name, one after the other, so that those of one kind at a time are in memory.

    Args:
        results: what the summary was made from.
        summary: its metric is that of the trade-off, of the cost and of the heat map; its lines are shown.
        judged: of the same lines.
    """
    yield "worst-cases", worst_cases.draw(summary, judged)
    yield "trade-off", draw(summary)
    yield "ablation", draw_ablation(summary)
    yield "cost", against_cost.draw(summary, costs(results))
    yield "attacks", heat_map.draw(summary)
    yield "roc", roc.draw(results, summary)
    views = load_records(results, summary)
    yield "boundary-histograms", histograms.draw(views, histograms.BOUNDARY)
    yield "confidence-histograms", histograms.draw(views, histograms.CONFIDENCE)
    yield "origin-boundary", origin_boundary.draw(views)
