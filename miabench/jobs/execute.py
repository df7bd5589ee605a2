"""Doing a job: train, observe, attack or measure, from its description to a stored artifact."""

from __future__ import annotations

import contextlib
import io
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from miabench import seeds
from miabench.data.pool import Data
from miabench.errors import TrainingError, UserError
from miabench.evaluation import measure as evaluation
from miabench.evaluation.scoring import checked_scores, score_hidden
from miabench.experiment.model import Choice
from miabench.files.atomic import write_file
from miabench.files.npz import write_npz
from miabench.jobs.machine import environment
from miabench.jobs.observe import ANSWERS, Questions, check_answers, observe
from miabench.jobs.observed import Gatherer, own_answers
from miabench.jobs.specs import (
    AttackSpec,
    Compute,
    Context,
    DerivedSpec,
    Job,
    MeasureSpec,
    ObservationSpec,
    ProbeSpec,
    Spec,
    TrainingSpec,
)
from miabench.plugins.attack import Observed, Probe
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover, probe_class
from miabench.plugins.network import build_network
from miabench.plugins.process_state import isolated
from miabench.store.store import Ref, Store, digest
from miabench.training.checkpoint import Checkpoint
from miabench.training.serving import Served
from miabench.training.task import Task, TaskConfig

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "float64": torch.float64}

Progress = Callable[[dict[str, float]], None]


