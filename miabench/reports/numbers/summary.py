"""From what is measured to a report: one line per cell and attacker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from miabench.errors import UserError, nearest
from miabench.evaluation.measure import ATTACK_METRICS, find_metric
from miabench.evaluation.scores import TargetValues
from miabench.reports.numbers.best import baseline_cells, why_nothing_is_best
from miabench.reports.numbers.calibration import standing, variants
from miabench.reports.numbers.environments import mixed_environments
from miabench.reports.numbers.lines import Chance, Site, Summary, TableRow
from miabench.reports.numbers.measured import CellMeasured, measured_cells
from miabench.results.index import Cell
from miabench.results.results import Results

MAX_ACCURACY_LOSS = 5.0  # points of test accuracy that a defense may cost to be best, unless told otherwise


def summarize(results: Results, metric: str = "auc", max_accuracy_loss: float = MAX_ACCURACY_LOSS) -> Summary:
    """Summarise results over runs.

    Args:
        results: of an experiment, finished or not.
        metric: of the attacks, one of the tidy table's; hyphens and underscores are alike.
        max_accuracy_loss: points of test accuracy, 0 to 100.

    Raises:
        UserError: an unknown metric.
    """
    known = find_metric(metric)
    if known is None:
        raise UserError(f"metric {metric!r} is not measured{nearest(metric, ATTACK_METRICS)}")
    chance = _chance(results)
    measured = measured_cells(results, known)
    lines = tuple(_lines(results, measured, chance))
    return Summary(
        index=results.index,
        metric=known,
        max_accuracy_loss=max_accuracy_loss,
        chance=chance,
        lines=lines,
        notes=(
            *results.index.notes,
            *why_nothing_is_best(lines),
            *_compared_with(lines),
            *standing(results.index, measured),
            *variants(results.index),
        ),
        warnings=(*results.index.warnings, *mixed_environments(cell.environment for cell in measured)),
    )


# --- lines ---


def _lines(results: Results, measured: Sequence[CellMeasured], chance: Mapping[str, Chance]) -> Iterator[TableRow]:
    entries = results.index.entries
    attackers = dict.fromkeys(entry.attacker for entry in entries if entry.attacker is not None)
    attacks = dict.fromkeys(entry.attack for entry in entries if entry.attack is not None)
    baselines = baseline_cells(results.index.cells)
    for cell, own in zip(results.index.cells, measured, strict=True):
        for attacker in attackers:
            yield TableRow(
                cell=cell,
                attacker=attacker,
                tuned_on_target=_tuned_on_target(results, cell),
                claimed=own.claimed,
                train=own.train,
                test=own.test,
                attacks={attack: own.attacks[attacker][attack] for attack in attacks},
                collapsed=sum(_at_chance(low, chance.get(cell.dataset)) for low in own.lowest),
                is_baseline=cell.key == baselines.get(Site(cell.dataset, cell.model)),
            )


def _tuned_on_target(results: Results, cell: Cell) -> tuple[str, ...]:
    """A default is no choice, also where it is named to tell settings apart, or in what --scale made of it."""
    experiment = results.index.experiment
    scaled = experiment.scaled_defaults.get(cell.defense, {})
    values = cell.params.items()
    chosen = [name for name, value in values if name not in cell.by_default and (name, value) not in scaled.items()]
    return tuple(experiment.chosen_otherwise(cell.defense, chosen))


# --- collapse ---


def _chance(results: Results) -> dict[str, Chance]:
    """Shares of the largest class, by dataset: those of its first stored target, which others are about like."""
    shares: dict[str, Chance] = {}
    for entry in results.index.entries:
        dataset = results.index.cells[entry.cell].dataset
        if dataset in shares or not entry.records or not results.store.has(entry.records):
            continue
        target = TargetValues.load(results.store, entry.records)
        parts = (target.labels[target.members], target.labels[~target.members])
        shares[dataset] = Chance(*(float(np.bincount(labels).max() / len(labels)) for labels in parts))
    return shares


def _at_chance(low: tuple[float, float], chance: Chance | None) -> bool:
    return chance is not None and low[0] <= chance.train and low[1] <= chance.test


# --- notes ---


def _compared_with(lines: Sequence[TableRow]) -> Iterator[str]:
    """Which baseline others are compared with, where there is a choice or it has a schedule of its own."""
    baselines = Counter(line.site_key for line in lines if line.cell.is_baseline)
    for line in lines:
        if line.is_baseline and (line.cell.params or baselines[line.site_key] > 1):
            name, label = line.cell.defense, line.cell.label
            yield f"{line.cell.dataset}, {line.cell.model}: {name} that others are compared with: {label}"
