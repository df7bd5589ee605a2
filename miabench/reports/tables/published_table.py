"""`miabench report --compare uai24`: the paper's numbers and the measured ones, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rich.console import Console

from miabench.reports.numbers.lines import signed
from miabench.reports.numbers.names import marked, quantity_name
from miabench.reports.numbers.published import NOT_GIVEN, PAPER_RUNS, TOO_EXPENSIVE
from miabench.reports.numbers.side_by_side import ComparedCell, Pair, PaperComparison
from miabench.reports.tables.table import Row, Table, Value, mean_over_runs, plus_minus
from miabench.reports.tables.terminal import print_table
from miabench.reports.tables.terminal_layout import print_note
from miabench.reports.words.footnotes import Reasons, tuned_on_target


def show(console: Console, found: PaperComparison) -> None:
    """Print a table for each dataset and model, then what must be said beside them.

    Args:
        console: whose width the tables fit.
        found: what is printed.
    """
    reasons = Reasons()
    for table in published_tables(found, reasons):
        print_table(console, table)
    for note in _notes(found, reasons):
        print_note(console, note)
    for note in found.notes:
        print_note(console, f"note: {note}")
    for warning in found.warnings:
        print_note(console, f"warning: {warning}")


def published_tables(found: PaperComparison, reasons: Reasons) -> list[Table]:
    """A table for each dataset and model, with a section per approach and a row per quantity."""
    headers = ("published", "measured", "runs", "difference")
    tables = []
    for title, cells in itertools.groupby(found.compared, _title):
        sections = tuple(tuple(_rows(one, reasons)) for one in cells)
        tables.append(Table(title, ("approach", "quantity"), headers, sections))
    return tables


def _title(one: ComparedCell) -> str:
    place = f"{one.table}: {one.paper.model} on {one.paper.dataset}"
    if one.other_data is not None:
        place += f", measured on other data: {one.other_data}"
    return f"{place}; accuracy and AUC in percent, published and measured"


def _rows(one: ComparedCell, reasons: Reasons) -> Iterator[Row]:
    for pair in one.pairs:
        measured = mean_over_runs(pair.measured, reasons)
        runs = Value(str(pair.measured.runs), number=pair.measured.runs)
        values = (_published(pair), measured, runs, _difference(pair))
        yield Row((marked(one.line), quantity_name(pair.quantity)), values)


def _published(pair: Pair) -> Value:
    if pair.published is None:
        return Value(pair.why or "")
    return Value.of(pair.published.mean, plus_minus(pair.published.std))


def _difference(pair: Pair) -> Value:
    if pair.difference is None:
        return Value("n/a")
    interval = "[one run]" if pair.interval is None else "[{}, {}]".format(*map(signed, pair.interval))
    return Value(signed(pair.difference), interval, number=pair.difference)


def _notes(found: PaperComparison, reasons: Reasons) -> Iterator[str]:
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
