"""The tables of a report, worst cases first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from miabench.metrics import Estimate
from miabench.metrics.names import TITLES
from miabench.reports.numbers.adaptivity import Gaps
from miabench.reports.numbers.branches import BRANCHES, BranchShares, Shares, relaxed
from miabench.reports.numbers.consistency import QUANTITIES, Consistency
from miabench.reports.numbers.cost import Cost, Costs
from miabench.reports.numbers.duels import Matrices
from miabench.reports.numbers.evidence import Change, Judgement
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.lines import STATES, RunStats, Summary, TableRow
from miabench.reports.numbers.loss_ranks import LossRanks
from miabench.reports.numbers.names import approach, baseline_name
from miabench.reports.numbers.stored import ACCURACY, Worst
from miabench.reports.tables.between_defenses import duel_tables, loss_rank_tables
from miabench.reports.tables.table import Row, Table, Value, change, interval, mean_over_runs, number, overlap
from miabench.reports.words.collapse import remedies
from miabench.reports.words.footnotes import Reasons

COST_HEADERS = (
    "trainings", "CPU seconds", "ratio to {}", "wall seconds", "records forward", "records backward", "withheld",
    "s per 1,000 answers",
)  # fmt: skip


@dataclass(frozen=True)
class Tabled:
    """What the tables of a report show.

    Attributes:
        summary: all its lines are shown.
        judged: of these lines.
        gaps: of the cells, where both attackers were run.
        duels: of the defenses, where there are three or more.
        costs: of the cells; what is missing is left out.
        branches: of the cells with relaxed losses.
        consistency: how alike networks behave on members and non-members; read from the store when it is asked for.
        loss_ranks: whether defenses find the same records hard; read from the store when it is asked for.
    """

    summary: Summary
    judged: Judgement
    gaps: Gaps
    duels: Matrices
    costs: Costs
    branches: BranchShares
    consistency: Callable[[], Sequence[Consistency]] = tuple
    loss_ranks: Callable[[], Sequence[LossRanks]] = tuple


def report_tables(made: Tabled, reasons: Reasons) -> list[Table]:
    """The worst cases of each dataset; then, attack by attack, what they are the worst of; gaps, branches and costs."""
    return [*worst_tables(made, reasons), *detailed_tables(made, reasons)]


def detailed_tables(made: Tabled, reasons: Reasons) -> list[Table]:
    """All but the worst cases."""
    return [
        *results_tables(made, reasons),
        *attack_tables(made, reasons),
        *duel_tables(made.duels, made.summary.metric),
        *gaps_tables(made),
        *branch_tables(made.summary, made.branches),
        *consistency_tables(made),
        *loss_rank_tables(made.loss_ranks()),
        *cost_tables(made.summary, made.costs),
    ]


def worst_tables(made: Tabled, reasons: Reasons) -> list[Table]:
    """Accuracy and the strongest attack of each level of access, a section for each."""
    tables = []
    for lines in _by_dataset(made.summary.lines):
        known = [column for line in lines for column in made.judged.lines[line.key].worst]
        metrics = list(dict.fromkeys(column.metric for column in known))
        if metrics:
            shown, names = _names(lines)
            sections = [
                _worst_section(made, lines, names, [Column(level, metric) for metric in metrics], reasons)
                for level in levels(made.summary.index)
            ]
            headers = ("test acc. ↑", *(f"{TITLES[metric]} ↓" for metric in metrics))
            title = f"{_about(lines)}: the strongest attack of each kind, in percent [95% interval]"
            below = tuple(remedies(made.summary, lines))
            tables.append(Table(title, ("attacks", *shown), headers, tuple(sections), below))
    return tables


def _worst_section(
    made: Tabled,
    lines: Sequence[TableRow],
    names: Sequence[tuple[str, ...]],
    columns: Sequence[Column],
    reasons: Reasons,
) -> tuple[Row, ...]:
    rows, usual = [], _usual(made.judged, lines, columns)
    for line, own in zip(lines, names, strict=True):
        known = made.judged.lines[line.key].worst
        worst = [_worst(known.get(one), line, (line.key, one) in made.judged.best, reasons) for one in columns]
        worst = [_counted(value, known.get(one), usual) for value, one in zip(worst, columns, strict=True)]
        accuracy = replace(mean_over_runs(line.test, reasons), spread="")  # so that 80 columns are enough
        rows.append(Row((columns[0].level, *own), (accuracy, *worst), line))
    return tuple(rows)


def _worst(found: Worst | None, line: TableRow, best: bool, reasons: Reasons) -> Value:
    if found is None:
        state = min((value.state for value in line.attacks.values()), key=STATES.index, default="n/a")
        why = next((value.reason for value in line.attacks.values() if value.reason), "too few records")
        return Value("n/a" if state == "done" else state, note=reasons.number(why))
    case = found.case
    return Value.of(case.value, interval(case.low, case.high), below=found.attack, best=best)


def _usual(judged: Judgement, lines: Sequence[TableRow], columns: Sequence[Column]) -> str:
    """Of how many attacks most worst cases of a level are: what a note below all tables says once."""
    cases = [worst for line in lines for one in columns if (worst := judged.lines[line.key].worst.get(one))]
    counts = Counter(worst.among for worst in cases).most_common(1)
    return counts[0][0] if counts else ""


def _counted(value: Value, found: Worst | None, usual: str) -> Value:
    """A worst case with the number of its attacks, where that is not the usual one of its level."""
    if found is None or found.among == usual:
        return value
    return replace(value, below=f"{value.below}, {found.among if found.missing else f'all {found.among}'}")


def results_tables(made: Tabled, reasons: Reasons) -> list[Table]:
    """Accuracy and the attacks of every line, laid out like the paper's tables."""

    def values(line: TableRow) -> list[Value]:
        attacks = [
            mean_over_runs(value, reasons, (line.key, attack) in made.judged.best)
            for attack, value in line.attacks.items()
        ]
        return [mean_over_runs(line.train, reasons), mean_over_runs(line.test, reasons), *attacks]

    tables = []
    for lines in _by_dataset(made.summary.lines):
        headers = ("train acc. ↑", "test acc. ↑", *(f"{attack} ↓" for attack in lines[0].attacks))
        title = f"{_about(lines)}: accuracy, and {TITLES[made.summary.metric]} of each attack, in percent"
        tables.append(_table(title, headers, lines, values))
    return tables


