"""Printing: what is said may quote names of a stranger's, which are to move no cursor and fill no screen."""

from __future__ import annotations

import typer

from miabench.errors import harmless_lines


def say(what: object, err: bool = False) -> None:
    """Print what was made for people, in lines that are harmless."""
    typer.echo(harmless_lines(str(what)), err=err)