class Workbench:
    """Does jobs one after another, and keeps what they share (plugins, pools on the device) between them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = Store(context.store)
        self.plugins = discover(context.plugins)
        self.device = torch.device(context.device)
        self._pools: dict[str, Data] = {}
        self._inputs: dict[tuple[str, torch.dtype], Tensor] = {}
        self._unchanged: Callable[[], None] = lambda: None  # of the job at hand, see `isolated`

    def run(self, job: Job, progress: Progress) -> None:
        """Do a job, unless what it gives is stored already; another process at the same job is waited for.

        Raises:
            TrainingError, UserError: what went wrong, for the user.
            Exception: whatever a plugin raises.
        """
        with self.store.lock(job.key):
            if self.store.has_all(job.gives):
                return
            log = io.StringIO()
            try:
                with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                    self._do(job, log, progress)
            except Exception as error:
                self._remember_failure(job, error, log.getvalue())
                raise
            self.store.set_failure(job.key, None)

    def _do(self, job: Job, log: io.StringIO, progress: Progress) -> None:
        match job.spec:
            case TrainingSpec() as spec:
                with arithmetic(spec.compute), isolated(code_of(job), spec.seed) as self._unchanged:
                    self._train(job, spec, log, progress)
            case ObservationSpec() as spec:
                with arithmetic(spec.compute), isolated(code_of(job), spec.seed) as self._unchanged:
                    self._observe(job, spec)
            case DerivedSpec() as spec:
                with arithmetic(spec.compute), isolated(code_of(job), seed=0) as self._unchanged:
                    self._derive(job, spec)
            case AttackSpec() as spec:
                with arithmetic(spec.compute), isolated(code_of(job), spec.seed) as self._unchanged:
                    self._attack(job, spec)
            case MeasureSpec() as spec:
                with isolated(code_of(job), seed=0) as self._unchanged:
                    self._measure(job, spec)

    @contextlib.contextmanager
    def _write(self, ref: Ref, about: Mapping[str, Any]) -> Iterator[Path]:
        """As `Store.write`, unless the job has changed what jobs share: its results are then not to be trusted."""
        self._unchanged()
        with self.store.write(ref, about) as folder:
            yield folder

    def _remember_failure(self, job: Job, error: Exception, log: str) -> None:
        detail = str(error) if isinstance(error, (TrainingError, UserError)) else traceback.format_exc()
        with contextlib.suppress(OSError):  # a full disk must not hide the first error
            self.store.set_failure(job.key, f"{log}{detail}".strip())

    # --- what jobs share ---

    def pool(self, choice: Choice, identity: str) -> Data:
        """The dataset, as it was when the experiment was planned."""
        if identity not in self._pools:
            data = self.plugins.get("dataset", choice.name).build(choice.params).pool(Path(self.context.data_root))
            if data.identity != identity:
                raise UserError(f"dataset {choice.name} changed since this experiment was planned: run again")
            self._pools[identity] = data
        return self._pools[identity]

    def inputs(self, job: Job, dtype: torch.dtype) -> Tensor:
        """Normalised inputs of the whole pool on the device (N, ...)."""
        key = (job.identity, dtype)
        if key not in self._inputs:
            data = self.pool(job.dataset, job.identity)
            self._inputs[key] = data.inputs(torch.arange(len(data)), self.device, dtype)
        return self._inputs[key]

    def trained_by(self, spec: TrainingSpec, data: Data) -> tuple[Defense, Callable[[], nn.Module]]:
        """A training's defense, and what builds its network."""
        defense = self.plugins.get("defense", spec.defense.name).build(spec.defense.params)
        model = self.plugins.get("model", spec.model.name).build(spec.model.params)
        return defense, partial(build_network, model, defense, data.domain)

    def probe(self, spec: ProbeSpec) -> Probe:
        """A probe from its description."""
        return probe_class(spec.module, spec.qualname)(**spec.params)

    def rows(self, name: str) -> Tensor:
        """A list of pool rows as a CPU tensor."""
        return torch.from_numpy(self.store.ids(name))

    def network(self, key: str, data: Data) -> tuple[nn.Module, Defense, TrainingSpec]:
        """A stored network in eval mode on the device, with what it was trained under."""
        ref = Ref("networks", key)
        spec = TrainingSpec.model_validate(self.store.manifest(ref)["spec"])
        defense, build = self.trained_by(spec, data)
        with seeds.global_stream(0, "weights that are replaced"):
            net = build()
        net.to(self.device, DTYPES[spec.compute.precision])  # before they are loaded, or float64 weights are rounded
        net.load_state_dict(load_file(self.store.file(ref, "weights.safetensors")))
        return net.eval(), defense, spec

    # --- the four kinds of job ---

    def _train(self, job: Job, spec: TrainingSpec, log: io.StringIO, progress: Progress) -> None:
        warm_up()
        data = self.pool(job.dataset, job.identity)
        wanted = {epoch: ref for epoch, ref in zip(job.snapshots, job.gives, strict=True) if not self.store.has(ref)}
        unfinished = digest([job.key, sorted(wanted)])  # a state that lacks a wanted snapshot is of no use
        checkpoint = Checkpoint(self.store.folder / "checkpoints" / unfinished, self.context.checkpoint_seconds)
        defense, build = self.trained_by(spec, data)
        config = TaskConfig(
            build=build,
            num_classes=data.num_classes,
            augmentation=data.augmentation,
            ids={name: self.rows(part.ids) for name, part in spec.parts.items()},
            given={name: self.network(key, data)[0] for name, key in spec.given.items()},
            schedule=spec.schedule.model_copy(deep=True),
            seed=spec.seed,
            device=self.device,
            dtype=DTYPES[spec.compute.precision],
            stop=max(wanted),
            snapshots=frozenset(wanted),
            checkpoint=checkpoint,
            progress=progress,
        )
        task = Task(config, self.inputs(job, config.dtype), data.y.to(self.device))
        with seeds.global_stream(spec.seed, "dropout"):
            net = defense.fit(task)
        task.journal.snapshots[max(wanted)] = net.state_dict()
        task.journal.costs[max(wanted)] = task.meter.read()
        for epoch, ref in wanted.items():
            if epoch not in task.journal.snapshots:
                raise UserError(f"defense {spec.defense.name} keeps no snapshots: its fit gives task.epochs no net=")
            about = {
                "spec": spec.model_dump(mode="json"),
                "epoch": epoch,
                "cost": task.journal.costs[epoch] | {"workers": self.context.workers},
                **environment(self.device),
            }
            with self._write(ref, about) as folder:
                weights = {name: value.detach().cpu().clone() for name, value in task.journal.snapshots[epoch].items()}
                write_file(folder / "weights.safetensors", save(weights))
                write_file(folder / "history.json", json.dumps(task.journal.history[:epoch]).encode())
                write_file(folder / "log.txt", log.getvalue().encode(errors="replace"))
        checkpoint.remove()

    def _observe(self, job: Job, spec: ObservationSpec) -> None:
        data = self.pool(job.dataset, job.identity)
        net, defense, training = self.network(spec.network, data)
        served = Served(net, defense.server(), training.seed).eval()
        probe = self.probe(spec.probe)
        rows = self.store.ids(spec.part.ids)
        order = np.arange(len(rows)) if probe.whole_pool else data.by_content(rows)
        x, y = self.inputs(job, DTYPES[spec.compute.precision]), data.y.to(self.device)
        questions = Questions(x, y, *(torch.from_numpy(ids).to(self.device) for ids in (rows, order)))
        begun = time.monotonic()
        arrays = observe(lambda: self.probe(spec.probe), served, questions, spec.seed)
        self._save(job, spec, arrays, {"cost": {"seconds": time.monotonic() - begun, "records": len(rows)}})

    def _derive(self, job: Job, spec: DerivedSpec) -> None:
        labels = self.pool(job.dataset, job.identity).y.numpy()[self.store.ids(spec.part.ids)]
        probe = self.probe(spec.probe)
        assert probe.of is not None
        stored = self.store.arrays(Ref("observations", spec.of))
        derived = probe.derive(own_answers(probe.of, stored), labels)
        check_answers(probe, derived, np.ndarray, len(labels))
        self._save(job, spec, {ANSWERS: derived}, {})

    def _attack(self, job: Job, spec: AttackSpec) -> None:
        attack = self.plugins.get("attack", spec.attack.name).build(spec.attack.params)
        data = self.pool(job.dataset, job.identity)
        gatherer = Gatherer(self.store, data, attack, [self.probe(probe) for probe in spec.probes])
        shadows = [gatherer.observed(view, spec.references(view)) for view in spec.shadows]
        target = gatherer.observed(spec.target, spec.references(spec.target))
        state = attack.fit(shadows, seeds.generator(spec.seed, "attack", self.device))
        arrays = {f"state.{name}": np.asarray(value) for name, value in state.items()}
        arrays |= _named("target", target, score_hidden(attack, target, state, spec.seed))
        shadow_scores = [checked_scores(attack.score(shadow, state), len(shadow)) for shadow in shadows]
        members = [cast(Any, shadow.member) for shadow in shadows]
        # each begins with an empty array, as there may be no shadow models
        arrays["shadows"] = np.concatenate([np.empty(0), *shadow_scores])
        arrays["shadows_member"] = np.concatenate([np.empty(0, bool), *members])
        arrays["shadows_label"] = np.concatenate([np.empty(0, np.int64), *(shadow.labels for shadow in shadows)])
        arrays["target_row"] = gatherer.rows(spec.target)
        self._save(job, spec, arrays, {})

    def _measure(self, job: Job, spec: MeasureSpec) -> None:
        data = self.pool(job.dataset, job.identity)
        with self._write(job.gives[0], {"spec": spec.model_dump(mode="json")}) as folder:
            if spec.scores is not None:
                scores = self.store.arrays(Ref("scores", spec.scores))
                rows = evaluation.measure_attack(scores, data.num_classes)
            else:
                arrays = self._correctness(spec, data)
                rows = evaluation.measure_accuracy(arrays["target"] == 1, arrays["target_member"])
                write_npz(folder / "arrays.npz", arrays)
            write_file(folder / "rows.json", json.dumps(rows, allow_nan=False).encode())

    def _correctness(self, spec: MeasureSpec, data: Data) -> dict[str, NDArray[Any]]:
        """Whether each member and non-member is classified correctly: laid out like an attack's scores."""
        assert spec.logits is not None
        members, others = self.store.ids(spec.members), self.store.ids(spec.non_members)
        rows = np.concatenate([members, others])
        logits = self.store.arrays(Ref("observations", spec.logits))["answers"][rows]
        correct = (logits.argmax(1) == data.y.numpy()[rows]).astype(np.float64)
        member = np.arange(len(rows)) < len(members)
        return {"target": correct, "target_row": rows, "target_member": member, "target_label": data.y.numpy()[rows]}

    def _save(self, job: Job, spec: Spec, arrays: Mapping[str, NDArray[Any]], more: Mapping[str, Any]) -> None:
        about = {"spec": spec.model_dump(mode="json"), **environment(self.device), **more}
        with self._write(job.gives[0], about) as folder:
            write_npz(folder / "arrays.npz", arrays)


