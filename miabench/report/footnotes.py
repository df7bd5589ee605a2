"""What must be said beside a table of results: how to read its numbers, and why some are not there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from miabench.report.difference import Difference, Differences
from miabench.report.summary import BASELINE, Summary


class Reasons:
    """Numbers the reasons why values are missing, each distinct one once, in the order of the table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, reason: str) -> int:
        """The footnote's number."""
        return self._numbers.setdefault(reason, len(self._numbers) + 1)

    def notes(self) -> Iterator[str]:
        """One footnote each."""
        for reason, number in self._numbers.items():
            yield f"[{number}] {reason}"


def reading(summary: Summary) -> Iterator[str]:
    """How to read the numbers and marks of the results."""
    runs = summary.index.experiment.runs
    if runs > 1:
        yield f"± is the spread (standard deviation) over {runs} trainings on fixed splits"
    else:
        yield "one training per cell: a spread needs --runs 2 or more"
    if any(value.best for line in summary.lines for value in line.attacks.values()):
        yield (
            f"* the lowest value of the attack among defenses that keep test accuracy within {summary.within:g} points "
            f"of {BASELINE}"
        )
    yield "↑ more is better; ↓ less is better: the attack tells members from non-members less well"
    for dataset in dict.fromkeys(line.cell.dataset for line in summary.lines if line.collapsed):
        yield (
            f"collapsed: test accuracy is at chance (always naming {dataset}'s largest class gives "
            f"{100 * summary.chance[dataset]:.2f}%), so the value says nothing about the defense"
        )


def unfinished(summary: Summary) -> Iterator[str]:
    """Cells whose means are over fewer runs than the experiment asks for."""
    for line in summary.lines:
        quantities = {"accuracy": line.test, **line.attacks}
        short: dict[tuple[int, str | None], list[str]] = defaultdict(list)
        for name, value in quantities.items():
            if 0 < value.runs < summary.index.experiment.runs:
                short[value.runs, value.reason].append(name)
        for (runs, reason), names in short.items():
            which = "" if len(names) == len(quantities) else f" ({', '.join(names)})"
            where = f"{line.cell.dataset}, {line.cell.model}, {line.cell.label}"
            yield f"{where}: {runs} of {summary.index.experiment.runs} runs are finished{which}: {reason}"


def records(summary: Summary) -> Iterator[str]:
    """Members, non-members and withheld records of the cells, those with the same ones together."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in summary.lines:
        if line.cell.counts:
            groups[line.cell.dataset, _counted(line.cell.counts)].append(line.cell.label)
    for (dataset, counts), labels in _named(groups):
        yield f"records of each target, {dataset}{labels}: {counts}"


def interval(differences: Differences) -> Iterator[str]:
    """What the differences and their intervals are over."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (dataset, _, _, label), comparison in differences.items():
        for difference in filter(None, (comparison.accuracy, *comparison.attacks.values())):
            groups[dataset, _paired(difference)].append(label)
    for (dataset, over), labels in _named(groups):
        yield f"differences, {dataset}{labels}: paired by training and record; 95% interval of {over}"


def _counted(counts: Mapping[str, int]) -> str:
    withheld = {name: count for name, count in counts.items() if name not in ("members", "non-members")}
    kept = f"{counts['members']:,} members, {counts['non-members']:,} non-members"
    parts = ", ".join(f"{count:,} withheld ({name})" for name, count in withheld.items())
    return f"{kept}, {parts or 'none withheld'}"


def _paired(difference: Difference) -> str:
    both = f"{difference.n_members:,} members and {difference.n_nonmembers:,} non-members under both"
    if difference.runs == 1:
        return f"a bootstrap over records alone (one training; {both})"
    return f"the crossed bootstrap over {difference.runs} trainings and records ({both})"


def _named(groups: Mapping[tuple[str, str], list[str]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Each group with the labels of its cells, which are left out where a dataset has one group only."""
    datasets = [dataset for dataset, _ in groups]
    for (dataset, what), labels in groups.items():
        names = ", ".join(dict.fromkeys(labels))
        yield (dataset, what), f", {names}" if datasets.count(dataset) > 1 else ""
