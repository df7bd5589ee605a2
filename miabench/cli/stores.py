"""`miabench store`: commands that look after a store."""

from pathlib import Path
from typing import Annotated

import typer

from miabench.api import keeping
from miabench.cli.options import Given, command
from miabench.cli.say import say

app = typer.Typer(
    help="Look after a store: list, verify, clean and move it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Archive = Annotated[Path, typer.Argument(help="a file", metavar="FILE")]


@command(app, keeping.store_ls)
def ls(given: Given) -> None:
    """List the experiments of a store; fail if one is damaged."""
    found = keeping.store_ls(**given)
    for held in found:
        say(held)
    if any(held.problems for held in found):
        raise typer.Exit(1)


@command(app, keeping.store_du)
def du(given: Given) -> None:
    """Say how much room a store takes."""
    for room in keeping.store_du(**given):
        say(room)


@command(app, keeping.store_verify)
def verify(given: Given) -> None:
    """Read everything again and compare it with its checksums; fail if something is damaged."""
    found = keeping.store_verify(**given)
    say(found)
    if found.problems:
        raise typer.Exit(1)


@command(app, keeping.store_gc)
def gc(given: Given) -> None:
    """Show what no kept experiment refers to; --remove removes it; fail if one is damaged."""
    found = keeping.store_gc(**given)
    say(found)
    if found.garbage and not given.get("remove"):
        say("nothing was removed; the same with --remove does", err=True)
    if found.problems:
        raise typer.Exit(1)


@command(app, keeping.store_export)
def export(given: Given, file: Archive) -> None:
    """Write experiments, with all that is stored of them, into one file."""
    say(keeping.store_export(file, **given))


@command(app, keeping.store_import, "import")
def import_(given: Given, file: Archive) -> None:
    """Put what `export` wrote into a store."""
    say(keeping.store_import(file, **given))
