"""Whether results that stand side by side were made on one kind of machine with one set of versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from miabench.results.results import Results
from miabench.store.store import Ref


def mixed_environments(results: Results) -> Iterator[str]:
    """A warning that names every library version, processor and accelerator in which stored results differ."""
    found: dict[str, dict[str, None]] = defaultdict(dict)  # values in the order they are met
    for ref in _artifacts(results):
        for name, value in results.store.manifest(ref).environment.items():
            found[name].setdefault(str(value or "none"))
    mixed = [f"{name} {' and '.join(values)}" for name, values in found.items() if len(values) > 1]
    if mixed:
        yield (
            "results of different machines or versions are mixed, which can differ beyond the seed: " + "; ".join(mixed)
        )


def _artifacts(results: Results) -> list[Ref]:
    refs = dict.fromkeys(ref for entry in results.index.entries for ref in (entry.network, entry.records) if ref)
    return [ref for ref in refs if results.store.has(ref)]
