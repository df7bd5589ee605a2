"""The words that functions and commands share, each declared once.

A field of these classes is a keyword of every function on an experiment and, by its `Option`, an option of the command
of the same name: nothing else lists them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypedDict, TypeVar, get_args, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])

Names: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]  # plugins, as in an experiment file
Files: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Option:
    """How a keyword is an option of the command line.

    Attributes:
        help: what it is, in a few words.
        metavar: what stands for its value in `--help`.
        typed: what the command line reads; a `Literal` is read as one of its values.
    """

    help: str
    metavar: str
    typed: Any = str


@dataclass(frozen=True)
class SameAs:
    """A keyword that is another one, spelled as in an experiment file.

    Attributes:
        word: the command line's word for it.
    """

    word: str


class ExperimentOptions(TypedDict, total=False):
    """What replaces keys of an experiment."""

    dataset: Annotated[Names, Option("dataset, by name (repeatable)", "NAME", list[str])]
    model: Annotated[Names, Option("model, by name (repeatable)", "NAME", list[str])]
    defense: Annotated[
        Names, Option("defense, by name (repeatable); keeps what the experiment sets for it", "NAME", list[str])
    ]
    attack: Annotated[Names, Option("attack, by name (repeatable)", "NAME", list[str])]
    attacks: Annotated[Names, SameAs("attack")]
    protocol: Annotated[str, Option("pool: models share the pool; disjoint: the paper's halves", "NAME")]
    models: Annotated[int, Option("protocol pool: how many are trained; each is a target", "N", int)]
    runs: Annotated[int, Option("independent repetitions of every cell, under protocol disjoint", "N", int)]
    shadows: Annotated[int, Option("shadow models for each target", "N", int)]
    seed: Annotated[int, Option("of splits and of every random stream", "N", int)]
    epochs: Annotated[int, Option("of the schedule", "N", int)]
    scale: Annotated[
        float, Option("the experiment in small: a share of the pool, fewer epochs and runs", "SHARE", float)
    ]
    device: Annotated[str, Option("auto, cpu, cuda, cuda:1 or mps", "NAME")]
    precision: Annotated[str, Option("float32, tf32, bf16 or float64", "NAME")]
    threads: Annotated[int, Option("CPU threads of every job", "N", int)]
    keep_weights: Annotated[
        Literal["all", "targets", "none"],
        Option("whose weights stay once all is measured: all (default), targets or none", "NAME"),
    ]
    plugin: Annotated[Files, Option("a Python file that holds a plugin (repeatable)", "FILE", list[str])]
    plugins: Annotated[Files, SameAs("plugin")]
    set: Annotated[
        Mapping[str, Any] | str | Sequence[str],
        Option("any other key: crl.alpha_rce=0.5, schedule.lr=0.1 (repeatable)", "KEY=VALUE", list[str]),
    ]


class StoredOptions(ExperimentOptions, total=False):
    """What names the stored results of an experiment."""

    store: Annotated[str | Path, Option("of trained models and results (default ./miabench-store)", "FOLDER")]


class RunOptions(StoredOptions, total=False):
    """What an experiment is run with."""

    data_root: Annotated[str | Path, Option("of downloaded and decoded data (default: the platform's cache)", "FOLDER")]
    executor: Annotated[
        Literal["local", "inline", "ray"],
        Option("local: worker processes (default); inline: this process; ray: on a cluster", "NAME"),
    ]
    ray_address: Annotated[str, Option("the Ray cluster (default: the one this machine belongs to)", "HOST:PORT")]
    jobs_per_gpu: Annotated[int, Option("how many jobs share a GPU (default 1)", "N", int)]
    workers: Annotated[int | str | None, Option("worker processes: a number, or auto (default): one per core", "N")]
    job_timeout: Annotated[
        float | None, Option("end the worker process of a job that takes longer (default: never)", "SECONDS", float)
    ]


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters that a function alone has and that are options of its command: those with an `Option`."""
    shared = fields(RunOptions) if is_on_experiment(function) else {}
    takes = signature(function).parameters.values()
    return [one for one in takes if one.name not in shared and option(one.annotation)]


def is_on_experiment(function: Callable[..., Any]) -> bool:
    """Whether a function is about one experiment, which is its first argument and no option."""
    takes = signature(function).parameters
    return "experiment" in takes and not option(takes["experiment"].annotation)


def option(annotation: Any) -> Option | None:
    """The `Option` in an annotation, or None."""
    return next((mark for mark in get_args(annotation)[1:] if isinstance(mark, Option)), None)


def fields(options: type) -> dict[str, Any]:
    """The annotations of some options, by name, inherited ones first."""
    return get_type_hints(options, include_extras=True)


def spelled_out(function: F) -> F:
    """Show the options of a function one by one, in its signature and docstring, where it takes them as `**options`.

    Other keywords are a TypeError, as they are for any function; None leaves an option away.
    """
    written = signature(function)
    *own, rest = written.parameters.values()
    (options,) = get_args(rest.annotation)
    hints = fields(options)
    shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=hints[name]) for name in hints]
    spelled = written.replace(parameters=[*own, *shared])

    @wraps(function)
    def checked(*args: Any, **keywords: Any) -> Any:
        spelled.bind(*args, **keywords)
        return function(*args, **{name: value for name, value in keywords.items() if value is not None})

    checked.__signature__ = spelled  # type: ignore[attr-defined]
    checked.__doc__ = _described(function, hints)
    return checked  # type: ignore[return-value]


def _described(function: Callable[..., Any], hints: Mapping[str, Any]) -> str:
    """The docstring with a line for each option in place of the one for `**options`."""
    before, _, after = cleandoc(function.__doc__ or "").partition("    **options:")
    return before + "\n".join(_lines(hints)) + "\n" + after.partition("\n")[2]


def _lines(hints: Mapping[str, Any]) -> Iterator[str]:
    for name, hint in hints.items():
        mark = get_args(hint)[1]
        yield f"    {name}: {mark.help if isinstance(mark, Option) else f'the same as {mark.word}'}."
