"""Whether results that stand side by side were made on one kind of machine with one set of versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from miabench.results.index import Cell
from miabench.results.results import Results


def mixed_environments(cells: Iterable[Sequence[tuple[str, str]]]) -> Iterator[str]:
    """A warning that names every library version, processor and accelerator in which stored results differ.

    Args:
        cells: the environment of each.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)  # values in the order they are met
    for name, value in (one for cell in cells for one in cell):
        found[name].setdefault(value)
    mixed = [f"{name} {' and '.join(values)}" for name, values in found.items() if len(values) > 1]
    if mixed:
        yield (
            "results of different machines or versions are mixed, which can differ beyond the seed: " + "; ".join(mixed)
        )


def environment(results: Results, cell: Cell) -> list[tuple[str, str]]:
    """What a cell's stored networks and scores were made with: names and values, each once."""
    refs = dict.fromkeys(ref for entry in results.entries(cell) for ref in (entry.network, entry.records) if ref)
    made = (results.store.manifest(ref).environment for ref in refs if results.store.has(ref))
    return [*dict.fromkeys((name, str(value or "none")) for own in made for name, value in own.items())]
