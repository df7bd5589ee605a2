"""What must be said beside a table of results: how to read its numbers, and why some are not there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from miabench.experiment.model import Experiment
from miabench.metrics.comparison import FEWEST_RUNS
from miabench.metrics.names import GUESSING, TITLES
from miabench.reports.numbers.evidence import Change, Judgement
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import Summary, TableRow, printed
from miabench.reports.numbers.names import DAGGER, baseline_name
from miabench.reports.numbers.stored import Worst

Groups: TypeAlias = dict[tuple[str, str], dict[str, None]]  # cells (in order) by dataset and a fact about them
MANY_RUNS = 5  # below, a difference of some points in AUC is rarely shown
MANY = 4  # as many cells or more are called `others` where they share the commonest fact


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


def beside(summary: Summary, judged: Judgement, reasons: Reasons) -> Iterator[str]:
    """What must be said beside the tables, how to read them and warnings left out."""
    yield from reasons.notes()
    yield from tuned_on_target(summary.lines)
    yield from claims(summary.lines)
    yield from dict.fromkeys(unfinished(summary))
    yield from worst_of(summary, judged)
    yield from records(summary)
    yield from differences(summary, judged)
    yield from (f"note: {note}" for note in summary.notes)


def reading(summary: Summary, judged: Judgement, best: str, *, spread: bool) -> Iterator[str]:
    """How to read the numbers and marks of the results.

    Args:
        summary: the results.
        judged: of the same lines.
        best: how the best values are marked, `*` or `bold:`.
        spread: whether some value that is shown has one.
    """
    experiment = summary.index.experiment
    guessing = 100 * GUESSING[summary.metric]
    yield f"{TITLES[summary.metric]}: {guessing:g} is guessing, 100 tells every member from every non-member"
    if spread:
        yield spread_over(experiment)
    if experiment.runs == 1 and not experiment.paired:
        yield "one training per cell: a spread needs --runs 2 or more"
    base = baseline_name(summary.lines)
    if judged.best:
        yield (
            f"{best} the lowest value of its column that is lower than {base}'s and distinguishable from it, where "
            f"test accuracy is within {summary.max_accuracy_loss:g} points of {base}'s"
        )
    runs = max((line.test.runs for line in summary.lines), default=0)
    if runs < FEWEST_RUNS:
        yield f"no value is marked: it takes {FEWEST_RUNS} runs to tell a defense from luck"
    elif runs < MANY_RUNS:
        yield f"with {runs} runs differences are rarely distinguishable: {MANY_RUNS} or more find more of them"
    known = [worst for evidence in judged.lines.values() for worst in evidence.worst.values()]
    if known:
        yield (
            "the strongest attack's value and 95% interval, over runs and records, are corrected for choosing among "
            "the attacks of its level"
        )
    if any(worst.missing for worst in known):
        yield (
            "some attacks are missing: a note says which and why; where a value is the strongest of fewer or more "
            "attacks than most of its level, it says of how many"
        )
    yield "↑ more is better; ↓ less is better: the attack tells members from non-members less well"
    for dataset in dict.fromkeys(line.cell.dataset for line in summary.lines if line.collapsed):
        chance = summary.chance[dataset]
        yield (
            f"collapsed: nothing was learnt, on members and others accuracy is at chance (always naming {dataset}'s "
            f"largest class gives {printed(chance.train)}% and {printed(chance.test)}%), so the value says nothing "
            "about the defense"
        )


def spread_over(experiment: Experiment) -> str:
    """What the spread of a value is."""
    if experiment.paired:
        return f"± is the spread (standard deviation) over {experiment.models} models, each with members of its own"
    return f"± is the spread (standard deviation) over {experiment.runs} trainings on fixed splits"


def tuned_on_target(lines: Iterable[TableRow]) -> Iterator[str]:
    """What the dagger means, and which hyper-parameters it stands for; nothing where no line has it."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines:
        if line.tuned_on_target:
            names[line.cell.defense].update(dict.fromkeys(line.tuned_on_target))
    if names:
        which = "; ".join(f"{defense}: {', '.join(own)}" for defense, own in names.items())
        yield (
            f"{DAGGER} tuned on target: hyper-parameters that the experiment sets and miabench tune did not choose on "
            f"the shadow half ({which}): read the result as if they had been chosen by looking at the target"
        )


def claims(lines: Iterable[TableRow]) -> Iterator[str]:
    """What defenses have reports say of their trainings, cells of the same meaning together."""
    groups: Groups = defaultdict(dict)
    for line in lines:
        if line.cell.claim is not None and line.claimed is not None:
            said = f"{line.cell.model} {line.cell.label}: {line.claimed}"
            groups[line.cell.dataset, line.cell.claim.meaning][said] = None
    for (dataset, meaning), cells in groups.items():
        yield f"{dataset} {'; '.join(cells)}; {meaning}"


