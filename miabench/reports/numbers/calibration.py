"""What attacks stood on: their parameters, how many reference models, and classes without a threshold of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from miabench.evaluation.references import ReferenceCounts
from miabench.reports.numbers.measured import CellMeasured
from miabench.results.index import Index


def variants(index: Index) -> Iterator[str]:
    """The parameters of all attacks that have any which are a number or a word, in one note."""
    known = {attack.label: [*_plain(attack.params)] for attack in index.attacks}
    named = [f"{label} ({', '.join(params)})" for label, params in known.items() if params]
    if named:
        yield f"attacks: {'; '.join(named)}"


def _plain(params: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name} {value}" for name, value in params.items() if isinstance(value, (int, float, str)))


def standing(index: Index, measured: Sequence[CellMeasured]) -> Iterator[str]:
    """References and thresholds of the stored results, attacks with the same together.

    Args:
        index: of the results.
        measured: of each of its cells.
    """
    references: dict[str, list[ReferenceCounts]] = defaultdict(list)
    without: dict[str, set[int]] = defaultdict(set)
    for cell, own in zip(index.cells, measured, strict=True):
        for attack, found in own.references:
            references[attack].append(found)
        if own.without_threshold:
            without[cell.dataset].update(own.without_threshold)
    groups: dict[str, list[str]] = defaultdict(list)
    for attack, counts in references.items():
        groups[_compared(counts)].append(attack)
    for said, attacks in groups.items():
        yield f"{', '.join(attacks)}: {said}"
    for dataset, numbers in without.items():
        many = f"{min(numbers)} to {max(numbers)}" if len(numbers) > 1 else str(*numbers)
        yield (
            f"{dataset}: {many} classes lack members or non-members among the shadow models' records: theirs is the "
            "threshold of all classes"
        )


def _compared(counts: list[ReferenceCounts]) -> str:
    """How many references records had, on average over all targets."""
    n = len(counts)
    t_in, t_out, s_in, s_out, lacking = (sum(values) / n for values in zip(*counts, strict=True))
    kinds = f"{t_out:.1f} reference models trained without it" + (f" and {t_in:.1f} with it" if t_in else "")
    shadows = f"; of shadow models' records {s_out:.1f}" + (f" and {s_in:.1f}" if s_in else "") if s_out or s_in else ""
    fallen = f"; {lacking:.1f} records of a target lack a kind, and all records' answers stand in" if lacking else ""
    return f"each record is compared with {kinds} on average{shadows}{fallen}"
