"""Draws README's table and plot from docs/readme.toml: `python docs/readme_figures.py`; trains what is not stored yet.

Writes docs/readme-table.svg (what the terminal shows) and docs/readme-trade-off.svg. Location30 is downloaded at first
use (`miabench list datasets location30` says where a copy can be put by hand).
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.reports.plots import worst_cases
from miabench.reports.plots.figure import save
from miabench.reports.tables.report_tables import worst_tables
from miabench.reports.tables.terminal import print_table
from miabench.reports.words.footnotes import Reasons
from miabench.reports.write import Report
from miabench.results.results import Results
from miabench.store.store import Store

FOLDER = Path(__file__).parent
WIDTH = 96  # columns of the terminal
COMMAND = "miabench run docs/readme.toml"
WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture in a README may load nothing


def main() -> None:
    """Train, attack and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path("miabench-store"))
    parser.add_argument("--data-root", type=Path)
    given = parser.parse_args()
    plan = make_plan(load_experiment(FOLDER / "readme.toml"), Paths(given.store, given.data_root))
    run_stages(plan, ("train", "attack"), ExecutorConfig(), lambda event: None)
    made = Report(Results(plan.index, Store(given.store)))
    (FOLDER / "readme-table.svg").write_text(table(made), encoding="utf-8")
    save(worst_cases.draw(made.summary, made.judged), FOLDER / "readme-trade-off", [".svg"])


def table(made: Report) -> str:
    """The terminal's table of results as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), markup=False, highlight=False, force_terminal=True)
    for one in worst_tables(made.tabled, Reasons()):
        print_table(console, one)
    return WEB_FONTS.sub("", console.export_svg(title=COMMAND, theme=DEFAULT_TERMINAL_THEME, unique_id="readme"))


if __name__ == "__main__":
    main()
