"""Reports of made results, as they are printed."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.write import Report


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
