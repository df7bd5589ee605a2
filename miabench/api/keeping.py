"""What looks after stores: `store_ls`, `store_du`, `store_verify`, `store_gc`, `store_export` and `store_import`.

Annotations are evaluated here, unlike elsewhere: the command line reads options from them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from miabench.api.experiments import STORE
from miabench.api.options import Option

if TYPE_CHECKING:
    from miabench.jobs.collect import Collection
    from miabench.results.inventory import HeldExperiment, Room
    from miabench.results.portable import Transfer
    from miabench.results.verification import Verification

PathLike: TypeAlias = str | Path
Folder = Annotated[PathLike, Option("of trained models and results", "FOLDER")]
Names: TypeAlias = str | Sequence[str]


def store_ls(*, store: Folder = STORE) -> "Sequence[HeldExperiment]":
    """The experiments that were run with a store.

    Args:
        store: its folder.

    Returns:
        One for each experiment, by name, with what is stored of it, how much room that takes, and what is damaged;
        printed, a line each.

    Raises:
        UserError: there is no such store.
    """
    from miabench.results.inventory import held_experiments
    from miabench.store.store import Store

    return held_experiments(Store(store, create=False))


def store_du(*, store: Folder = STORE) -> "Sequence[Room]":
    """How much room a store takes, by kind of thing.

    Args:
        store: its folder.

    Returns:
        One for each kind, with count and bytes, and one for all; printed, a line each.

    Raises:
        UserError: there is no such store.
    """
    from miabench.results.inventory import rooms
    from miabench.store.store import Store

    return rooms(Store(store, create=False))


def store_verify(*, store: Folder = STORE) -> "Verification":
    """Read all that a store holds, and compare it with its checksums.

    Args:
        store: its folder.

    Returns:
        What is damaged, each with what to do; nothing is changed.

    Raises:
        UserError: there is no such store, or it is a newer version's.
    """
    from miabench.results.verification import verify
    from miabench.store.store import Store

    return verify(Store(store, create=False))


def store_gc(
    *,
    store: Folder = STORE,
    forget: Annotated[
        Names, Option("an experiment, as ls names it, that is kept no longer (repeatable)", "NAME", list[str])
    ] = (),
    remove: Annotated[bool, Option("remove it; otherwise it is only shown", "", bool)] = False,
) -> "Collection":
    """What no kept experiment refers to.

    Args:
        store: its folder.
        forget: experiments, as `store_ls` names them, that are kept no longer.
        remove: remove it; otherwise it is only found. What somebody works on, and what an unfinished experiment may
            need, stays.

    Returns:
        What was found and what was removed; printed, a line each. Where a kept experiment is damaged, what jobs made
        is not looked for, as it may be needed, and the damaged files are named.

    Raises:
        UserError: there is no such store or experiment; a search is running.
    """
    from miabench.jobs.collect import collect
    from miabench.store.store import Store

    return collect(Store(store, create=remove), _several(forget), remove)


def store_export(
    file: PathLike,
    *,
    store: Folder = STORE,
    only: Annotated[Names, Option("an experiment, as ls names it (repeatable; default: all)", "NAME", list[str])] = (),
) -> "Transfer":
    """Write experiments, with all that is stored of them, into one file for another machine.

    Args:
        file: to write.
        store: folder of the store that they are in.
        only: experiments, as `store_ls` names them; all if empty.

    Returns:
        What was written.

    Raises:
        UserError: there is no such store or experiment; something of these experiments is damaged.
    """
    from miabench.results.portable import export
    from miabench.store.store import Store

    return export(Store(store, create=False), Path(file), _several(only))


def store_import(file: PathLike, *, store: Folder = STORE) -> "Transfer":
    """Put what `store_export` wrote into a store; what is there already stays.

    Args:
        file: to read.
        store: folder of the store; made if need be.

    Returns:
        What was new and what was there.

    Raises:
        UserError: the file is no export, or damaged.
    """
    from miabench.results.portable import import_
    from miabench.store.store import Store

    return import_(Store(store), Path(file))


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