def unfinished(summary: Summary) -> Iterator[str]:
    """Cells whose means are over fewer runs than the experiment asks for."""
    experiment = summary.index.experiment
    wanted = experiment.models if experiment.paired else experiment.runs
    for line in summary.lines:
        quantities = {"accuracy": line.test, **line.attacks}
        short: dict[tuple[int, str | None], list[str]] = defaultdict(list)
        for name, value in quantities.items():
            if 0 < value.runs < wanted:
                short[value.runs, value.reason].append(name)
        for (runs, reason), names in short.items():
            which = "" if len(names) == len(quantities) else f" ({', '.join(names)})"
            cell = line.cell
            yield f"{cell.dataset} {cell.model} {cell.label}: {runs} of {wanted} runs finished{which}: {reason}"


def worst_of(summary: Summary, judged: Judgement) -> Iterator[str]:
    """Which attacks worst cases are without, and why, by level; lines with the same together."""
    for level in levels(summary.index):
        groups: Groups = defaultdict(dict)
        for line in summary.lines:
            known = {column: worst for column, worst in judged.lines[line.key].worst.items() if column.level == level}
            if any(worst.missing for worst in known.values()):
                groups[line.cell.dataset, _without(known)][f"{line.cell.model} {line.cell.label}"] = None
        yield from (f"{where}: {level}: {what}" for where, what in _named(groups))


def records(summary: Summary) -> Iterator[str]:
    """Members, non-members and withheld records of the cells, those with the same ones together."""
    groups: Groups = defaultdict(dict)
    for line in summary.lines:
        if line.cell.counts:
            groups[line.cell.dataset, _counted(line.cell.counts)][f"{line.cell.model} {line.cell.label}"] = None
    pool = summary.index.experiment.protocol == "pool"
    for where, counts in _named(groups):
        first = f"{where}: the first target has {counts}, the others about as many"
        yield first if pool else f"{where}: each target has {counts}"


def differences(summary: Summary, judged: Judgement) -> Iterator[str]:
    """What the differences and their intervals are over, lines with the same together."""
    groups: Groups = defaultdict(dict)
    for line in summary.lines:
        for change in judged.lines[line.key].changes.values():
            over = _paired(change, summary.index.experiment.paired)
            groups[line.cell.dataset, over][f"{line.cell.model} {line.cell.label}"] = None
    if groups:
        yield (
            f"differences to {baseline_name(summary.lines)} are paired by run and record; [ ] is their 95% interval, "
            "each by itself; which are called lower or higher is corrected (Holm) for all settings of a column"
        )
    for where, over in _named(groups):
        yield f"{where}: differences over {over}"


def _without(known: Mapping[Column, Worst]) -> str:
    """What the worst cases of one level are without: said once where it is the same by every metric."""
    metrics: dict[str, list[str]] = defaultdict(list)
    for column, worst in known.items():
        reasons: dict[str, list[str]] = defaultdict(list)
        for attack, why in worst.missing.items():
            reasons[why].append(attack)
        without = "; ".join(f"{', '.join(own)} ({why})" for why, own in reasons.items())
        text = f"worst of {worst.among} attacks" + (f", without {without}" if without else "")
        metrics[text].append(TITLES[column.metric])
    if len(metrics) == 1:
        return next(iter(metrics))
    return "; ".join(f"{', '.join(own)}: {text}" for text, own in metrics.items())


def _counted(counts: Mapping[str, int]) -> str:
    withheld = {name: count for name, count in counts.items() if name not in ("members", "non-members")}
    parts = ", ".join(f"{count:,} withheld ({name})" for name, count in withheld.items())
    return f"{counts['members']:,} members, {counts['non-members']:,} non-members, {parts or 'none withheld'}"


def _paired(change: Change, pool: bool) -> str:
    counts = f"{change.n_members:,} members and {change.n_nonmembers:,} non-members under both"
    if pool:
        return f"{change.runs} models, each with members of its own: at least {counts} in each"
    runs = "one training (its interval is over records alone)" if change.runs == 1 else f"{change.runs} trainings"
    return f"{runs}, {counts}"


def _named(groups: Groups) -> Iterator[tuple[str, str]]:
    """Where each fact holds, and the fact: the cells by name unless the dataset has one fact or many cells share it."""
    for dataset in dict.fromkeys(dataset for dataset, _ in groups):
        own = {what: cells for (where, what), cells in groups.items() if where == dataset}
        commonest = max(own, key=lambda what: len(own[what]))
        for what, cells in own.items():
            if len(own) == 1:
                yield dataset, what
            elif what == commonest and len(cells) >= MANY:
                yield f"{dataset}, others", what
            else:
                yield f"{dataset} {', '.join(cells)}", what
