"""Measured lines beside the paper's, with the difference of each quantity.

The interval of a difference is Welch's, from means and standard deviations: it speaks about the spread over trainings
on fixed splits, and about neither the records nor the hyper-parameters, which the paper does not give.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scipy.special import stdtrit

from miabench.errors import UserError
from miabench.evaluation.measure import ACCURACIES
from miabench.experiment.load import load_experiment, presets
from miabench.experiment.model import Experiment
from miabench.experiment.remarks import remarks
from miabench.metrics.estimates import TAIL, Estimate
from miabench.reports.numbers.lines import RunStats, Summary, TableRow
from miabench.reports.numbers.published import (
    NOT_GIVEN,
    QUANTITIES,
    TOO_EXPENSIVE,
    Moments,
    PaperCell,
    paper,
)

PRESET = re.compile(r"(uai24/[\w-]+)(@.*)?")  # what an experiment made from a preset is called, scaled or not
RECORDS = re.compile(r" records=\S+")
WITH_GLOVE = re.compile(r"arxiv10 path=.* glove=.*")  # files that only their owner can name


@dataclass(frozen=True)
class Pair:
    """One quantity as published and as measured.

    Attributes:
        quantity: an accuracy's name or an attack's label.
        published: None where the paper has none, and then `why` says why.
    """

    quantity: str
    published: Moments | None
    why: str | None
    measured: RunStats

    @property
    def difference(self) -> float | None:
        """Measured minus published, a fraction; None where one is missing."""
        if self.published is None or self.measured.mean is None:
            return None
        return self.measured.mean - self.published.mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """The difference's 95% interval, low and high; None below two measured runs."""
        return None if self.moments is None else welch(*self.moments)[1:]

    @property
    def moments(self) -> tuple[Moments, Moments] | None:
        """Published and measured; None below two measured runs."""
        if self.published is None or self.measured.mean is None or self.measured.std is None:
            return None
        return self.published, Moments(self.measured.mean, self.measured.std, self.measured.runs)


@dataclass(frozen=True)
class ComparedCell:
    """One measured line beside the paper's.

    Attributes:
        other_data: what the line was measured on, where that is not the paper's dataset; None where it is.
    """

    line: TableRow
    paper: PaperCell
    table: str
    other_data: str | None
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class PaperComparison:
    """Everything that can be compared.

    Attributes:
        absent: cells that the paper's tables do not have.
        unpublished: hyper-parameters of the compared defenses that the paper does not give.
        warnings: why the comparison is none of like with like.
        notes: facts about the measured results.
    """

    compared: tuple[ComparedCell, ...]
    absent: tuple[str, ...]
    unpublished: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def welch(published: Moments, measured: Moments) -> Estimate:
    """Measured minus published, with Welch's 95% interval for two means of unequal variances; both n at least 2."""
    difference = measured.mean - published.mean
    a, b = (side.std**2 / side.n for side in (published, measured))
    if a + b == 0:
        return Estimate(difference, difference, difference)
    df = (a + b) ** 2 / (a**2 / (published.n - 1) + b**2 / (measured.n - 1))
    half = float(stdtrit(df, 1 - TAIL)) * math.sqrt(a + b)
    return Estimate(difference, difference - half, difference + half)


def side_by_side(summary: Summary, anyway: bool = False) -> PaperComparison:
    """Put every line of a report that the paper has beside the paper's.

    Args:
        summary: of the AUC; only the adaptive attacker's lines count, as in the paper.
        anyway: compare scaled experiments and other data too, and call them so.

    Raises:
        UserError: nothing can be compared; or not like with like, without `anyway`.
    """
    experiment = summary.index.experiment
    lines = adaptive_lines(summary)
    if not lines:
        raise UserError("the paper's attacker is adaptive; this experiment's is not: set attacker.shadow_defense=same")
    found = [(line, compare_line(line, experiment)) for line in lines]
    compared = tuple(one for _, one in found if one is not None)
    if not compared:
        raise UserError(_nothing(lines))
    reasons = list(_not_alike(compared, experiment))
    if reasons and not anyway:
        raise UserError(
            *(f"{reason}; compare it with the paper's numbers all the same with --anyway" for reason in reasons)
        )
    return PaperComparison(
        compared=compared,
        absent=tuple(dict.fromkeys(_words(line) for line, one in found if one is None)),
        unpublished=_unpublished({one.paper.defense for one in compared}),
        warnings=(*reasons, *other_schedules([(one.line, one.paper) for one in compared], experiment)),
        notes=tuple(note for note in summary.notes if note not in remarks(experiment)),  # those stand here anyway
    )


# --- which line of the paper ---


def adaptive_lines(summary: Summary) -> list[TableRow]:
    """The lines of the adaptive attacker, who is the paper's."""
    return [line for line in summary.lines if line.attacker == "adaptive"]


