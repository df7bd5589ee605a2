"""The results as one web page that needs nothing else: no network, no other file.

It is made from stored results by a Jinja2 template with its style sheet and script beside this file. All text from
experiments and plugins is escaped, and the page's content policy allows its own script only.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from miabench.evaluation.measure import ACCURACIES
from miabench.experiment.remarks import subject
from miabench.files.toml import toml_text
from miabench.reports.numbers.lines import Summary, printed
from miabench.reports.numbers.names import DAGGER
from miabench.reports.page import curves
from miabench.reports.plots.figure import finish
from miabench.reports.tables.report_tables import Tabled, report_tables
from miabench.reports.tables.table import has_spread
from miabench.reports.words import footnotes, provenance
from miabench.reports.words.alerts import alerts
from miabench.reports.words.glossary import WORDS
from miabench.reports.words.sentences import overview, sentences
from miabench.results.index import Cell, CellKey, Entry
from miabench.results.results import Results
from miabench.store.store import digest

FOLDER = Path(__file__).parent
CELLS_WITH_CURVES = 100  # more would make a page that browsers open slowly
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
XML_NAMES = re.compile(r'(\bid="|url\(#|href="#)')
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Run(NamedTuple):
    """One run of a cell: accuracies in percent, the network's key in the store, and why something is missing."""

    number: int
    train: str
    test: str
    key: str
    reason: str


@dataclass(frozen=True)
class Section:
    """What the page says of one cell; `id` is its anchor."""

    id: str
    cell: Cell
    title: str
    runs: Sequence[Run]
    panels: Sequence[curves.Panel]


def to_html(results: Results, made: Tabled, said: Sequence[str], figures: Mapping[str, Figure]) -> str:
    """The page.

    Args:
        results: what the tables were made from.
        made: what the tables show.
        said: the answer, in sentences.
        figures: plots by their titles.
    """
    reasons, summary = footnotes.Reasons(), made.summary
    script, style = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    experiment, tables = summary.index.experiment, report_tables(made, reasons)
    return template("page.html").render(
        title=subject(experiment),
        overview=overview(summary),
        sentences=[*said, *sentences(summary, made.judged)],
        alerts=list(dict.fromkeys(alerts(summary, made.judged))),
        tables=tables,
        dagger=DAGGER,
        notes=[
            *footnotes.reading(summary, made.judged, best="bold:", spread=has_spread(tables)),
            *footnotes.beside(summary, made.judged, reasons),
        ],
        words=WORDS,
        plots={title: inline(figure, f"plot{i}-") for i, (title, figure) in enumerate(figures.items())},
        sections=_sections(results, summary),
        anchors={key: f"cell-{i}" for i, key in enumerate(_cells(summary))},
        drawn=len(_cells(summary)) <= CELLS_WITH_CURVES,
        protocol=list(provenance.protocol(experiment)),
        versions=provenance.versions(results),
        experiment=toml_text(experiment.as_file()),
        made=provenance.made_on(results),
        key=digest(experiment.model_dump(mode="json")),
        style=Markup(style),  # the package's own, like the script
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def template(name: str) -> Template:
    """A template beside this file; what it shows is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    return environment.get_template(name)


def _prose(text: str) -> Markup:
    """A sentence, escaped, in which no line ends within an option's name: `--` would stand alone."""
    return Markup(OPTION.sub(r'<span class="option">\g<0></span>', str(escape(text))))


def inline(figure: Figure, prefix: str) -> Markup:
    """A figure as SVG that can stand in a page: names begin with a prefix, so that no two figures share any."""
    finish(figure)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": prefix}):  # the same names every time
        figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
    svg = file.getvalue()
    svg = XML_NAMES.sub(lambda found: found[0] + prefix, svg[svg.index("<svg") :])
    return Markup(svg)  # matplotlib escapes what it sets


# --- cells ---


def _cells(summary: Summary) -> dict[CellKey, Cell]:
    return {line.cell.key: line.cell for line in summary.lines}


def _sections(results: Results, summary: Summary) -> list[Section]:
    cells = _cells(summary)
    accuracies = _accuracies(results)
    sections = []
    for i, cell in enumerate(cells.values()):
        entries = results.accuracy_entries(cell)
        panels = _panels(results, cell, entries) if len(cells) <= CELLS_WITH_CURVES else []
        runs = [_run(entry, accuracies) for entry in entries]
        title = f"{cell.dataset}, {cell.model}: {cell.label}"
        sections.append(Section(f"cell-{i}", cell, title, runs, panels))
    return sections


def _panels(results: Results, cell: Cell, entries: Sequence[Entry]) -> list[curves.Panel]:
    histories = [history for entry in entries if (history := results.history(cell, entry.run)) is not None]
    return list(curves.panels([history for history in histories if len(history)]))


def _accuracies(results: Results) -> dict[tuple[str, str], float]:
    """Values by the key of their artifact and the metric."""
    table = results.table
    table = table[table["attack"].isna() & table["value"].notna()]
    keys = zip(table["key"], table["metric"], strict=True)
    return dict(zip(keys, table["value"], strict=True))


def _run(entry: Entry, accuracies: Mapping[tuple[str, str], float]) -> Run:
    key = entry.metrics.key if entry.metrics else ""
    train, test = (accuracies.get((key, metric)) for metric in ACCURACIES)
    network = entry.network.key if entry.network else ""
    return Run(entry.run, _percent(train), _percent(test), network, entry.reason or "")


def _percent(value: float | None) -> str:
    return "" if value is None else printed(value)
