"""ROC curves of an audit: what each attack finds where it must not be wrong often."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from miabench import metrics
from miabench.auditing.result import Audit
from miabench.reports.numbers.lines import printed
from miabench.reports.plots.roc_band import roc
from miabench.reports.plots.sheet import SCREEN, Sheet
from miabench.reports.plots.style import LABEL_WIDTH, fixed_looks
from miabench.reports.plots.ticks import label_decades
from miabench.reports.plots.words import wrapped

X, Y = "false positive rate, from one false positive on", "true positive rate, less is better"
Style: TypeAlias = Literal["-", "--", "-.", ":"]
COLORS = [look.color for look in fixed_looks().values()][:8]  # the most distinct
STYLES: tuple[Style, ...] = ("-", "--", "-.", ":")  # a round of colours each

Array = NDArray[np.float64]


def draw(audit: Audit, sheet: Sheet = SCREEN) -> Figure | None:
    """A curve per attack, the strongest by AUC first and with its band; None where no attack could be run."""
    if not audit.scores:
        return None
    aucs = {name: metrics.auc(*_scored(audit, name)).value for name in audit.scores}
    names = sorted(aucs, key=lambda name: -aucs[name])
    figure, (axes,) = sheet.open(1)
    least = 1 / int((~audit.member).sum())
    axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1))
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    axes.plot([least, 1], [least, 1], color="0.5", linestyle="--", linewidth=0.8, zorder=0)
    looks = dict(zip(names, itertools.cycle(itertools.product(STYLES, COLORS)), strict=False))
    _draw_band(axes, audit, names[0])
    for name in names:
        curve = metrics.roc(*_scored(audit, name))
        style, color = looks[name]
        axes.step(curve.fpr, curve.tpr, where="post", color=color, linestyle=style, linewidth=1.2)
    heading = (
        f"ROC of each attack on {int(audit.member.sum()):,} members and {int((~audit.member).sum()):,} non-members\n"
        f"band: pointwise 95% interval over records, of {names[0]}"
    )
    sheet.label(figure, heading, X, Y)
    sheet.add_legend(figure, _handles(aucs, looks))
    return figure


def _scored(audit: Audit, attack: str) -> tuple[Array, NDArray[np.bool_]]:
    """Scores and membership of the records that an attack scored."""
    scores = audit.scores[attack]
    there = ~np.isnan(scores)
    return scores[there], audit.member[there]


def _draw_band(axes: Axes, audit: Audit, attack: str) -> None:
    scores, member = _scored(audit, attack)
    band = roc(scores[None], member)
    axes.fill_between(band.fpr, band.low, band.high, color=COLORS[0], alpha=0.15, linewidth=0)


def _handles(aucs: Mapping[str, float], looks: Mapping[str, tuple[Style, str]]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = []
    for name, (style, color) in looks.items():
        label = wrapped(f"{name}, AUC\N{NO-BREAK SPACE}{printed(aucs[name])}", LABEL_WIDTH)
        handles.append(Line2D([], [], color=color, linestyle=style, label=label))
    guessing = Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label="guessing")
    return [*handles, Patch(color=COLORS[0], alpha=0.15, label="95% interval"), guessing]
