"""`miabench report --compare uai24`: the paper's numbers and the measured ones, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from rich.console import Console

from miabench.reports.numbers.published import PAPER_RUNS
from miabench.reports.numbers.side_by_side import NOT_GIVEN, TOO_EXPENSIVE, Compared, Pair, SideBySide, side_by_side
from miabench.reports.numbers.summary import Statistic, printed, summarize
from miabench.reports.tables.terminal import marked
from miabench.reports.tables.terminal_layout import Column, Item, Rows, open_console, print_columns, print_note
from miabench.reports.words.footnotes import Reasons, tuned_on_target
from miabench.results.results import Results

NAMES = {"train_accuracy": "train acc.", "test_accuracy": "test acc."}


def report(results: Results, anyway: bool) -> None:
    """Print the comparison to standard output.

    Args:
        results: what the store holds of an experiment.
        anyway: compare scaled experiments and other data too.

    Raises:
        UserError: nothing can be compared; or not like with like, without `anyway`.
    """
    found = side_by_side(summarize(results), anyway)
    show(open_console(), found, found.notes)


def show(console: Console, found: SideBySide, notes: Sequence[str] = ()) -> None:
    """Print a table for each dataset and model, then what must be said beside them.

    Args:
        console: whose width the tables fit.
        found: what is printed.
        notes: facts about the measured results.
    """
    reasons = Reasons()
    for title, group in itertools.groupby(found.compared, _title):
        compared = list(group)
        rows = [(one, pair) for one in compared for pair in one.pairs]
        print_columns(console, Rows(title, _ends(compared)), list(_columns(rows, reasons)))
    for note in _notes(found, reasons):
        print_note(console, note)
    for note in notes:
        print_note(console, f"note: {note}")
    for warning in found.warnings:
        print_note(console, f"warning: {warning}")


def _title(one: Compared) -> str:
    place = f"{one.table}: {one.paper.model} on {one.paper.dataset}"
    if one.other_data is not None:
        place += f", measured on other data: {one.other_data}"
    return f"{place}; accuracy and AUC in percent, published and measured"


def _ends(compared: Sequence[Compared]) -> list[bool]:
    """A rule below each approach's last quantity, but for the last."""
    ends = [i == len(one.pairs) - 1 for one in compared for i in range(len(one.pairs))]
    return [*ends[:-1], False]


def _columns(rows: Sequence[tuple[Compared, Pair]], reasons: Reasons) -> Iterator[Column]:
    approaches = [marked(one.line) if pair is one.pairs[0] else "" for one, pair in rows]
    yield Column("approach", [Item((approach,)) for approach in approaches], names=True)
    yield Column("quantity", [Item((NAMES.get(pair.quantity, pair.quantity),)) for _, pair in rows], names=True)
    yield Column("published", [_published(pair) for _, pair in rows])
    yield Column("measured", [_measured(pair.measured, reasons) for _, pair in rows])
    yield Column("runs", [Item((str(pair.measured.runs),)) for _, pair in rows])
    yield Column("difference", [_difference(pair) for _, pair in rows])


def _published(pair: Pair) -> Item:
    if pair.published is None:
        return Item((pair.why or "",), "dim")
    return Item((printed(pair.published.mean), f"(±{printed(pair.published.std)})"))


def _measured(value: Statistic, reasons: Reasons) -> Item:
    if value.mean is None:
        return Item((value.state, f"[{reasons.number(value.reason or '')}]"))
    return Item((printed(value.mean), *(() if value.std is None else (f"(±{printed(value.std)})",))))


def _difference(pair: Pair) -> Item:
    if pair.difference is None:
        return Item(("n/a",), "dim")
    if pair.interval is None:
        return Item((f"{100 * pair.difference:+.2f}", "[one run]"))
    low, high = pair.interval
    return Item((f"{100 * pair.difference:+.2f}", f"[{100 * low:+.2f}, {100 * high:+.2f}]"))


def _notes(found: SideBySide, reasons: Reasons) -> Iterator[str]:
    yield (
        f"published: Fang and Kim (UAI 2024), {PAPER_RUNS} runs; the paper does not say what its ± is: it is taken for "
        "their standard deviation"
    )
    yield (
        "difference: measured minus published, in points; [ ] is its 95% Welch interval over trainings, with "
        f"n = {PAPER_RUNS} and the measured runs"
    )
    why = {pair.why for one in found.compared for pair in one.pairs}
    if TOO_EXPENSIVE in why:
        yield f"{TOO_EXPENSIVE}: the paper left Grad-x on DenseNet121 out for its cost; here it is measured"
    if NOT_GIVEN in why:
        yield f"{NOT_GIVEN}: the paper's table has no accuracies"
    yield from reasons.notes()
    yield from tuned_on_target(one.line for one in found.compared)
    if found.absent:
        yield f"not in the paper's tables: {'; '.join(found.absent)}"
    if found.unpublished:
        yield (
            "hyper-parameters that the paper does not give, so that measured values are those of other settings: "
            + ", ".join(found.unpublished)
        )
