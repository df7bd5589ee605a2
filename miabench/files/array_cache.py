"""Arrays that are dear to compute, kept on disk under a name that stands for their content.

They are mapped: all processes of a machine share the memory of a pool of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.atomic import remove_leftovers, replace_folder, write_file
from miabench.files.checksum import checksum
from miabench.files.lock import lock
from miabench.files.npz import read_npz, write_npz
from miabench.files.opened import opened

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

LONGEST = 100  # bytes of a recorded checksum that are read


def cached_arrays(folder: Path, compute: Callable[[], Arrays]) -> Arrays:
    """The arrays kept in a folder; computed and kept first where there are none, or what is there is damaged.

    A process killed at any moment leaves nothing that is taken for a whole copy, and of several processes one
    computes while the others wait.

    Args:
        folder: of these arrays only; its name must change with whatever they are computed from.
        compute: gives the arrays by name; none of objects.
    """
    arrays = _read(folder)
    if arrays is not None:
        return arrays
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.with_name(f"{folder.name}.lock")):
        arrays = _read(folder)  # another process may have made them meanwhile
        if arrays is None:
            remove_leftovers(folder.parent)
            arrays = compute()
            _write(folder, arrays)
    return arrays


def _read(folder: Path) -> Arrays | None:
    path = folder / "arrays.npz"
    try:
        with opened(folder / "arrays.npz.sha256") as file:
            recorded = file.read(LONGEST)
        if checksum(path).encode() != recorded:
            return None
        found = read_npz(path, mapped=True)
    except UserError:
        return None
    return {name: np.require(array, requirements="A") for name, array in found.items()}  # for torch


def _write(folder: Path, arrays: Arrays) -> None:
    with replace_folder(folder) as temporary:
        file = temporary / "arrays.npz"
        write_npz(file, arrays)
        write_file(file.with_name("arrays.npz.sha256"), checksum(file).encode())
