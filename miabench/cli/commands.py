"""The command line: parse, call one function of the library, print."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from miabench.api import auditing, looking, running
from miabench.cli import stores
from miabench.cli.options import Given, again, command, taken
from miabench.cli.say import say
from miabench.errors import DISK_FULL, UserError, disk_is_full, indented

if TYPE_CHECKING:
    from miabench.jobs.scheduler import Outcome

app = typer.Typer(
    help="Which defense makes a classifier leak least about its training data, at what cost?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(stores.app, name="store")


class Format(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    HTML = "html"


class PlotWidth(StrEnum):
    """Widths of a paper in two columns."""

    COLUMN = "column"
    PAGE = "page"


class Published(StrEnum):
    """Papers whose values come with the package."""

    UAI24 = "uai24"


class Kind(StrEnum):
    """What can be listed."""

    DEFENSES = "defenses"
    ATTACKS = "attacks"
    DATASETS = "datasets"
    MODELS = "models"
    SUITES = "suites"
    PRESETS = "presets"


class PluginKind(StrEnum):
    """What can be written anew."""

    DEFENSE = "defense"
    ATTACK = "attack"
    DATASET = "dataset"
    MODEL = "model"


def _option(text: str, metavar: str) -> Any:
    return typer.Option(help=text, metavar=metavar, show_default=False)


NoTitles = Annotated[bool, typer.Option("--no-titles", help="plots without headings: a paper has captions")]
PlotWidths = Annotated[
    PlotWidth | None, _option("of plots: column or page of a paper; without it for a screen", "NAME")
]


def main() -> None:
    """The `miabench` command."""
    try:
        app(prog_name="miabench")  # also where it was started as python -m miabench
    except UserError as error:
        for problem in error.problems:
            say(f"error: {indented(problem)}", err=True)
        sys.exit(2)
    except OSError as error:
        if disk_is_full(error):
            say(f"error: {DISK_FULL}" + (f" ({error.filename})" if error.filename else ""), err=True)
        elif error.filename is not None:  # a file or folder of the user's that cannot be used
            say(f"error: {error.filename}: {error.strerror}", err=True)
        else:
            raise
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        from miabench._version import __version__

        typer.echo(f"miabench {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options that stand before a command."""


@command(app, running.train)
def train(given: Given) -> None:
    """Train the target and shadow models that are not in the store yet."""
    _end(running.train(**given, progress=True), f"next: {again('attack', given)}")


@command(app, running.attack)
def attack(given: Given) -> None:
    """Attack the trained models and measure."""
    _end(running.attack(**given, progress=True), f"next: {again('report', given)}")


@command(app, running.run)
def run(
    given: Given,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would be done, and how long it takes")
    ] = False,
) -> None:
    """Train, attack and report."""
    if dry_run:
        say(running.estimate(**given))
        return
    results, outcome = running.perform(("train", "attack"), progress=True, **given)
    from miabench.reports import write  # imports pandas, and what is wrong is said before

    write.report(results, Format.TABLE.value)
    _end(outcome, _files(given))
    if not any(entry.metrics for entry in results.index.entries):
        raise typer.Exit(1)


@command(app, looking.report)
def report(
    given: Given,
    format: Annotated[
        Format, _option("table (default), csv, json, markdown, latex or html, on standard output", "NAME")
    ] = Format.TABLE,
    out: Annotated[Path | None, _option("to write: all formats, and the plots as PNG, SVG and PDF", "FOLDER")] = None,
    budget: Annotated[
        str | None, _option("points of accuracy to spend: names the defense to use", "accuracy=POINTS")
    ] = None,
    compare: Annotated[
        Published | None, _option("uai24: show the paper's published values beside these", "PAPER")
    ] = None,
    no_titles: NoTitles = False,
    plot_width: PlotWidths = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="compare scaled experiments and other data too")] = False,
) -> None:
    """Show the stored results; --out writes files and plots."""
    if compare is not None:
        _compare(given, compare.value, anyway)
    elif budget is not None:
        _recommend(given, budget)
    else:
        made = looking.report(**given)
        made.show(format.value)
        if out:
            _written(out, made.save(out, _width(plot_width), titles=not no_titles))
        elif format is Format.TABLE:
            say(_files(given), err=True)


