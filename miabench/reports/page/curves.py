"""Training curves as small inline SVG: a line per run, and the branches of a relaxed loss as stacked shares.

Drawn by hand because a page has a few for every cell: they take a thousandth of matplotlib's time, and follow the
page's colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from miabench.reports.numbers.branches import BRANCHES

if TYPE_CHECKING:
    import pandas as pd

POINTS = 120  # of a line at most
BINS = 20  # of stacked shares at most: a relaxed loss changes its branch from epoch to epoch, which hides the balance
WIDTH, HEIGHT = 240, 120  # of the drawing area, in SVG units
NO_CURVES = ("epoch", "lr")  # columns that are known from the schedule

Floats: TypeAlias = NDArray[np.float64]


class Panel(NamedTuple):
    """A drawing of one recorded quantity.

    Attributes:
        text: what it shows in words, for who cannot see it.
        low, high, last: the ends of the axes, as labels: the values' and the last epoch.
        legend: of stacked shares, from below.
    """

    title: str
    text: str
    svg: Markup
    low: str
    high: str
    last: str
    legend: tuple[str, ...] = ()


def panels(histories: Sequence[pd.DataFrame]) -> Iterator[Panel]:
    """A panel for each recorded quantity; the branches of one relaxed loss share one.

    Args:
        histories: of the runs, a row per epoch, at least one row each.
    """
    names = dict.fromkeys(str(name) for history in histories for name in history.columns if name not in NO_CURVES)
    losses = dict.fromkeys(name.rpartition("_")[0] for name in names if _is_branch(name))
    for name in names:
        if not _is_branch(name):
            yield _lines(name, [history for history in histories if name in history])
    for loss in losses:
        own = tuple(name for name in names if _is_branch(name) and name.rpartition("_")[0] == loss)
        yield _stack(loss, own, histories)


def _is_branch(name: str) -> bool:
    loss, _, branch = name.rpartition("_")
    return bool(loss) and branch in BRANCHES


def _lines(name: str, histories: Sequence[pd.DataFrame]) -> Panel:
    curves = [(history["epoch"].to_numpy(float), history[name].to_numpy(float)) for history in histories]
    low, high = min(np.nanmin(y) for _, y in curves), max(np.nanmax(y) for _, y in curves)
    if name == "accuracy":
        low, high = 0.0, 1.0
    last = max(x[-1] for x, _ in curves)
    ends = [np.nanmean([y[i] for _, y in curves]) for i in (0, -1)]
    text = f"{name} from {ends[0]:.3g} to {ends[1]:.3g} in {last:g} epochs (mean over {len(curves)} runs)"
    shapes = (
        Markup('<polyline class="s0" points="{}"/>').format(_points(x / last, (y - low) / (high - low or 1.0)))
        for x, y in curves
    )
    return Panel(name, text, _svg(shapes), f"{low:.3g}", f"{high:.3g}", f"{last:g}")


def _stack(loss: str, names: tuple[str, ...], histories: Sequence[pd.DataFrame]) -> Panel:
    epochs = min(len(history) for history in histories)
    mean = np.mean([history[list(names)].to_numpy(float)[:epochs] for history in histories], axis=0)  # (E, branches)
    binned = np.stack([part.mean(axis=0) for part in np.array_split(mean, min(BINS, epochs))])
    tops = np.cumsum(binned, axis=1).T  # (branches, bins)
    edges = np.linspace(0, 1, binned.shape[0] + 1)
    shapes = []
    for i in reversed(range(len(names))):  # the lower ones in front
        x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(tops[i], 2), [0]])
        shapes.append(Markup('<polygon class="b{}" points="{}"/>').format(i, _points(x, y, thin=False)))
    branches = tuple(name.rpartition("_")[2] for name in names)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(branches, mean.mean(axis=0), strict=True))
    text = f"share of steps by branch, mean over runs: {shares} of all steps"
    return Panel(f"{loss}: share of steps", text, _svg(shapes), "0", "1", f"{epochs}", branches)


def _svg(shapes: Iterator[Markup] | Sequence[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(WIDTH, HEIGHT, Markup("").join(shapes))


def _points(x: Floats, y: Floats, *, thin: bool = True) -> str:
    """Points in the drawing, of values from 0 to 1; thinned, the first and last among them."""
    count = min(len(x), POINTS) if thin else len(x)
    chosen = np.unique(np.linspace(0, len(x) - 1, count).astype(int))
    return " ".join(f"{WIDTH * x[i]:.1f},{HEIGHT * (1 - y[i]):.1f}" for i in chosen if np.isfinite(y[i]))
