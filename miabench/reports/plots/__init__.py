"""Figures of an experiment, all made from stored results; one module per figure.

matplotlib's objects are used throughout: no window is opened and no global state is left behind. A figure holds the
cells of one dataset and model (`size`: of all sizes of a model); a defense has the same colour and marker in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from miabench.reports.plots import (
    against_cost,
    against_size,
    heat_map,
    histograms,
    origin_boundary,
    rank_map,
    roc,
    worst_cases,
)
from miabench.reports.plots.against_accuracy import draw, draw_ablation, trade_off
from miabench.reports.plots.figure import SUFFIXES, Figures, save
from miabench.reports.plots.records import load_records
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.tables.report_tables import Tabled
from miabench.results.results import Results

TITLES = {  # of the figures, on the page
    "worst-cases": "accuracy against the strongest attacks",
    "trade-off": "accuracy against each attack",
    "ablation": "accuracy against each attack, of CRL and its parts",
    "cost": "cost against the strongest attack",
    "size": "parameters of the network against accuracy and the strongest attack",
    "attacks": "every defense under every attack",
    "roc": "ROC of each attack",
    "lrc": "loss-rank correlation of every two defenses",
    "boundary-histograms": "distance to the decision boundary, members and non-members",
    "confidence-histograms": "confidence, members and non-members",
    "origin-boundary": "distance to the origin and to the decision boundary",
}

__all__ = ["TITLES", "all_figures", "all_plots", "draw", "draw_ablation", "trade_off"]


def all_plots(results: Results, made: Tabled, folder: Path, sheet: Sheet = SCREEN) -> list[Path]:
    """Write every figure that the results support, as PNG, SVG and PDF: `worst-cases`, `trade-off`, `cost` and so on.

    Args:
        results: of an experiment, finished or not.
        made: see `all_figures`.
        folder: made if need be.
        sheet: how they are laid out.

    Returns:
        The files that were written; a figure without data is none of them.
    """
    every = all_figures(results, made, sheet)
    return [path for name, figures in every for path in save(figures, folder / name, SUFFIXES)]


def all_figures(results: Results, made: Tabled, sheet: Sheet = SCREEN) -> Iterator[tuple[str, Figures]]:
    """Every kind of figure by name, one after the other, so that those of one kind at a time are in memory.

    Args:
        results: what was tabled.
        made: what the tables show; the summary's metric is that of the trade-off, of the cost and of the heat map.
        sheet: how they are laid out.
    """
    summary = made.summary
    yield "worst-cases", worst_cases.draw(summary, made.judged, sheet)
    yield "trade-off", draw(summary, sheet)
    yield "ablation", draw_ablation(summary, sheet)
    yield "cost", against_cost.draw(summary, made.costs, sheet)
    yield "size", against_size.draw(summary, made.costs, sheet)
    yield "attacks", heat_map.draw(summary, sheet)
    yield "roc", roc.draw(results, summary, sheet)
    yield "lrc", rank_map.draw(made.loss_ranks(), sheet)
    views = load_records(results, summary)
    yield "boundary-histograms", histograms.draw(views, histograms.BOUNDARY, sheet)
    yield "confidence-histograms", histograms.draw(views, histograms.CONFIDENCE, sheet)
    yield "origin-boundary", origin_boundary.draw(views, sheet)
