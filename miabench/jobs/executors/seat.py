"""A place for one job on some machine of a cluster: a worker process there, and what it has to be told."""

from __future__ import annotations

import queue
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from miabench._version import __version__
from miabench.jobs.executors.process import News, Worker
from miabench.jobs.specs import Context, Job
from miabench.plugins.discover import PluginFile

Message = dict[str, object]


class Seat:
    """Holds a worker process at a time; lives in a process of the cluster, which imports no torch.

    Args:
        context: JSON of a `Context`.
        folder: the planner's working folder; relative paths of data start there.
        mark: a file in the store as the planner sees it.
    """

    def __init__(self, context: str, folder: str, mark: str) -> None:
        self._context = Context.model_validate_json(context)
        self._folder = folder if Path(folder).is_dir() else None
        self._mark = Path(mark)
        self._copies = Path(tempfile.mkdtemp(prefix="miabench-plugins-"))
        self._news: News = queue.Queue()
        self._worker: Worker | None = None

    def do(self, job: str, sources: Mapping[str, bytes], version: str) -> Iterator[Message]:
        """Do a job (JSON) for a planner of some version; gives what the worker process says, last `died` if it ended.

        `placed` comes before; where this machine cannot do any job, `unfit` is all that follows.

        Args:
            job: JSON of a `Job`.
            sources: of its plugin files, by their hash: their paths are the planner's.
            version: of the planner's miabench.
        """
        yield {"kind": "placed"}
        if unfit := self._unfit(version):
            yield {"kind": "unfit", "why": unfit}
            return
        given = Job.model_validate_json(job)
        copies = {self._copy(file, sources[file.sha256]): file for file in given.plugins}
        plugins = tuple(PluginFile(path, file.sha256) for path, file in copies.items())
        worker = self._worker_with(plugins)
        worker.give(given.model_copy(update={"plugins": plugins}))
        kind, last = "", False
        while kind in ("", "begun", "progress"):
            message = self._news.get()[1] or {"kind": "died", "why": worker.death()}
            kind, last = str(message["kind"]), bool(message.pop("last", False))
            for path, original in copies.items() if "why" in message else ():
                message["why"] = str(message["why"]).replace(path, original.path)
            if last or kind == "died":
                self._end_worker()
            yield message

    def _copy(self, file: PluginFile, source: bytes) -> str:
        """Where a plugin file is here; its hash is in the path, as two may have one name."""
        path = self._copies / file.sha256 / Path(file.path).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source)
        return str(path)

    def _worker_with(self, plugins: tuple[PluginFile, ...]) -> Worker:
        """A worker process that has imported these plugin files and no others."""
        if self._worker is None or self._worker.plugins != frozenset(plugins):
            self._end_worker()
            self._news = queue.Queue()  # not where an earlier one may still say that it has ended
            context = self._context.model_copy(update={"plugins": plugins})
            self._worker = Worker(context, self._news, self._folder)
        return self._worker

    def _end_worker(self) -> None:
        if self._worker:
            self._worker.kill()
        self._worker = None

    def _unfit(self, version: str) -> str:
        host = socket.gethostname()
        if version != __version__:
            return f"{host} has miabench {__version__}, this machine {version}: install the same on both"
        if not self._mark.exists():
            return (
                f"{host} does not see the store {self._context.store}: it must be one folder, under one path, on all "
                "machines of the cluster"
            )
        return ""

    def stop(self) -> None:
        """Ask for the end of a training after its epoch."""
        if self._worker:
            self._worker.stop()

    def leave(self) -> None:
        """End the worker process and remove the copies of plugin files."""
        self._end_worker()
        shutil.rmtree(self._copies, ignore_errors=True)