def _width(asked: PlotWidth | None) -> Literal["column", "page"] | None:
    return None if asked is None else "page" if asked is PlotWidth.PAGE else "column"


def _written(out: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        say(f"wrote {path}", err=True)
    say(f"open {out / 'report.html'}", err=True)


def _compare(given: Given, paper: str, anyway: bool) -> None:
    from miabench.reports.tables.published_table import show
    from miabench.reports.tables.terminal_layout import open_console

    show(open_console(), looking.compare(**taken(looking.compare, given), paper=paper, anyway=anyway))


def _recommend(given: Given, budget: str) -> None:
    for advice in looking.recommend(**taken(looking.recommend, given), budget=budget):
        say(advice)


@command(app, running.tune)
def tune(given: Given) -> None:
    """Search hyper-parameters on the shadow half alone.

    Needs the extra `tune`. Prints the Pareto fronts of all defenses as one experiment.
    """
    typer.echo(running.tune(**given, progress=True))
    say("next: keep what was printed as a file, tuned.toml, and run it:", err=True)
    say("miabench run tuned.toml", err=True)


@command(app, looking.gate)
def gate(given: Given) -> None:
    """Fail unless every interval is within the limits.

    The upper end of the 95% interval counts, in every run, for every attack or those of --attack.
    """
    findings = looking.gate(**given)
    for finding in findings:
        say(finding)
    if not all(finding.passes for finding in findings):
        raise typer.Exit(1)


@command(app, auditing.audit)
def audit(
    given: Given,
    format: Annotated[
        Format, _option("table (default), csv, json, markdown, latex or html, on standard output", "NAME")
    ] = Format.TABLE,
    out: Annotated[Path | None, _option("to write: all formats, the audit, and its ROC curves", "FOLDER")] = None,
    no_titles: NoTitles = False,
    plot_width: PlotWidths = None,
) -> None:
    """Attack predictions made elsewhere, or a network of yours."""
    from miabench.reports import audit_table

    found = auditing.audit(**given, progress=True)
    audit_table.write(found, format.value)
    if out:
        _written(out, audit_table.save(found, out, _width(plot_width), titles=not no_titles))


@command(app, looking.status)
def status(
    given: Given,
    watch: Annotated[bool, typer.Option("--watch", help="go on until all is done; needs no data")] = False,
) -> None:
    """Say what is done, running, missing and failed."""
    if watch:
        from miabench.cli.watching import show_until_done

        show_until_done(lambda: looking.watched(**given))
    else:
        say(looking.status(**given))


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="what to list", metavar="KIND")],
    name: Annotated[str | None, typer.Argument(help="one of them, in full", metavar="NAME", show_default=False)] = None,
    plugin: Annotated[list[str] | None, _option("a Python file that holds a plugin (repeatable)", "FILE")] = None,
    json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """List plugins, suites of attacks or presets; one of them in full.

    With source, citation, hyper-parameters, bounds and defaults.
    """
    from miabench.cli.listing import listing

    typer.echo(listing(kind.value, name, plugin or [], as_json=json))


@app.command()
def new(
    kind: Annotated[PluginKind, typer.Argument(help="what to write", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="its name, for example my-defense", metavar="NAME")],
) -> None:
    """Write a commented, working plugin file here."""
    from miabench.cli.new import new as write_new

    path = write_new(kind.value, name)
    use = {"attack": f"--attack {path.stem}", "defense": f"--defense ce --defense {path.stem}"}
    say(f"wrote {path}; try it: miabench run --plugin {path} {use.get(kind, f'--{kind} {path.stem}')}")


def _files(given: Given) -> str:
    """How to get what a table is not: the command that writes files of the same experiment, shown in the same way."""
    return f"files and plots: {again('report', given)} --out FOLDER"


def _end(outcome: "Outcome", then: str) -> None:
    say(then, err=True)
    if outcome.failed:
        raise typer.Exit(1)