def _paper_cell(line: TableRow, experiment: Experiment) -> PaperCell | None:
    """What a measured line is compared with: the paper's dataset, or the one that other data stands for."""
    name, model = line.cell.dataset.split()[0], line.cell.model
    datasets = dict.fromkeys(cell.dataset for cell in paper() if cell.model == model)
    preset = _preset(experiment)
    if name not in {cell.dataset for cell in paper()}:  # other data stands for the preset's, or for the only one
        if preset is not None:
            name = preset.dataset[0].name
        elif len(datasets) == 1:
            (name,) = datasets
    cell = PaperCell(name, model, line.cell.defense)
    return cell if cell in paper() else None


def _preset(experiment: Experiment) -> Experiment | None:
    """The preset that an experiment was made from, as its name tells."""
    named = PRESET.fullmatch(experiment.name)
    return load_experiment(named[1]) if named and named[1] in presets() else None


def compare_line(line: TableRow, experiment: Experiment) -> ComparedCell | None:
    """A line beside the paper's; None where the paper has none."""
    cell = _paper_cell(line, experiment)
    if cell is None:
        return None
    paper_line = paper()[cell]
    measured = {**dict(zip(ACCURACIES, (line.train, line.test), strict=True)), **line.attacks}
    pairs = []
    for label, statistic in measured.items():
        quantity = _quantity(label)
        if quantity is not None:
            published = paper_line.values.get(quantity)
            why = TOO_EXPENSIVE if quantity in paper_line.values else NOT_GIVEN
            pairs.append(Pair(label, published, why if published is None else None, statistic))
    whole = RECORDS.sub("", line.cell.dataset) if experiment.scale is not None else line.cell.dataset
    other = None if whole == cell.dataset or WITH_GLOVE.fullmatch(whole) else line.cell.dataset
    return ComparedCell(line, cell, paper_line.table, other, tuple(pairs))


def _quantity(label: str) -> str | None:
    """The paper's name for a measured quantity; its Grad-x is the l2 norm, and its NN attack's schedule varies."""
    name = label.split()[0]
    return name if name in QUANTITIES and name in (label, "nn") else None


def _words(line: TableRow) -> str:
    return f"{line.cell.dataset}, {line.cell.model}, {line.cell.label}"


def _nothing(lines: Sequence[TableRow]) -> str:
    have = dict.fromkeys(f"{cell.dataset} with {cell.model}" for cell in paper())
    defenses = dict.fromkeys(cell.defense for cell in paper())
    return (
        f"nothing here is in the paper's Tables 1 and 3 (the first cell: {_words(lines[0])}). They have "
        f"{', '.join(have)}, under {', '.join(defenses)}; other data is compared in an experiment made from a preset, "
        "for example: miabench run uai24/table1a-vgg11 --dataset images"
    )


# --- like with like ---


def _not_alike(compared: Sequence[ComparedCell], experiment: Experiment) -> Iterator[str]:
    if experiment.scale is not None:
        yield f"{experiment.name} is a scaled experiment ({experiment.scale:g} of the pool)"
    for other, name in dict.fromkeys((one.other_data, one.paper.dataset) for one in compared):
        if other is None:
            continue
        if other.startswith("arxiv10 path="):
            yield f"{other} has random word vectors, the paper GloVe's (set arxiv10.glove)"
        else:
            jpeg = " (images saved as JPEG are other data, whatever they show)" if other.startswith("images ") else ""
            yield f"{other} is other data than the paper's {name}{jpeg}"


def other_schedules(compared: Sequence[tuple[TableRow, PaperCell]], experiment: Experiment) -> Iterator[str]:
    """Where training is not the paper's for another reason than the scale."""
    if experiment.scale is not None:
        return
    for name, preset in _tables().items():
        place = preset.dataset[0].name, preset.model[0].name
        if any(cell[:2] == place for _, cell in compared) and preset.schedule != experiment.schedule:
            ours, theirs = experiment.schedule.model_dump(), preset.schedule.model_dump()
            differ = ", ".join(key for key in ours if ours[key] != theirs[key])
            yield f"the schedule is not the paper's for {place[1]} on {place[0]} (preset {name}): {differ}"
    own = [_words(line) for line, _ in compared if any(name.startswith("schedule.") for name in line.cell.params)]
    if own:
        yield f"a schedule of its own, which is not the paper's: {'; '.join(dict.fromkeys(own))}"


@cache
def _tables() -> Mapping[str, Experiment]:
    """The presets of the paper's Tables 1 and 3, by name."""
    return {name: load_experiment(name) for name in presets() if re.match("uai24/table[13]", name)}


def _unpublished(defenses: set[str]) -> tuple[str, ...]:
    items = dict.fromkeys(item for preset in _tables().values() for item in preset.unpublished)
    return tuple(item for item in items if item.partition(".")[0] in defenses)
