"""Reports of made results, as they are printed."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from miabench.evaluation.scores import TargetValues
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.write import Report
from miabench.results.results import Results


@pytest.fixture
def printed() -> Callable[..., str]:
    """What the terminal shows of a report, of so many columns."""

    def text(made: Report, width: int = 120, details: bool = True) -> str:
        file = io.StringIO()
        console = open_console(file)
        console.width = width
        show(console, made.tabled, made.answer, details)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines())

    return text


@pytest.fixture
def dear() -> Callable[[Results, slice], Results]:
    """The same results, but nn scored some records of each run alone: `dear(made, slice(80, 320))`."""

    def dear(made: Results, some: slice) -> Results:
        class Dear(Results):
            def targets(self, cell, attacker=None, attack=None):
                found = super().targets(cell, attacker, attack)
                if attack != "nn":
                    return found
                parts = ([one.values, one.members, one.labels, one.rows] for one in found.values())
                return {run: TargetValues(*(part[some] for part in own)) for run, own in zip(found, parts, strict=True)}

        return Dear(made.index, made.store)

    return dear
