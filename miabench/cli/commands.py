"""The command line: parse, call one function of the library, print."""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from miabench.errors import DISK_FULL, UserError, disk_is_full

if TYPE_CHECKING:
    from miabench.experiment.model import Experiment
    from miabench.jobs.plan import Plan
    from miabench.jobs.scheduler import Outcome
    from miabench.jobs.specs import Stage
    from miabench.jobs.stages import ExecutorConfig
    from miabench.results.results import Results

app = typer.Typer(
    help="Which defense makes a classifier leak least about its training data, at what cost?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

METRICS = "auc, balanced-accuracy, balanced-accuracy-global, tpr@1% or tpr@0.1%"


class Format(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    HTML = "html"


class Published(StrEnum):
    """Papers whose values come with the package."""

    UAI24 = "uai24"


class AuditFormat(StrEnum):
    """How an audit is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Kind(StrEnum):
    """What can be listed."""

    DEFENSES = "defenses"
    ATTACKS = "attacks"
    DATASETS = "datasets"
    MODELS = "models"
    PRESETS = "presets"


class PluginKind(StrEnum):
    """What can be written anew."""

    DEFENSE = "defense"
    ATTACK = "attack"
    DATASET = "dataset"
    MODEL = "model"


class ExecutorName(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    INLINE = "inline"


def _option(text: str, metavar: str, *names: str) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, show_default=False)


@dataclass(frozen=True)
class Options:
    """What train, attack, run, report and status have in common: an experiment and what replaces its keys."""

    experiment: Annotated[
        str | None,
        typer.Argument(
            help="a TOML file or a preset's name; without it the preset `bits`",
            metavar="EXPERIMENT",
            show_default=False,
        ),
    ] = None
    dataset: Annotated[list[str] | None, _option("dataset, by name (repeatable)", "NAME")] = None
    model: Annotated[list[str] | None, _option("model, by name (repeatable)", "NAME")] = None
    defense: Annotated[
        list[str] | None, _option("defense, by name (repeatable); keeps what the experiment sets for it", "NAME")
    ] = None
    attack: Annotated[list[str] | None, _option("attack, by name (repeatable)", "NAME")] = None
    runs: Annotated[int | None, _option("independent repetitions of every cell", "N")] = None
    shadows: Annotated[int | None, _option("shadow models for each target", "N")] = None
    seed: Annotated[int | None, _option("of splits and of every random stream", "N")] = None
    epochs: Annotated[int | None, _option("of the schedule", "N")] = None
    scale: Annotated[
        float | None, _option("the experiment in small: a share of the pool, fewer epochs and runs", "SHARE")
    ] = None
    device: Annotated[str | None, _option("auto, cpu, cuda, cuda:1 or mps", "NAME")] = None
    precision: Annotated[str | None, _option("float32, tf32 or float64", "NAME")] = None
    threads: Annotated[int | None, _option("CPU threads of every job", "N")] = None
    plugin: Annotated[list[str] | None, _option("a Python file that holds a plugin (repeatable)", "FILE")] = None
    set_: Annotated[
        list[str] | None,
        _option("any other key: crl.alpha_rce=0.5, schedule.lr=0.1 (repeatable)", "KEY=VALUE", "--set"),
    ] = None
    store: Annotated[Path, _option("of trained models and results (default ./miabench-store)", "FOLDER")] = Path(
        "miabench-store"
    )
    data_root: Annotated[
        Path | None, _option("of downloaded and decoded data (default: the platform's cache)", "FOLDER")
    ] = None
    executor: Annotated[ExecutorName, _option("local: worker processes (default); inline: this process", "NAME")] = (
        ExecutorName.LOCAL
    )
    workers: Annotated[str, _option("worker processes: a number, or auto (default): one per core", "N")] = "auto"

    def overrides(self) -> dict[str, Any]:
        """What replaces the experiment's keys."""
        given = {"attack": "attacks", "plugin": "plugins", "set_": "set"}
        same = (
            "dataset",
            "model",
            "defense",
            "runs",
            "shadows",
            "seed",
            "epochs",
            "device",
            "precision",
            "threads",
        )
        names = {**{name: name for name in same}, **given}
        return {key: getattr(self, name) for name, key in names.items() if getattr(self, name) is not None}

    def plan(self) -> Plan:
        """The experiment's plan; says what the user should know before training."""
        from miabench.jobs.plan import Paths, make_plan

        plan = make_plan(self.load(), Paths(self.store, self.data_root))
        for warning in plan.index.warnings:
            typer.echo(f"warning: {warning}", err=True)
        return plan

    def load(self, without: tuple[str, ...] = ()) -> Experiment:
        """The experiment with what replaces its keys, but for some that a command uses otherwise."""
        from miabench.experiment.load import load_experiment
        from miabench.experiment.scaling import scaled

        replaced = {key: value for key, value in self.overrides().items() if key not in without}
        experiment = load_experiment(self.experiment, replaced)
        return experiment if self.scale is None else scaled(experiment, self.scale, keep=replaced)

    def results(self, without: tuple[str, ...] = ()) -> Results:
        """What the store holds of the experiment.

        Raises:
            UserError: there is no such store, or it was never run there with these settings.
        """
        from miabench.results.index import Index
        from miabench.results.results import Results
        from miabench.store.store import Store

        store = Store(self.store, create=False)
        return Results(Index.load(store, self.load(without)), store)

    def executor_config(self) -> ExecutorConfig:
        """Who does the jobs."""
        from miabench.jobs.stages import ExecutorConfig

        if self.workers != "auto" and not (self.workers.isdecimal() and int(self.workers)):
            raise UserError(f"--workers {self.workers!r}: give a number of 1 or more, or auto")
        return ExecutorConfig(self.executor.value, None if self.workers == "auto" else int(self.workers))

    def again(self, command: str, own: Mapping[str, Any] | None = None) -> str:
        """The command line for another step of the same experiment.

        Args:
            command: which step.
            own: options of that command alone, by their parameters.
        """
        changed = {f.name: getattr(self, f.name) for f in fields(self)[1:] if getattr(self, f.name) != f.default}
        words = ["miabench", command, *([self.experiment] if self.experiment else [])]
        for name, value in {**changed, **(own or {})}.items():
            option = "--" + name.strip("_").replace("_", "-")
            words += [word for item in (value if isinstance(value, list) else [value]) for word in (option, str(item))]
        return shlex.join(words)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `(options, ...)` the common options, and end it as a command-line tool should."""
    hints = get_type_hints(Options, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(Options)]
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        options = Options(**{f.name: given.pop(f.name) for f in fields(Options)})
        try:
            command(options, **given)
        except KeyboardInterrupt:
            typer.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
            raise typer.Exit(130) from None

    wrapped.__signature__ = inspect.Signature([*(p.replace(kind=keyword) for p in own), *common])  # type: ignore[attr-defined]
    return wrapped


def main() -> None:
    """The `miabench` command."""
    try:
        app(prog_name="miabench")  # also where it was started as python -m miabench
    except UserError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        sys.exit(2)
    except OSError as error:
        if disk_is_full(error):
            typer.echo(f"error: {DISK_FULL}" + (f" ({error.filename})" if error.filename else ""), err=True)
        elif error.filename is not None:  # a file or folder of the user's that cannot be used
            typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
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


@app.command()
@with_options
def train(options: Options) -> None:
    """Train the target and shadow models that are not in the store yet."""
    _end(_perform(options.plan(), ("train",), options), f"next: {options.again('attack')}")


@app.command()
@with_options
def attack(options: Options) -> None:
    """Attack the trained models and measure."""
    _end(_perform(options.plan(), ("attack",), options), f"next: {options.again('report')}")


@app.command()
@with_options
def run(
    options: Options,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would be done, and how long it takes")
    ] = False,
) -> None:
    """Train, attack and report."""
    plan = options.plan()
    if dry_run:
        from miabench.jobs.estimate import describe, estimate
        from miabench.jobs.scheduler import workers_on

        typer.echo(describe(estimate(plan, options.executor_config().workers or workers_on(plan.context.device))))
        return
    from miabench.reports import write
    from miabench.results.results import Results

    outcome = _perform(plan, ("train", "attack"), options)
    write.report(Results(plan.index, plan.store), Format.TABLE.value)
    _end(outcome, _files(options))


@app.command()
@with_options
def report(
    options: Options,
    format: Annotated[
        Format, _option("table (default), csv, json, markdown, latex or html, on standard output", "NAME")
    ] = Format.TABLE,
    within: Annotated[
        float, typer.Option(help="points of accuracy below CE up to which a value is marked", metavar="POINTS")
    ] = 5.0,
    out: Annotated[Path | None, _option("to write: all formats, and the plots as PNG, SVG and PDF", "FOLDER")] = None,
    metric: Annotated[str, typer.Option(help=f"of the attacks: {METRICS}", metavar="NAME")] = "auc",
    rows: Annotated[list[str] | None, _option("defenses to show, * for anything (repeatable)", "NAME")] = None,
    columns: Annotated[list[str] | None, _option("attacks to show, * for anything (repeatable)", "NAME")] = None,
    sort: Annotated[str | None, _option("an attack, worst, test-accuracy or train-accuracy", "COLUMN")] = None,
    budget: Annotated[
        str | None, _option("points of accuracy to spend: names the defense to use", "accuracy=POINTS")
    ] = None,
    compare: Annotated[
        Published | None, _option("uai24: show the paper's published values beside these", "PAPER")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="compare scaled experiments and other data too")] = False,
) -> None:
    """Show the stored results; --out writes files and plots."""
    if compare is not None:
        from miabench.reports.tables import published_table

        published_table.report(options.results(), anyway)
    elif budget is not None:
        from miabench.reports.numbers.recommendation import in_words, points, recommend
        from miabench.reports.numbers.summary import summarize

        spend, results = points(budget), options.results()
        for advice in recommend(results, summarize(results, within=within), spend):
            typer.echo("\n".join(in_words(advice)))
    else:
        from miabench.reports import write
        from miabench.reports.numbers.selection import Selection

        selection = Selection(metric, tuple(rows or ()), tuple(columns or ()), sort)
        write.report(options.results(), format.value, within, out, selection)
        if format is Format.TABLE and out is None:
            own = {"within": within, "metric": metric, "rows": rows, "columns": columns, "sort": sort}
            typer.echo(_files(options, **own), err=True)


@app.command()
@with_options
def tune(
    options: Options,
    budget: Annotated[int, typer.Option(help="trainings for each defense", metavar="N")],
) -> None:
    """Search hyper-parameters on the shadow half alone.

    Needs the extra `tune`. Prints the Pareto fronts of all defenses as one experiment.
    """
    from miabench.jobs.plan import Paths
    from miabench.tuning.front import front_text
    from miabench.tuning.search import TuneConfig, tune

    def on_trial(defense: str, number: int, trial: Any) -> None:
        result = trial.why or f"test accuracy {trial.accuracy:.3f}, AUC {trial.auc:.3f}"
        typer.echo(f"{defense}, trial {number}: {dict(trial.values)}: {result}", err=True)

    places = Paths(options.store, options.data_root)
    experiment = options.load()
    typer.echo(
        front_text(experiment, tune(TuneConfig(experiment, budget), places, options.executor_config(), on_trial))
    )
    typer.echo("next: keep what was printed as a file, tuned.toml, and run it on the target half:", err=True)
    typer.echo("miabench run tuned.toml", err=True)


@app.command()
@with_options
def gate(
    options: Options,
    max_: Annotated[
        list[str],
        typer.Option("--max", help=f"a limit of {METRICS}: for example auc=0.60 (repeatable)", metavar="METRIC=LIMIT"),
    ],
) -> None:
    """Fail unless every interval is within the limits.

    The upper end of the 95% interval counts, in every run, for every attack or those of --attack.
    """
    from miabench.results.gate import Limit, gate

    limits = [Limit.parse(text) for text in max_]
    findings = list(gate(options.results(without=("attacks",)), limits, options.attack or ["all"]))
    for finding in findings:
        typer.echo(str(finding))
    if not all(finding.passes for finding in findings):
        raise typer.Exit(1)


@app.command()
def audit(
    members: Annotated[
        Path, typer.Option(help="npz or CSV of predictions for records the model was trained on", metavar="FILE")
    ],
    nonmembers: Annotated[Path, typer.Option(help="the same for records it was not trained on", metavar="FILE")],
    model: Annotated[
        str | None,
        _option(
            "a function that gives the network itself; the files then hold its inputs x and labels", "MODULE:FUNCTION"
        ),
    ] = None,
    shadow_members: Annotated[list[Path] | None, _option("of a shadow model (repeatable)", "FILE")] = None,
    shadow_nonmembers: Annotated[list[Path] | None, _option("in the same order (repeatable)", "FILE")] = None,
    reference_answers: Annotated[
        Path | None,
        _option("npz of K reference models' outputs (K, N, C) for the members, then the non-members", "FILE"),
    ] = None,
    reference_member: Annotated[
        Path | None, _option("npz: which reference trained on which record (K, N); without it none on any", "FILE")
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="also fit a model-free classifier on the files' features")
    ] = False,
    format: Annotated[
        AuditFormat, _option("table (default), csv or json, on standard output", "NAME")
    ] = AuditFormat.TABLE,
) -> None:
    """Attack predictions that were made elsewhere, with any framework, or a network of yours."""
    from miabench import api
    from miabench.reports.audit_table import write

    found = api.audit(
        model,
        members,
        nonmembers,
        shadow_members=shadow_members or [],
        shadow_nonmembers=shadow_nonmembers or [],
        reference_answers=reference_answers,
        reference_member=reference_member,
        features=features,
    )
    write(found, format.value)


@app.command()
@with_options
def status(options: Options) -> None:
    """Say what is done, running, missing and failed."""
    from miabench.jobs.status import status as status_of

    typer.echo(status_of(options.plan()))


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="what to list", metavar="KIND")],
    name: Annotated[str | None, typer.Argument(help="one of them, in full", metavar="NAME", show_default=False)] = None,
    plugin: Annotated[list[str] | None, _option("a Python file that holds a plugin (repeatable)", "FILE")] = None,
    json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """List plugins or presets; one of them in full.

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
    from miabench.cli.new import new_plugin

    path = new_plugin(kind.value, name, Path())
    use = {"attack": f"--attack {path.stem}", "defense": f"--defense ce --defense {path.stem}"}
    typer.echo(f"wrote {path}; try it: miabench run --plugin {path} {use.get(kind, f'--{kind} {path.stem}')}")


def _perform(plan: Plan, stages: tuple[Stage, ...], options: Options) -> Outcome:
    from miabench.jobs.progress import Display
    from miabench.jobs.stages import run_stages

    executor = options.executor_config()
    with Display(plan.missing(*stages)) as display:
        outcome = run_stages(plan, stages, executor, display)
    typer.echo(
        f"{outcome.done} jobs done, {outcome.stored} were in the store, {len(outcome.failed)} failed, "
        f"{len(outcome.blocked)} could not run",
        err=True,
    )
    return outcome


def _files(options: Options, **own: Any) -> str:
    """How to get what a table is not: the command that writes files of the same experiment, shown in the same way."""
    parameters = inspect.signature(report).parameters
    changed = {name: value for name, value in own.items() if value != parameters[name].default}
    return f"files and plots: {options.again('report', changed)} --out FOLDER"


def _end(outcome: Outcome, then: str) -> None:
    typer.echo(then, err=True)
    if outcome.failed:
        raise typer.Exit(1)
