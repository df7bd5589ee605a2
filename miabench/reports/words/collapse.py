"""What to type where a defense collapsed: right under the table that shows it, where it is missed least."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from miabench.reports.numbers.lines import Summary, TableRow

SETTING = re.compile(r"--set \S*[^\s.,;)]")
SLOWER = 10  # the learning rate that is tried where nothing better is known


def remedies(summary: Summary, lines: Sequence[TableRow]) -> Iterator[str]:
    """For each collapsed defense of these lines: the option that its advice names, else a lower learning rate."""
    lr = summary.index.experiment.schedule.lr
    for defense in dict.fromkeys(line.cell.defense for line in lines if line.collapsed and not line.is_baseline):
        own = [warning for warning in summary.warnings if warning.startswith(f"{defense}:")]
        named = [found[0] for warning in own if (found := SETTING.search(warning))]
        settings = " ".join(dict.fromkeys(named)) or f"--set schedule.lr={lr / SLOWER:g}"
        yield f"{defense} collapsed; add to your command: {settings}"
