"""`miabench status`: what of an experiment is done, running, missing and failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from miabench.errors import harmless
from miabench.jobs.notes import Note, read_note
from miabench.results.job_list import ListedJob
from miabench.store.store import MANIFEST_FILE, Store

State = Literal["done", "running", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "failed", "missing")
KINDS = ("train", "observe", "attack", "measure")
LOG_LINES = 4  # of a failed job, before its reason
LONGEST_LINE = 300
MOST_FAILURES = 20  # told one by one


@dataclass(frozen=True)
class Status:
    """What has become of the jobs of an experiment.

    Attributes:
        counts: of jobs, by kind (`train`, `observe`, `attack`, `measure`) and state.
        running: labels of the jobs that someone works on.
        failed: why, by label, of the jobs that failed last time.
        notes: how far running jobs are, by label; not of those that began only now.
        logs: the lines before the reason that failed jobs left, by label.
        seconds_left: until all jobs are done, from what was done since the run began; None while that cannot be told.
    """

    counts: Mapping[str, Mapping[State, int]]
    running: Sequence[str]
    failed: Mapping[str, str]
    notes: Mapping[str, Note] = field(default_factory=dict)
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seconds_left: float | None = None

    @property
    def complete(self) -> bool:
        """Whether all jobs are done."""
        return all(counts[state] == 0 for counts in self.counts.values() for state in STATES if state != "done")

    def __str__(self) -> str:
        lines = [
            f"{kind:<8} " + ", ".join(f"{counts[state]} {state}" for state in STATES)
            for kind, counts in self.counts.items()
        ]
        lines += [f"running: {label}{_how_far(self.notes.get(label))}" for label in self.running]
        if self.seconds_left is not None:
            lines.append(f"about {duration(self.seconds_left)} left")
        for label, why in list(self.failed.items())[:MOST_FAILURES]:
            lines.append(f"failed:  {label}: {why}")
            lines += [f"         | {line}" for line in self.logs.get(label, ())]
        more = len(self.failed) - MOST_FAILURES
        return "\n".join([*lines, *([f"and {more:,} more failures"] if more > 0 else [])])


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f}"


def _how_far(note: Note | None) -> str:
    if note is None:
        return ""
    epoch = f": epoch {note.epoch}" if note.epoch else ""
    loss = f", loss {note.loss:.3f}" if note.loss is not None else ""
    return f"{epoch}{loss}, on {note.host} for {duration(time.time() - note.began)}"


def status(jobs: Sequence[ListedJob], store: Store, begun: float | None = None) -> Status:
    """What has become of all jobs of an experiment.

    Args:
        jobs: of the experiment.
        store: where they are done.
        begun: when the run did, in seconds since 1970; None: nothing is known of times.
    """
    found = {job.key: read_note(store, job.key) for job in jobs if not store.has_all(job.gives)}
    states = {job.key: _state_of(job, store, found) for job in jobs}
    labels: dict[State, list[ListedJob]] = {state: [] for state in STATES}
    for job in jobs:
        labels[states[job.key]].append(job)
    said = {job.label: _lines(store.failure(job.key) or "") for job in labels["failed"]}
    notes = {job.label: note for job in labels["running"] if (note := found[job.key])}
    return Status(
        counts={kind: Counter(states[job.key] for job in jobs if job.kind == kind) for kind in KINDS},
        running=[job.label for job in labels["running"]],
        failed={label: lines[-1] for label, lines in said.items()},
        notes=notes,
        logs={label: lines[:-1] for label, lines in said.items()},
        seconds_left=None if begun is None else _seconds_left(labels, notes, store, begun),
    )


def _state_of(job: ListedJob, store: Store, found: Mapping[str, Note | None]) -> State:
    if job.key not in found:
        return "done"
    note = found[job.key]
    if store.is_locked(job.key) or (note is not None and note.fresh):
        return "running"
    return "missing" if store.failure(job.key) is None else "failed"


def _lines(failure: str) -> list[str]:
    """The last lines of what a failed job left."""
    return [harmless(line, LONGEST_LINE) for line in failure.splitlines()[-LOG_LINES - 1 :]] or [""]


def _seconds_left(
    jobs: Mapping[State, Sequence[ListedJob]], notes: Mapping[str, Note], store: Store, begun: float
) -> float | None:
    """From the work that was done since the run began; None where nothing runs or was done."""
    now = [(job, notes.get(job.label)) for job in jobs["running"]]
    done = sum(job.weight for job in jobs["done"] if _finished_at(store, job) >= begun)
    done += sum(job.weight * _share(job, note, since_begun=True) for job, note in now)
    left = sum(job.weight for job in jobs["missing"])
    left += sum(job.weight * (1 - _share(job, note, since_begun=False)) for job, note in now)
    return (time.time() - begun) * left / done if now and done else None


def _finished_at(store: Store, job: ListedJob) -> float:
    """Seconds since 1970."""
    return (store.path(job.gives[-1]) / MANIFEST_FILE).stat().st_mtime


def _share(job: ListedJob, note: Note | None, since_begun: bool) -> float:
    """What of a running training is done: in all, or since it began or went on."""
    if note is None or note.epoch is None or note.first is None or not job.epochs:
        return 0.0
    return (note.epoch - (note.first - 1 if since_begun else 0)) / job.epochs
