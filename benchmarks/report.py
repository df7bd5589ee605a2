"""CPU seconds and memory of `miabench report` and `gate`, for 1,000 cells x 10 attacks x 5 runs.

    python benchmarks/report.py [--cells 1000] [--folder FOLDER] [--json]

Plans an experiment of so many settings and stores what its jobs would store, as far as a report reads it, with scores
drawn at random: 100 members and 100 non-members for each target. Nothing is trained. Each command is measured with an
empty cache (`first`), and then once more (`again`), in a process of its own; the parts of a report are measured with an
empty cache, in this one. The results (for 1,000 cells 2 GB, in three minutes) go into a temporary folder, or into the
one given, where they are found again.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from _common import parser, show

from miabench.evaluation.measure import measure_accuracy, measure_attack, measure_classes
from miabench.evaluation.scores import AttackScores, ShadowScores, TargetValues
from miabench.experiment.load import load_experiment
from miabench.files import atomic
from miabench.files.npz import write_npz
from miabench.files.toml import toml_text
from miabench.jobs.machine import environment
from miabench.jobs.plan import Paths, Plan, make_plan
from miabench.jobs.specs import Job, MeasureSpec
from miabench.reports.numbers.branches import branch_shares
from miabench.reports.numbers.consistency import consistency
from miabench.reports.numbers.cost import costs
from miabench.reports.numbers.duels import duels
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.loss_ranks import loss_ranks
from miabench.reports.numbers.recommendation import recommend
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables import csv_json as tidy
from miabench.reports.tables.report_tables import Tabled
from miabench.reports.tables.terminal import show as show_tables
from miabench.reports.tables.terminal_layout import open_console
from miabench.results.index import Entry, Index
from miabench.results.results import Results
from miabench.store.store import Ref, Store

CLASSES = 4
HALF = 100  # members of each target, and non-members
COMMANDS = {
    **{form: ("report", "--format", form) for form in ("table", "markdown", "latex", "csv", "json", "html")},
    "details": ("report", "--details"),
    "gate": ("gate", "--max", "auc=0.9"),
}
MEASURE = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10]))
"""  # from a small process: the peak of a process counts from its parent's size

T = TypeVar("T")


def experiment(cells: int) -> dict[str, Any]:
    """`ce` and settings of `relaxloss`, ten attacks, five runs."""
    variants = [{"name": "nn", "schedule": {"epochs": epochs}} for epochs in (10, 20, 30, 40, 50)]
    return {
        "name": "synthetic",
        "dataset": {"name": "bits", "classes": CLASSES, "records_per_class": HALF, "bits": 10},
        "model": "mlp",
        "defense": ["ce", {"name": "relaxloss", "alpha": [round(0.001 * i, 3) for i in range(1, cells)]}],
        "attacks": ["entropy", "m-entropy", "confidence", "loss", "grad-x", *variants],
        "runs": 5,
        "shadows": 1,
        "device": "cpu",
    }


class Faker:
    """Stores what jobs would, with made-up numbers."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.rng = np.random.default_rng(0)
        self.about = environment(torch.device("cpu"))
        self.member = np.arange(2 * HALF) < HALF
        self.labels = np.arange(4 * HALF) % CLASSES

    def fill(self) -> None:
        """Everything that a report reads."""
        for job in self.plan.jobs.values():
            if job.kind == "train":
                for ref in job.gives:
                    self._put_network(job, ref)
        for entry in self.plan.index.entries:
            self._put_results(entry)

    def _put_network(self, job: Job, ref: Ref) -> None:
        seconds = float(self.rng.uniform(1, 2))
        cost = {"seconds": seconds, "cpu_seconds": seconds, "forwarded": 1e4, "differentiated": 1e4, "workers": 1}
        with self.store.write(ref, self._about(job) | {"epoch": 1, "cost": cost}) as folder:
            history = [{"epoch": i + 1, "lr": 0.1, "loss": float(self.rng.random())} for i in range(10)]
            (folder / "history.json").write_text(json.dumps(history))
            (folder / "weights.safetensors").write_bytes(b"")

    def _put_results(self, entry: Entry) -> None:
        assert entry.metrics
        assert entry.records
        job = self.plan.jobs[entry.metrics.key]
        spec = cast(MeasureSpec, job.spec)
        rows = np.concatenate([self.store.ids(spec.members), self.store.ids(spec.non_members)])
        labels = self.labels[rows]
        if entry.attack is None:
            (logits,) = job.needs
            self._put_answers(logits)
            correct = self.rng.random(2 * HALF) < np.where(self.member, 0.9, self.rng.uniform(0.5, 0.7))
            with self.store.write(entry.metrics, self._about(job)) as folder:
                values = TargetValues(correct.astype(np.float64), self.member, labels, rows)
                write_npz(folder / "arrays.npz", values.save())
                (folder / "rows.json").write_text(json.dumps(measure_accuracy(correct, self.member)))
            return
        scores, shadows = (self.rng.normal(size=2 * HALF) + self.rng.random() * self.member for _ in range(2))
        target, learnt_on = TargetValues(scores, self.member, labels, rows), ShadowScores(shadows, self.member, labels)
        given = AttackScores(target, learnt_on, {})
        with self.store.write(entry.records, self._about(self.plan.jobs[entry.records.key])) as folder:
            write_npz(folder / "arrays.npz", given.save())
        with self.store.write(entry.metrics, self._about(job)) as folder:
            (folder / "rows.json").write_text(json.dumps(measure_attack(given)))
            (folder / "classes.json").write_text(json.dumps(measure_classes(given, CLASSES)))

    def _put_answers(self, ref: Ref) -> None:
        about = self._about(self.plan.jobs[ref.key]) | {"cost": {"seconds": 0.01, "records": 4 * HALF}}
        with self.store.write(ref, about) as folder:
            answers = self.rng.normal(size=(4 * HALF, CLASSES)).astype(np.float32)
            np.savez(folder / "arrays.npz", answers=answers, feature_norm=np.abs(answers[:, 0]))

    def _about(self, job: Job) -> dict[str, Any]:
        spec = {"spec": job.spec.model_dump(mode="json")}
        return spec if job.kind == "measure" else spec | self.about


def make(folder: Path, cells: int) -> Path:
    """The experiment's file, beside a store of its results."""
    path = folder / f"synthetic-{cells}.toml"
    if not path.exists():
        atomic.sync = lambda path: None  # waiting for the disk after each of 300,000 files would take hours
        (folder / "new.toml").write_text(toml_text(experiment(cells)))
        plan = make_plan(load_experiment(folder / "new.toml"), Paths(folder / "store", folder))
        Faker(plan, Store(folder / "store")).fill()
        plan.index.save(Store(folder / "store"))
        (folder / "new.toml").rename(path)
    return path


