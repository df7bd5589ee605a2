"""Options of commands, made from the functions that the commands call; and how every command ends."""

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import wraps
from inspect import Parameter
from signal import SIGINT
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import typer

from miabench.api.options import Option, RunOptions, fields, is_on_experiment, option, parameters
from miabench.errors import MissingStepError, UserError
from miabench.jobs.stopping import on_stop, stop

Function: TypeAlias = Callable[..., Any]
Given: TypeAlias = dict[str, Any]  # what the user gave, by keyword of the function

STEPS: dict[str, Function] = {}  # the function of every command, by the command's name
EXPERIMENT = "experiment"
KEPT = "; what was finished is kept, and the same command goes on from there"
ARGUMENT = typer.Argument(
    help="a TOML file or a preset's name; without it the preset `bits`", metavar="EXPERIMENT", show_default=False
)


def command(
    app: typer.Typer, function: Function, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a body `(given, ...)`: it has its own options and those of a function of the library.

    The body gets what the user gave of the function's options as a dictionary, to be handed on. A command on an
    experiment takes all options that name one or say how it is run, so that of a command line only the verb needs to
    be changed; those that cannot matter to it are not listed, and not handed on.
    """

    def made(body: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(body).parameters.values())[1:]
        special, common = list(_special(function)), list(_common(function))

        @wraps(body)
        def wrapped(**values: Any) -> None:
            said = {one.name: _plain(values[one.name]) for one in (*common, *special)}
            given = {name: value for name, value in said.items() if _given(value)}
            kept = KEPT if is_on_experiment(function) else ""
            _ended(body, taken(function, given), {one.name: values[one.name] for one in own}, kept)

        keywords = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*own, *special, *common)]
        wrapped.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        STEPS[name or body.__name__] = function
        app.command(name)(wrapped)
        return body

    return made


def again(step: str, given: Mapping[str, Any]) -> str:
    """The command line for another step of the same experiment: what was given, as far as it matters to that step."""
    words = ["miabench", step, *([given[EXPERIMENT]] if EXPERIMENT in given else [])]
    for name, value in taken(STEPS[step], given).items():
        if name != EXPERIMENT:
            for item in value if isinstance(value, list) else [value]:
                words += [_spelled(name), *([] if item is True else [str(item)])]
    return shlex.join(words)


def _ended(body: Callable[..., None], given: Given, own: Mapping[str, Any], kept: str) -> None:
    """Call a command's body, and end it as a command-line tool should; `kept` says what is not lost when it stops."""
    try:
        with on_stop(stop):
            body(given, **own)
    except MissingStepError as error:
        raise UserError(f"{error.what}: {again(error.step, given)}") from None
    except KeyboardInterrupt as error:
        with suppress(OSError):  # SIGHUP: the terminal may have gone
            typer.echo(f"stopped{kept}", err=True)
        raise typer.Exit(128 + getattr(error, "signal", SIGINT)) from None


def taken(function: Function, given: Mapping[str, Any]) -> Given:
    """Of what the user gave, what a function takes."""
    takes = inspect.signature(function).parameters
    return {name: value for name, value in given.items() if name in takes}


def _common(function: Function) -> Iterator[Parameter]:
    """The argument and the options that all commands on an experiment have."""
    takes = inspect.signature(function).parameters
    if is_on_experiment(function):
        yield _parameter(EXPERIMENT, str, ARGUMENT, default=None)
        for name, hint in fields(RunOptions).items():
            if option(hint):
                yield _option(name, hint, None, hidden=name not in takes)


def _special(function: Function) -> Iterator[Parameter]:
    """The options of this command alone."""
    for one in parameters(function):
        yield _option(one.name, one.annotation, one.default)


def _option(name: str, hint: Any, default: Any, hidden: bool = False) -> Parameter:
    mark = option(hint)
    assert mark is not None
    shown = "" if default is Parameter.empty or default == () or not _given(default) else f" (default {default})"
    metavar = mark.metavar or None
    info = typer.Option(_spelled(name), help=f"{mark.help}{shown}", metavar=metavar, show_default=False, hidden=hidden)
    missing = Parameter.empty if default is Parameter.empty else (False if mark.typed is bool else None)
    return _parameter(name, _typed(mark, hint), info, missing)


def _parameter(name: str, typed: Any, info: Any, default: Any) -> Parameter:
    annotation = Annotated[typed if default is Parameter.empty else typed | None, info]  # type: ignore[valid-type]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typed(mark: Option, hint: Any) -> Any:
    """What the command line reads: one of a `Literal`'s values, or what the mark says."""
    typed = get_args(hint)[0]
    return StrEnum("Values", list(get_args(typed))) if get_origin(typed) is Literal else mark.typed


def _given(value: Any) -> bool:
    """Whether an option was given: zero is a value."""
    return value is not None and value is not False and value != []


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def _spelled(name: str) -> str:
    return "--" + name.replace("_", "-")
