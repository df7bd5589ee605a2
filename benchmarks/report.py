"""How long `miabench report` takes, and how much memory, for 1,000 cells x 10 attacks x 5 runs.

    python benchmarks/report.py [--cells 1000] [--folder FOLDER]

Plans an experiment of so many settings and stores what its jobs would store, as far as a report reads it, with scores
drawn at random: 100 members and 100 non-members for each target. Nothing is trained. Then prints seconds and peak
memory of the command in its forms, and processor seconds of its parts. The results (for 1,000 cells 2 GB, in three
minutes) go into a temporary folder, or into the one given, where they are found again.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

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
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables import csv_json as tidy
from miabench.reports.tables.report_tables import Tabled
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.results.index import Entry, Index
from miabench.results.results import Results
from miabench.store.store import Ref, Store

CLASSES = 4
HALF = 100  # members of each target, and non-members
FORMS = ("table", "csv", "json", "markdown", "latex", "html")

MEASURE = """
import resource, subprocess, sys, time
begun = time.monotonic()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
wall, cpu, memory = time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10
print(f"{wall:.1f} s, processor {cpu:.1f} s, {memory:.0f} MiB")
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


def measure(path: Path, *more: str) -> None:
    """Print what one command takes in a process of its own."""
    words = ["report", path.name, "--store", "store", *more]
    command = [sys.executable, "-P", "-c", MEASURE, sys.executable, "-P", "-m", "miabench", *words]
    print(f"miabench {shlex.join(words)}: ", end="", flush=True)
    subprocess.run(command, cwd=path.parent, check=True)


def part(name: str, call: Callable[[], T]) -> T:
    """Print the processor seconds of one part."""
    begun = time.process_time()
    made = call()
    print(f"  {name}: {time.process_time() - begun:.1f} s", flush=True)
    return made


def parts(path: Path) -> None:
    """Print the processor seconds of each part, one after the other in this process."""
    store = Store(path.parent / "store")
    results = part("index", lambda: Results(Index.load(store, load_experiment(path)), store))
    part("tidy table", lambda: results.table)
    summary = part("summary", lambda: summarize(results))
    spent = part("costs", lambda: costs(results))
    judged = part("intervals and differences", lambda: judge(results, summary))
    matrices = part("every defense against every other", lambda: duels(results, summary, judged))
    branches = part("branches of relaxed losses", lambda: branch_shares(results))
    tabled = Tabled(summary, judged, gaps={}, duels=matrices, costs=spent, branches=branches)
    part("csv", lambda: tidy.to_csv(results))
    alike = part("losses that rank alike", lambda: loss_ranks(results, summary))
    part("json", lambda: tidy.to_json(results, judged, branches, consistency(results, summary), alike))
    part("printing", lambda: show(open_console(io.StringIO()), tabled, (), details=True))


def main() -> None:
    """Make the results, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path = make(folder, given.cells)
        for form in FORMS:
            measure(path, "--format", form)
        measure(path, "--out", "out")
        print("parts:")
        parts(path)


if __name__ == "__main__":
    main()
