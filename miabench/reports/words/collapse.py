"""What to type where a defense collapsed: right under the table that shows it, where it is missed least."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from miabench.reports.numbers.lines import Summary, TableRow
from miabench.reports.numbers.names import baseline_name

SETTING = re.compile(r"--set \S*[^\s.,;)]")
SLOWER = 10  # the learning rate that is tried where nothing better is known
LONGER = 10  # times the epochs, where nothing is learnt without a defense either


def remedies(summary: Summary, lines: Sequence[TableRow]) -> Iterator[str]:
    """For each collapsed defense of these lines: the option that its advice names, else a lower learning rate.

    Where what defenses are compared with collapsed too, no defense is the reason: the schedule is.
    """
    schedule = summary.index.experiment.schedule
    slower = f"--set schedule.lr={schedule.lr / SLOWER:g}"
    if any(line.collapsed and line.is_baseline for line in lines):
        yield (
            f"{baseline_name(lines)} collapsed: nothing was learnt under this schedule; add to your command: "
            f"--epochs {LONGER * schedule.epochs}, or {slower}"
        )
        return
    for defense in dict.fromkeys(line.cell.defense for line in lines if line.collapsed):
        own = [warning for warning in summary.warnings if warning.startswith(f"{defense}:")]
        named = [found[0] for warning in own if (found := SETTING.search(warning))]
        yield f"{defense} collapsed; add to your command: {' '.join(dict.fromkeys(named)) or slower}"