def attack_tables(made: Tabled, reasons: Reasons) -> list[Table]:
    """A section per line with its attacks as rows: mean, interval, and the difference to the baseline."""
    name = baseline_name(made.summary.lines)
    headers = ("mean", "95% interval", f"minus {name} [95% interval]", "so it is")
    tables = []
    for lines in _by_dataset(made.summary.lines):
        shown, names = _names(lines)
        sections = tuple(tuple(_attack_rows(made, line, own, reasons)) for line, own in zip(lines, names, strict=True))
        title = f"{_about(lines)}: {TITLES[made.summary.metric]} of each attack, in percent; differences in points"
        tables.append(Table(title, (*shown, "quantity"), headers, sections))
    return tables


def _attack_rows(made: Tabled, line: TableRow, names: tuple[str, ...], reasons: Reasons) -> Iterator[Row]:
    evidence = made.judged.lines[line.key]
    accuracy = evidence.changes.get(ACCURACY)
    yield Row((*names, "test acc. ↑"), _detailed(line.test, evidence.accuracy, accuracy, reasons), line)
    for attack, value in line.attacks.items():
        best = (line.key, attack) in made.judged.best
        known = evidence.attacks.get(attack), evidence.changes.get(attack)
        yield Row((*names, f"{attack} ↓"), _detailed(value, *known, reasons, best), line)


def _detailed(
    value: RunStats, estimate: Estimate | None, change_: Change | None, reasons: Reasons, best: bool = False
) -> tuple[Value, ...]:
    between = Value("") if estimate is None else Value(interval(estimate.low, estimate.high))
    word = Value("") if change_ is None else Value(change_.verdict.word)
    difference = Value("") if change_ is None else change(change_)
    return mean_over_runs(value, reasons, best), between, difference, word


def gaps_tables(made: Tabled) -> list[Table]:
    """The adaptivity gap of each attack; none unless both attackers were run."""

    def values(line: TableRow) -> list[Value]:
        return [change(made.gaps[line.cell.key].get(attack)) for attack in line.attacks]

    tables = []
    adaptive = [line for line in made.summary.lines if line.attacker == "adaptive" and line.cell.key in made.gaps]
    for lines in _by_dataset(adaptive):
        title = (
            f"{_about(lines)}: adaptivity gap: {TITLES[made.summary.metric]} of the adaptive attacker minus that of "
            "the non-adaptive one, in points [95% interval]"
        )
        tables.append(_table(title, tuple(lines[0].attacks), lines, values))
    return tables