def _named(name: str, observed: Observed, scores: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return {name: scores, f"{name}_member": cast(Any, observed.member), f"{name}_label": observed.labels}


def code_of(job: Job) -> str:
    """Whose code a job runs, for an error."""
    names = [Path(file.path).name for file in job.plugins]
    return f"the code of {' or '.join(names)}" if names else "the job"


@cache
def warm_up() -> None:
    """One optimizer step: the first in a process loads code, which must not count as the first training's cost."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD([parameter], 0.1).step()


@contextlib.contextmanager
def arithmetic(compute: Compute) -> Iterator[None]:
    """Threads and precision of one job, put back after it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(compute.threads)
    try:
        with threadpool_limits(compute.threads), _tf32(compute.precision == "tf32"):
            yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _tf32(on: bool) -> Iterator[None]:
    """Whether matrix products and convolutions of float32 may be computed in TF32 on a GPU."""
    newer = _newer_switches()
    try:
        older = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the program has used the newer switches, which these then cannot tell
        older = None
    before = [switch.fp32_precision for switch in newer.values()]
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on
    for name in newer.keys() & {"conv", "rnn"}:  # which otherwise follow what the program chose for all operations
        newer[name].fp32_precision = "tf32" if on else "ieee"
    try:
        yield
    finally:
        if older:
            torch.set_float32_matmul_precision(older[0])
            torch.backends.cudnn.allow_tf32 = older[1]
        for switch, precision in zip(newer.values(), before, strict=True):
            switch.fp32_precision = precision


def _newer_switches() -> dict[str, Any]:
    """The switches of torch 2.9 and later that the two older ones set as well."""
    of: Any = torch.backends
    if not hasattr(of.cudnn, "conv"):
        return {}
    return {"cuda": of.cuda.matmul, "cpu": of.mkldnn.matmul, "conv": of.cudnn.conv, "rnn": of.cudnn.rnn}
