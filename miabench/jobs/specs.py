"""What jobs are, as JSON: enough for another process to do the work, and exactly what decides the result's key."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import BaseModel

from miabench.experiment.model import Choice
from miabench.plugins.attack import Probe
from miabench.plugins.base import Plugin
from miabench.plugins.discover import PluginFile, PluginInfo
from miabench.store.hashed import LATER, NEVER, HashedAs, hashed
from miabench.store.store import Ref, digest
from miabench.training.schedule import Schedule

Precision: TypeAlias = Literal["float32", "tf32", "bf16", "float64"]
Stage: TypeAlias = Literal["train", "attack"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Spec(BaseModel, frozen=True, extra="forbid"):
    """JSON that decides a result; its hash is the result's key.

    Attributes:
        tag: stands for the kind of spec in keys; it stays when the class is renamed.
    """

    tag: ClassVar[str]

    @property
    def key(self) -> str:
        """The content address of what this spec describes."""
        return digest({self.tag: hashed(self)})


class Parametrised(Spec, frozen=True):
    """Something with parameters.

    Attributes:
        params: all of them; it is built again from these.
        params_in_key: those that stand in keys, where a parameter that came later is not among them; None: all.
    """

    params: Annotated[
        dict[str, Any], HashedAs(lambda spec: spec.params if spec.params_in_key is None else spec.params_in_key)
    ]
    params_in_key: Annotated[dict[str, Any] | None, NEVER] = None


def _described(instance: Plugin | Probe) -> dict[str, Any]:
    """The two fields of `Parametrised`."""
    params, in_key = instance.model_dump(mode="json"), hashed(instance)
    return {"params": params, "params_in_key": None if in_key == params else in_key}


class Component(Parametrised, frozen=True):
    """A plugin with all its parameters; `code` stands for its code: class version and source identity."""

    tag: ClassVar[str] = "Component"

    name: str
    code: str

    @classmethod
    def of(cls, found: PluginInfo[Any], plugin: Plugin) -> Component:
        """Describe an instance."""
        return cls(name=found.name, code=f"{plugin.version} {found.identity}".strip(), **_described(plugin))


class ProbeSpec(Parametrised, frozen=True):
    """A probe: where keys say that its class is (file plugins: in a module whose name holds the file's hash)."""

    tag: ClassVar[str] = "ProbeSpec"

    module: str
    qualname: str
    version: int

    @classmethod
    def of(cls, probe: Probe) -> ProbeSpec:
        """Describe an instance."""
        module, qualname = probe.place()
        return cls(module=module, qualname=qualname, version=probe.version, **_described(probe))


class Part(Spec, frozen=True):
    """Some records in order: their rows (a list in the store) and the hash of their content."""

    tag: ClassVar[str] = "Part"

    ids: str
    content: str


class Compute(Spec, frozen=True):
    """What decides floating-point results beside the formulas.

    Attributes:
        arithmetic: version of what a device's precisions stand for; see `on`.
    """

    tag: ClassVar[str] = "Compute"

    device: Literal["cpu", "cuda", "mps"]
    precision: Precision
    threads: int
    arithmetic: Annotated[int, LATER] = 1

    @classmethod
    def on(cls, device: str, precision: Precision, threads: int) -> Compute:
        """For a device as torch names it.

        Under arithmetic 1, convolutions on CUDA were in TF32 whatever was asked for, and float64 weights were rounded
        to float32 when they were read; under 2, convolutions on CUDA took any algorithm.
        """
        kind: Any = device.partition(":")[0]
        version = 3 if kind == "cuda" else 2 if precision == "float64" else 1
        return cls(device=kind, precision=precision, threads=threads, arithmetic=version)


class TrainingSpec(Spec, frozen=True):
    """One training; `answers`: of an attacker's copy, keys of the observations that it learns from, by name."""

    tag: ClassVar[str] = "TrainingSpec"

    parts: dict[str, Part]
    preparation: dict[str, str]
    model: Component
    defense: Component
    schedule: Schedule
    seed: int
    compute: Compute
    given: dict[str, str]
    answers: Annotated[dict[str, str], LATER] = {}

    def network(self, epoch: int) -> Ref:
        """The network after an epoch of this training."""
        return Ref("networks", digest([self.key, epoch]))


class ObservationSpec(Spec, frozen=True):
    """One probe's answers from one network about some records."""

    tag: ClassVar[str] = "ObservationSpec"

    network: str
    probe: ProbeSpec
    part: Part
    preparation: dict[str, str]
    seed: int
    compute: Compute


class DerivedSpec(Spec, frozen=True):
    """One probe's answers computed from another's stored ones.

    Attributes:
        of: key of the other probe's observation.
        part: the records that it is about.
    """

    tag: ClassVar[str] = "DerivedSpec"

    of: str
    probe: ProbeSpec
    part: Part
    compute: Compute


class ModelView(Spec, frozen=True):
    """One model as an attack sees it.

    Attributes:
        observations: key of each probe's answers, in the order of the attack's probes.
        members: pool rows the model was trained on and must protect.
        non_members: its test part.
        withheld: rows that its defense kept from training; None where there are none or the attack compares with
            no references.
        scored: the members, then the non-members, that are scored; None: all.
        population: rows known to be outside its training, none of which is scored; None where there are none or
            the attack does not look at them.
        pair: number of its pair, under protocol pool and for attacks that compare with references.
        copies: the attacker's own models that learnt from this one's answers, by name: one for each epoch.
    """

    tag: ClassVar[str] = "View"

    observations: list[str]
    members: str
    non_members: str
    withheld: Annotated[str | None, LATER] = None
    scored: Annotated[str | None, LATER] = None
    population: Annotated[str | None, LATER] = None
    pair: Annotated[int | None, LATER] = None
    copies: Annotated[dict[str, list[ModelView]], LATER] = {}


class AttackSpec(Spec, frozen=True):
    """One attack on one target, learnt on its shadows.

    Attributes:
        others: models that answers are compared with; empty: the shadows.
    """

    tag: ClassVar[str] = "AttackSpec"

    attack: Component
    probes: list[ProbeSpec]
    target: ModelView
    shadows: list[ModelView]
    labels: str
    seed: int
    compute: Compute
    others: Annotated[list[ModelView], LATER] = []

    def references(self, view: ModelView) -> list[ModelView]:
        """What the target or a shadow is compared with: neither itself nor a model of its pair or of the target's."""
        pairs = {pair for pair in (view.pair, self.target.pair) if pair is not None}
        return [other for other in self.others or self.shadows if other is not view and other.pair not in pairs]


class MeasureSpec(Spec, frozen=True):
    """Metrics of one attack's scores, or (without scores) accuracies from the target's logits."""

    tag: ClassVar[str] = "MeasureSpec"

    version: int
    scores: str | None
    logits: str | None
    members: str
    non_members: str


class Context(BaseModel, frozen=True):
    """Where a job finds things; decides no result.

    Attributes:
        device: as torch names it.
        checkpoint_seconds: at most this long between two checkpoints of one training, or an epoch.
        workers: how many jobs run at once; kept beside measured times.
        threads: of each job.
    """

    store: str
    data_root: str
    plugins: tuple[PluginFile, ...]
    device: str
    checkpoint_seconds: float
    workers: int = 1
    threads: int = 1


class Job(BaseModel, frozen=True):
    """One unit of work for an executor.

    Attributes:
        key: of the work; locks and failures are filed under it.
        label: what is done, in words.
        dataset: whose pool it reads.
        identity: of that pool when the job was planned.
        needs: artifacts that must be stored before.
        gives: artifacts that are stored after.
        snapshots: of a training, the epoch after which each artifact of `gives` is taken.
        plugins: the plugin files whose code it runs; it runs in a process that has imported no other.
        weight: expected work, for the estimate of the time left: passes over one record, roughly.
    """

    kind: Literal["train", "observe", "attack", "measure"]
    key: str
    label: str
    dataset: Choice
    identity: str
    spec: TrainingSpec | ObservationSpec | DerivedSpec | AttackSpec | MeasureSpec
    needs: tuple[Ref, ...]
    gives: tuple[Ref, ...]
    snapshots: tuple[int, ...] = ()
    plugins: tuple[PluginFile, ...] = ()
    weight: float = 1.0

    @property
    def stage(self) -> Stage:
        """When it is done; an attacker's copies, which learn from a network's answers, are part of the attack."""
        return "train" if isinstance(self.spec, TrainingSpec) and not self.spec.answers else "attack"

    @property
    def sort(self) -> tuple[str, ...]:
        """What jobs share that take about the same memory."""
        own: tuple[str, ...] = ()
        match self.spec:
            case TrainingSpec() as spec:
                own = (spec.model.key, spec.defense.name, str(spec.schedule.batch_size))
            case ObservationSpec() | DerivedSpec() as spec:
                own = (spec.probe.qualname,)
            case AttackSpec() as spec:
                own = (spec.attack.name,)
        return self.kind, self.identity, *own