def consistency_tables(made: Tabled) -> list[Table]:
    """The overlap of members and non-members, by distance to the boundary and by confidence."""
    known = {(one.cell.key, one.quantity.name): one for one in made.consistency()}
    names = [quantity.name for quantity in QUANTITIES]

    def values(line: TableRow) -> list[Value]:
        found = [known[line.cell.key, name] for name in names]
        return [value for one in found for value in (overlap(one.overlaps), number(one.if_alike, "{:.3f}".format))]

    headers = tuple(header for name in names for header in (f"overlap of {name} ↑", "if alike"))
    first = [line for line in made.summary.lines if line.attacker == made.summary.attackers[0]]
    lines = [line for line in first if (line.cell.key, names[0]) in known]
    return [
        _table(f"{_about(own)}: consistency of members and non-members (1: alike)", headers, own, values)
        for own in _by_dataset(lines)
    ]


def cost_tables(summary: Summary, costs: Costs) -> list[Table]:
    """What one target of each cell cost; datasets without any are left out."""
    bases = {line.site: costs.get(line.cell.key) for line in summary.lines if line.is_baseline}

    def values(line: TableRow) -> list[Value]:
        return list(_cost(costs[line.cell.key], bases.get(line.site)))

    headers = tuple(header.format(baseline_name(summary.lines)) for header in COST_HEADERS)
    lines = [line for line in summary.lines if line.attacker == summary.attackers[0] and line.cell.key in costs]
    return [
        _table(f"{_about(own)}: cost of one target, everything it starts from included", headers, own, values)
        for own in _by_dataset(lines)
    ]


def branch_tables(summary: Summary, branches: BranchShares) -> list[Table]:
    """Which way the steps of relaxed losses went; a part that never relaxed is named."""
    lines = [line for line in summary.lines if line.attacker == summary.attackers[0] and line.cell.key in branches]
    tables = []
    for own in _by_dataset(lines):
        losses = list(dict.fromkeys(loss for line in own for loss in branches[line.cell.key]))

        def values(line: TableRow, losses: list[str] = losses) -> list[Value]:
            return _branches(branches[line.cell.key], losses)

        headers = (*(f"{loss} {branch}" for loss in losses for branch in BRANCHES), "so it is")
        title = f"{_about(own)}: share of steps by branch of a relaxed loss, in percent, mean over runs"
        tables.append(_table(title, headers, own, values))
    return tables


def _branches(shares: Shares, losses: Sequence[str]) -> list[Value]:
    known = [Value.of(shares[loss][name]) if loss in shares else Value("") for loss in losses for name in BRANCHES]
    never = [loss for loss, own in shares.items() if not relaxed(own)]
    return [*known, Value(f"{' and '.join(never)} never relaxed" if never else "")]


def _by_dataset(lines: Sequence[TableRow]) -> list[list[TableRow]]:
    datasets = dict.fromkeys(line.cell.dataset for line in lines)
    return [[line for line in lines if line.cell.dataset == dataset] for dataset in datasets]


def _about(lines: Sequence[TableRow]) -> str:
    """The dataset, and the model where there is one: it needs no column then."""
    models = dict.fromkeys(line.cell.model for line in lines)
    return ", ".join([lines[0].cell.dataset, *(models if len(models) == 1 else ())])


def _table(
    title: str, headers: tuple[str, ...], lines: Sequence[TableRow], values: Callable[[TableRow], list[Value]]
) -> Table:
    """A row per line, a section per model."""
    shown, names = _names(lines)
    rows = [Row(own, tuple(values(line)), line) for own, line in zip(names, lines, strict=True)]
    sections = itertools.groupby(rows, key=lambda row: row.line and row.line.cell.model)
    return Table(title, shown, headers, tuple(tuple(own) for _, own in sections))


def _names(lines: Sequence[TableRow]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """What names lines: of model and attacker only those in which they differ, and the approach."""
    parts = {
        "model": [line.cell.model for line in lines],
        "approach": [approach(line) for line in lines],
        "attacker": [line.attacker for line in lines],
    }
    shown = tuple(name for name, own in parts.items() if name == "approach" or len(set(own)) > 1)
    return shown, list(zip(*(parts[name] for name in shown), strict=True))


def _cost(cost: Cost, base: Cost | None) -> Iterator[Value]:
    yield number(cost.trainings, "{:g}".format)
    yield number(cost.cpu_seconds, "{:,.2f}".format)
    yield number(cost.ratio(base), "{:,.2f}".format)
    yield number(cost.seconds, "{:,.2f}".format)
    yield number(cost.forwarded, "{:,.0f}".format)
    yield number(cost.differentiated, "{:,.0f}".format)
    yield number(cost.withheld, "{:,.0f}".format)
    yield number(cost.answering, "{:,.3f}".format)
