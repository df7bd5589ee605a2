"""Which jobs an experiment has, kept when it is run: enough for `miabench status` without data, plugins or planning."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, TypeAdapter

from miabench.errors import UserError
from miabench.experiment.model import Experiment
from miabench.files.atomic import replace_file, write_file
from miabench.files.json import read_json, sealed
from miabench.plugins.discover import PluginFile
from miabench.plugins.plugin_files import file_hash
from miabench.results.index import REMEDY, Shown, file_name
from miabench.store.store import Ref, Store

FOLDER = "plans"  # of a store


class ListedJob(BaseModel, frozen=True):
    """One job.

    Attributes:
        kind: train, observe, attack or measure.
        key: locks and failures are filed under it.
        label: what is done, in words.
        gives: artifacts that are stored after.
        weight: expected work, for the estimate of the time left.
        epochs: of a training; 0 for other jobs.
    """

    kind: str
    key: str
    label: Shown
    gives: tuple[Ref, ...]
    weight: float = 1.0
    epochs: int = 0


class JobList(BaseModel, frozen=True):
    """The jobs of an experiment.

    Attributes:
        plugins: the plugin files that they run, as they were when they were planned.
        file: what the list is called, as `file_name` says; missing where an older version wrote it.
    """

    plugins: tuple[PluginFile, ...]
    jobs: tuple[ListedJob, ...]
    file: str | None = None

    def save(self, store: Store, experiment: Experiment) -> None:
        """Keep the list, beside the experiment's results."""
        named = self.model_copy(update={"file": file_name(experiment)})
        with replace_file(store.room(FOLDER) / file_name(experiment)) as path:
            write_file(path, sealed(named.model_dump_json().encode()))

    @classmethod
    def load(cls, store: Store, experiment: Experiment) -> Self | None:
        """The jobs of an experiment that was run here before.

        None where it was not, or an earlier version ran it, or the list is damaged, or a plugin file has changed since:
        it has other jobs now.
        """
        path = store.folder / FOLDER / file_name(experiment)
        try:
            found = cls.read(path)
        except UserError:
            return None
        return found if all(_is_unchanged(file) for file in found.plugins) else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The list in a file of a store.

        Raises:
            UserError: it is not what was written, or another experiment's.
        """
        found = read_json(path, TypeAdapter(cls), REMEDY)
        if found.file not in (None, path.name):
            raise UserError(f"{path} is that of another experiment, {found.file}; {REMEDY}")
        return found


def _is_unchanged(file: PluginFile) -> bool:
    try:
        return file_hash(Path(file.path)) == file.sha256
    except UserError:  # it is gone: what is stored is all that can be told
        return True


def begun(store: Store, experiment: Experiment) -> float:
    """When the experiment was run last: its jobs are listed at the beginning. Seconds since 1970."""
    return (store.folder / FOLDER / file_name(experiment)).stat().st_mtime