def measure(path: Path, name: str, cache: Path) -> dict[str, Any]:
    """CPU seconds and peak MiB of one command, without and with what it kept."""
    shutil.rmtree(cache, ignore_errors=True)
    command, *more = COMMANDS[name]
    words = [sys.executable, "-P", "-m", "miabench", command, path.name, "--store", "store", *more]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    found = [
        json.loads(subprocess.check_output([sys.executable, "-c", MEASURE, *words], cwd=path.parent, env=environment))
        for _ in range(2)
    ]
    (first, first_peak), (again, again_peak) = found
    return {"what": name, "first": first, "again": again, "MiB": int(first_peak), "MiB again": int(again_peak)}


class Parts:
    """CPU seconds of parts, one after the other in this process."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def time(self, name: str, call: Callable[[], T]) -> T:
        """What a part makes."""
        begun = time.process_time()
        made = call()
        self.rows.append({"what": name, "first": time.process_time() - begun})
        return made


def parts(path: Path) -> list[dict[str, Any]]:
    """CPU seconds of each part of a report of which nothing is kept."""
    store, clock = Store(path.parent / "store"), Parts()
    results = clock.time("index", lambda: Results(Index.load(store, load_experiment(path)), store))
    summary = clock.time("what is measured", lambda: summarize(results))
    judged = clock.time("intervals, worst cases and differences", lambda: judge(results, summary))
    clock.time("advice", lambda: [*recommend(results, summary, judged, 5.0)])
    matrices = clock.time("every defense against every other", lambda: duels(results, summary, judged))
    spent = clock.time("costs", lambda: costs(results))
    branches = clock.time("branches of relaxed losses", lambda: branch_shares(results))
    alike = clock.time("members and non-members alike", lambda: consistency(results, summary))
    ranks = clock.time("losses that rank alike", lambda: loss_ranks(results, summary))
    tabled = Tabled(summary, judged, {}, matrices, spent, branches, lambda: alike, lambda: ranks)
    clock.time("printing, with details", lambda: show_tables(open_console(io.StringIO()), tabled, (), details=True))
    clock.time("tidy table", lambda: results.table)
    clock.time("tidy table by class", lambda: results.class_table)
    clock.time("csv of it", lambda: tidy.to_csv(results))
    clock.time("json of it", lambda: tidy.to_json(results, judged, branches, alike, ranks))
    return clock.rows


def main() -> None:
    """Make the results, then measure."""
    options = parser(__doc__)
    options.add_argument("--cells", type=int, default=1000)
    options.add_argument("--folder", type=Path)
    options.add_argument("--only", choices=COMMANDS, action="append", help="a command, and no parts (repeatable)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path, cache = make(folder, given.cells), Path(temporary) / "cache"
        rows = [measure(path, name, cache) for name in given.only or COMMANDS]
        show(f"CPU seconds, {given.cells:,} cells x 10 attacks x 5 runs", rows, given.json)
        if not given.only:
            os.environ["XDG_CACHE_HOME"] = str(Path(temporary) / "empty")
            show("CPU seconds by part, first", parts(path), given.json)


if __name__ == "__main__":
    main()
