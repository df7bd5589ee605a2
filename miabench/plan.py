"""From an experiment to a graph of jobs: cells, runs, roles, seeds and keys. Nothing is trained here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import torch

from miabench import metrics
from miabench.contracts import Attack, Dataset, Defense, Logits, Model, Probe, Role, Train
from miabench.data import Data, load_pool
from miabench.discovery import Found, PluginFile, Plugins, discover, plugin_files_blamed
from miabench.errors import UserError
from miabench.experiment import Choice, DefenseChoice, Experiment
from miabench.grid import expand
from miabench.index import Cell, Entry, Index
from miabench.labels import changed, changed_schedule, labelled, unchanged
from miabench.process_state import isolated
from miabench.schedule import Schedule
from miabench.seeds import role_seed
from miabench.specs import (
    AttackSpec,
    Component,
    Compute,
    Context,
    DerivedSpec,
    Job,
    MeasureSpec,
    ObservationSpec,
    Part,
    ProbeSpec,
    TrainingSpec,
    View,
)
from miabench.splits import Ids, Split, roles, split
from miabench.store import Artifact, Ref, Store, data_folder

PROTOCOL = "disjoint"
UNDEFENDED = "ce"  # what a non-adaptive attacker's shadow models are trained under


@dataclass(frozen=True)
class Plan:
    """What an experiment needs.

    Attributes:
        index: the results to be.
        context: where jobs find things.
        jobs: by key, each after all that it needs.
    """

    index: Index
    context: Context
    jobs: dict[str, Job]


@dataclass(frozen=True)
class Places:
    """Where results, data and plugin files are."""

    store: Path = Path("miabench-store")
    data_root: Path | None = None


def make_plan(experiment: Experiment, places: Places = Places()) -> Plan:
    """Plan an experiment. Loads its datasets, trains nothing.

    Raises:
        UserError: whatever is wrong with names, parameters, files or data; all problems that can be found at once.
    """
    with plugin_files_blamed(), isolated("planning", experiment.seed):
        return _Planner(experiment, places).plan()


@dataclass(frozen=True)
class _Built:
    """A plugin of the experiment, with its description, and the schedule that a defense is trained on.

    Attributes:
        changed: what differs from the plugin's defaults or among an experiment's settings of it, and, as
            `schedule.lr`, from the experiment's schedule.
    """

    plugin: Any
    component: Component
    changed: dict[str, Any]
    schedule: Schedule

    @property
    def label(self) -> str:
        return labelled(self.component.name, self.changed)


@dataclass(frozen=True)
class _Site:
    """One dataset and model: where cells stand.

    Attributes:
        plugins: the plugin file of the dataset, if it is one's.
    """

    choice: Choice
    dataset: str
    data: Data
    model: _Built
    plugins: tuple[PluginFile, ...]


@dataclass(frozen=True)
class _Trained:
    """One planned network, and the lists of the records it must protect, is tested on, and that were withheld.

    Attributes:
        plugins: the plugin files whose code its training runs.
    """

    network: str
    members: str
    non_members: str
    withheld: tuple[str, ...]
    plugins: tuple[PluginFile, ...]


class _Planner:
    def __init__(self, experiment: Experiment, places: Places) -> None:
        self.experiment = experiment
        self.plugins: Plugins = discover(experiment.plugins)
        device = resolve_device(experiment.device)
        self.compute = Compute.on(device, experiment.precision, experiment.threads)
        problems: list[str] = []
        self.datasets = self._build_all("dataset", experiment.dataset, problems)
        self.models = self._build_all("model", experiment.model, problems)
        self.defenses = self._build_all("defense", experiment.defense, problems)
        self.attacks = self._build_all("attack", experiment.attacks, problems)
        problems += [problem for built in self.attacks for problem in _oversights(built)]
        if problems:
            raise UserError(*problems)
        root = data_folder(places.data_root)
        self.store = Store(places.store)
        self.context = Context(
            store=str(self.store.folder),
            data_root=str(root),
            plugins=self.plugins.files,
            device=device,
            checkpoint_seconds=60.0,
        )
        self.jobs: dict[str, Job] = {}
        self.index = Index(experiment=experiment, cells=[], entries=[], notes=experiment.remarks(), warnings=[])
        for built in self.datasets:
            self._plan_dataset(built, root)

    def plan(self) -> Plan:
        """What has been planned."""
        return Plan(self.index, self.context, self.jobs)

    # --- plugins ---

    def _build_all(self, kind: Any, choices: Sequence[Choice], problems: list[str]) -> list[_Built]:
        """Instances of all choices, grids expanded; what is wrong is added to the problems."""
        built: list[_Built] = []
        for choice in choices:
            try:
                found = self.plugins.get(kind, choice.name)
                own = choice.schedule if isinstance(choice, DefenseChoice) else {}
                also = _varying(choices, choice) if kind == "defense" else ()
                grid = itertools.product(expand(found.load(), choice.params), expand(Schedule, own))
                built += [self._build(found, params, schedule, also) for params, schedule in grid]
            except UserError as error:
                problems += error.problems
        counts = Counter(item.label for item in built)
        problems += [
            f"{kind} {label!r} stands twice in the experiment; remove one" for label in counts if counts[label] > 1
        ]
        return built

    def _build(
        self,
        found: Found,
        params: Mapping[str, Any],
        own: Mapping[str, Any] | None = None,
        also: Collection[str] = (),
    ) -> _Built:
        plugin = found.build(params)
        common = self.experiment.schedule
        try:
            schedule = common.replaced(own or {})
        except UserError as error:
            raise UserError(*(f"{found.kind} {found.name}: {problem}" for problem in error.problems)) from None
        component = Component.of(found, plugin)
        return _Built(plugin, component, changed(plugin, also) | changed_schedule(schedule, common), schedule)

    # --- datasets, models, defenses ---

    def _plan_dataset(self, built: _Built, root: Path) -> None:
        data = load_pool(cast(Dataset, built.plugin), root)
        choice = Choice.model_validate({"name": built.component.name, **built.component.params})
        self.index.notes.append(f"{built.label}: {len(data):,} records, {data.num_classes} classes")
        if data.duplicates:
            self.index.notes.append(
                f"{built.label}: {data.duplicates:,} records repeat the input of another: a member's twin may be a "
                "non-member; deduplicate = true drops them"
            )
        for model in self.models:
            site = _Site(choice, built.label, data, model, self.plugins.files_of(built.plugin))
            for defense in self.defenses:
                self._plan_cell(site, defense)

    def _plan_cell(self, site: _Site, built: _Built) -> None:
        defense, model = cast(Defense, built.plugin), cast(Model, site.model.plugin)
        reason = model.unsupported(site.data.domain)
        reason = f"{site.model.label}: {reason}" if reason else defense.unsupported(site.data, model)
        names: dict[str, Any] = {
            "dataset": site.dataset,
            "model": site.model.label,
            "defense": built.component.name,
            "params": built.changed,
            "by_default": unchanged(defense, built.changed),
        }
        if reason:
            self.index.cells.append(Cell(**names, reason=reason))
            self._add_missing(reason)
        else:
            self.index.warnings.extend(
                text for text in defense.advice(site.data, model) if text not in self.index.warnings
            )
            self.index.cells.append(Cell(**names, claim=defense.claim, counts=self._counts(site, defense)))
            for run in range(self.experiment.runs):
                self._plan_run(site, built, run)

    def _enter(self, run: int, **what: Any) -> None:
        """Add an entry for the cell that is being planned."""
        self.index.entries.append(Entry(cell=len(self.index.cells) - 1, run=run, **what))

    def _add_missing(self, reason: str) -> None:
        pairs = [
            (None, None),
            *itertools.product(self._attackers(), (attack.label for attack in self.attacks)),
        ]
        for run in range(self.experiment.runs):
            for attacker, attack in pairs:
                self._enter(run, attacker=attacker, attack=attack, reason=reason)

    def _counts(self, site: _Site, defense: Defense) -> dict[str, int]:
        target = split(len(site.data), self.experiment.seed, "target", self.experiment.protocol)
        parts = target.withhold(defense.withhold())
        counts = {"members": len(parts.pop("train")), "non-members": len(target.test)}
        return counts | {name: len(ids) for name, ids in parts.items()}

    def _attackers(self) -> dict[str, str]:
        """`adaptive` and `non-adaptive`, and the shadow models' defense of each."""
        both = {"adaptive": "same", "non-adaptive": UNDEFENDED}
        wanted = self.experiment.attacker.shadow_defense
        return {name: defense for name, defense in both.items() if wanted in (defense, "both")}

    def _plan_run(self, site: _Site, built: _Built, run: int) -> None:
        target, *_ = roles(0)
        trained = self._plan_role(site, built, run, target)
        self._plan_accuracy(site, run, trained)
        for attacker, shadow_defense in self._attackers().items():
            own = built if shadow_defense == "same" else self._build(self.plugins.get("defense", shadow_defense), {})
            shadows = [self._plan_role(site, own, run, role) for role in roles(self.experiment.shadows)[1:]]
            for attack in self.attacks:
                self._plan_attack(site, (run, attacker), attack, [trained, *shadows])

    # --- trainings ---

    def _plan_role(self, site: _Site, built: _Built, run: int, role: str) -> _Trained:
        protocol = self.experiment.protocol
        records = split(len(site.data), self.experiment.seed, role, protocol)
        # tuning has streams of its own: what it chooses must not suit the final models' initial weights
        seed = role_seed(self.experiment.seed, run, f"tune {role}" if protocol == "tune" else role)
        label = f"{site.dataset} {site.model.label} {built.label} run {run} {role}"
        return self._plan_training(_Wanted(site, built, records, seed, label, built.schedule))

    def _plan_training(self, wanted: _Wanted, depth: int = 0) -> _Trained:
        """One network, after the trainings it starts from."""
        defense = cast(Defense, wanted.built.plugin)
        if depth > 8:
            raise UserError(f"{wanted.label}: trainings require each other in a circle")
        parts = wanted.records.withhold(defense.withhold())
        ids = {name: torch.from_numpy(rows) for name, rows in parts.items()}
        given = {
            name: self._plan_required(wanted, train, ids["train"], depth)
            for name, train in defense.requires(Role(ids, wanted.seed)).items()
        }
        data = wanted.site.data
        spec = TrainingSpec(
            parts={name: self._part(data, rows) for name, rows in ids.items()},
            preparation=data.preparation,
            model=wanted.site.model.component,
            defense=wanted.built.component,
            schedule=wanted.schedule,
            seed=wanted.seed,
            compute=self.compute,
            given={name: trained.network for name, trained in given.items()},
        )
        own = self.plugins.files_of(defense, wanted.site.model.plugin)
        plugins = _united(own, *(trained.plugins for trained in given.values()), wanted.site.plugins)
        network = self._add_training(wanted, spec, plugins)
        withheld = tuple(part.ids for name, part in spec.parts.items() if name != "train")
        return _Trained(network, spec.parts["train"].ids, self.store.put_ids(wanted.records.test), withheld, plugins)

    def _plan_required(self, wanted: _Wanted, train: Train, train_ids: torch.Tensor, depth: int) -> _Trained:
        rows = train_ids if isinstance(train.ids, str) else train.ids
        built = self._build(self.plugins.get("defense", train.defense), train.params)
        records = Split(rows.numpy(), wanted.records.test, wanted.records.seed)
        label = f"{wanted.label} < {built.label}"
        schedule = wanted.schedule.replaced(train.schedule)
        required = _Wanted(wanted.site, built, records, wanted.seed, label, schedule, train.epochs)
        return self._plan_training(required, depth + 1)

    def _add_training(self, wanted: _Wanted, spec: TrainingSpec, plugins: tuple[PluginFile, ...]) -> str:
        """Add a training, or another snapshot of one that is planned already; the network's key."""
        last = spec.schedule.epochs
        epoch = last if wanted.epochs is None else wanted.epochs
        if not 1 <= epoch <= last:
            raise UserError(f"{wanted.label}: epochs = {epoch} is not within the schedule's 1 to {last}")
        job = self.jobs.get(spec.key)
        epochs = sorted({epoch, *(job.snapshots if job else ())})
        self.jobs[spec.key] = Job(
            kind="train",
            key=spec.key,
            label=job.label if job else f"train {wanted.label}",
            dataset=wanted.site.choice,
            identity=wanted.site.data.identity,
            spec=spec,
            needs=tuple(Ref("networks", key) for key in spec.given.values()),
            gives=tuple(spec.network(e) for e in epochs),
            snapshots=tuple(epochs),
            plugins=plugins,
            weight=float(epochs[-1] * len(self.store.ids(spec.parts["train"].ids))),
        )
        return spec.network(epoch).key

    def _part(self, data: Data, rows: torch.Tensor) -> Part:
        return Part(ids=self.store.put_ids(rows.numpy()), content=data.fingerprint(rows))

    # --- observations, attacks, metrics ---

    def _plan_probe(self, site: _Site, trained: _Trained, probe: Probe, attack: Attack | None = None) -> Ref:
        """One probe's answers from one network, for an attack or the accuracy, after those they are computed from."""
        if probe.of is None:
            return self._plan_observation(site, trained, probe, attack)
        parent = self._plan_probe(site, trained, probe.of, attack)
        part = cast(ObservationSpec | DerivedSpec, self.jobs[parent.key].spec).part
        spec = DerivedSpec(of=parent.key, probe=ProbeSpec.of(probe), part=part, compute=self.compute)
        what = f"{type(probe).__name__} of network {trained.network[:8]}"
        plugins = self._plugins_of_probe(trained, probe, attack)
        return self._add(site, spec, [parent], _Work(what, plugins, 0.1 * len(self.store.ids(part.ids))))

    def _plugins_of_probe(self, trained: _Trained, probe: Probe, attack: Attack | None) -> tuple[PluginFile, ...]:
        own = type(probe).__module__.startswith("miabench.")  # otherwise found by importing the attack's file
        return trained.plugins if own else _united(self.plugins.files_of(attack), trained.plugins)

    def _plan_observation(self, site: _Site, trained: _Trained, probe: Probe, attack: Attack | None) -> Ref:
        if probe.whole_pool:
            rows = torch.arange(len(site.data))
        else:
            rows = torch.from_numpy(self._own_rows(site.data, trained, probe.records))
        asked = ProbeSpec.of(probe if probe.base is None else Logits())  # under whose name the engine's own is stored
        spec = ObservationSpec(
            network=trained.network,
            probe=asked,
            part=self._part(site.data, rows),
            preparation=site.data.preparation,
            seed=self.experiment.seed,
            compute=self.compute,
        )
        needs = [Ref("networks", trained.network)]
        what = f"{asked.qualname} of network {trained.network[:8]}"
        return self._add(site, spec, needs, _Work(what, self._plugins_of_probe(trained, probe, attack), len(rows)))

    def _own_rows(self, data: Data, trained: _Trained, records: int | None) -> Ids:
        """A model's members, then its non-members; of each at most some, drawn by content."""
        lists = [self.store.ids(trained.members), self.store.ids(trained.non_members)]
        return np.concatenate(lists if records is None else [data.drawn(ids, records) for ids in lists])

    def _plan_view(self, site: _Site, trained: _Trained, attack: Attack) -> View:
        limits = [probe.root.records for probe in attack.probes() if probe.root.records is not None]
        scored = self._own_rows(site.data, trained, min(limits)) if limits else None
        withheld = [self.store.ids(ids) for ids in trained.withheld] if attack.references != "none" else []
        return View(
            observations=[self._plan_probe(site, trained, probe, attack).key for probe in attack.probes()],
            members=trained.members,
            non_members=trained.non_members,
            withheld=self.store.put_ids(np.concatenate(withheld)) if withheld else None,
            scored=None if scored is None else self.store.put_ids(scored),
            population=self._population(site.data, trained) if attack.population else None,
        )

    def _population(self, data: Data, trained: _Trained) -> str | None:
        """What a model knows nothing of and is not tested on: the other half; a trial of tuning has no other half."""
        if self.experiment.protocol == "tune":
            return None
        own = [self.store.ids(ids) for ids in (trained.members, trained.non_members, *trained.withheld)]
        return self.store.put_ids(np.setdiff1d(np.arange(len(data)), np.concatenate(own)))

    def _plan_attack(self, site: _Site, who: tuple[int, str], built: _Built, models: list[_Trained]) -> None:
        attack = cast(Attack, built.plugin)
        run, attacker = who
        if reason := self._unsupported(site, attack):
            self._enter(run, attacker=attacker, attack=built.label, reason=reason)
            return
        target, *shadows = [self._plan_view(site, trained, attack) for trained in models]
        spec = AttackSpec(
            attack=built.component,
            probes=[ProbeSpec.of(probe) for probe in attack.probes()],
            target=target,
            shadows=shadows,
            labels=site.data.fingerprint(),
            seed=role_seed(self.experiment.seed, run, "attacker"),
            compute=self.compute,
        )
        needs = [Ref("observations", key) for view in (target, *shadows) for key in view.observations]
        cell = self.index.cells[-1]
        what = f"{built.label} ({attacker}) on {cell.dataset} {cell.model} {cell.label} run {run}"
        records = sum(
            len(self.store.ids(ids)) for view in (target, *shadows) for ids in (view.members, view.non_members)
        )
        plugins = _united(self.plugins.files_of(attack), site.plugins)
        scores = self._add(site, spec, needs, _Work(what, plugins, 3 * records))
        measure = MeasureSpec(
            version=metrics.VERSION,
            scores=scores.key,
            logits=None,
            members=target.members,
            non_members=target.non_members,
        )
        measured = self._add(site, measure, [scores], _Work(what, site.plugins))
        network = Ref("networks", models[0].network)
        self._enter(run, attacker=attacker, attack=built.label, metrics=measured, records=scores, network=network)

    def _unsupported(self, site: _Site, attack: Attack) -> str | None:
        if attack.references == "in+out":
            return "it needs reference models trained with and without each record; protocol disjoint has none"
        if attack.references in ("out", "any") and self.experiment.protocol == "tune":
            return "it needs reference models trained without any record of the target; a trial's shadows share some"
        if not all(probe.root.whole_pool for probe in attack.probes()):
            if attack.references != "none":
                return "it compares with reference models through a probe that is not stored for the whole pool"
            if attack.population:
                return "it looks at other records through a probe that is not stored for the whole pool"
        return attack.unsupported(PROTOCOL, site.data, cast(Model, site.model.plugin))

    def _plan_accuracy(self, site: _Site, run: int, trained: _Trained) -> None:
        logits = self._plan_probe(site, trained, Logits())
        measure = MeasureSpec(
            version=metrics.VERSION,
            scores=None,
            logits=logits.key,
            members=trained.members,
            non_members=trained.non_members,
        )
        what = f"accuracy of {self.index.cells[-1].label} run {run}"
        measured = self._add(site, measure, [logits], _Work(what, site.plugins))
        self._enter(run, metrics=measured, records=measured, network=Ref("networks", trained.network))

    def _add(self, site: _Site, spec: _AfterTraining, needs: list[Ref], work: _Work) -> Ref:
        kind, gives = _KINDS[type(spec)]
        ref = Ref(gives, spec.key)
        self.jobs.setdefault(
            spec.key,
            Job(
                kind=kind,
                key=spec.key,
                label=f"{kind} {work.what}",
                dataset=site.choice,
                identity=site.data.identity,
                spec=spec,
                needs=tuple(needs),
                gives=(ref,),
                plugins=work.plugins,
                weight=work.weight,
            ),
        )
        return ref


_AfterTraining: TypeAlias = ObservationSpec | DerivedSpec | AttackSpec | MeasureSpec
_KINDS: Mapping[type[_AfterTraining], tuple[Literal["observe", "attack", "measure"], Artifact]] = {
    ObservationSpec: ("observe", "observations"),
    DerivedSpec: ("observe", "observations"),
    AttackSpec: ("attack", "scores"),
    MeasureSpec: ("measure", "metrics"),
}


class _Work(NamedTuple):
    """What a job does, in words; the plugin files whose code it runs; how much work it is."""

    what: str
    plugins: tuple[PluginFile, ...]
    weight: float = 100


@dataclass(frozen=True)
class _Wanted:
    """A network that is wanted: under which defense, on which records, after how many epochs (None: all)."""

    site: _Site
    built: _Built
    records: Split
    seed: int
    label: str
    schedule: Schedule
    epochs: int | None = None


def _united(*plugins: tuple[PluginFile, ...]) -> tuple[PluginFile, ...]:
    """All plugin files, each once, in their order."""
    return tuple(dict.fromkeys(itertools.chain(*plugins)))


def _oversights(built: _Built) -> Iterator[str]:
    """Probes of an attack that see more than its access allows."""
    attack = cast(Attack, built.plugin)
    levels = {"label": "label", "served": "black-box", "network": "white-box"}
    allowed = list(levels.values())
    for probe in attack.probes():
        if allowed.index(levels[probe.sees]) > allowed.index(attack.access):
            yield (
                f"attack {built.label}: its access is {attack.access!r}, but its probe {type(probe).__name__} sees the "
                f"{'network itself' if probe.sees == 'network' else 'served logits'}; "
                f"declare access = {levels[probe.sees]!r}"
            )


def _varying(choices: Sequence[Choice], choice: Choice) -> set[str]:
    """The parameters by which an experiment's settings of one plugin differ: set differently, or given as lists."""
    settings = [other.params for other in choices if other.name == choice.name]
    names = {name for params in settings for name in params}
    return {
        name
        for name in names
        if isinstance(choice.params.get(name), list)
        or any(params.get(name) != settings[0].get(name) for params in settings)
    }


def resolve_device(device: str) -> str:
    """`auto` is the accelerator if there is one; anything else must be there.

    Raises:
        UserError: a device that this machine does not have.
    """
    have = ["cpu"]
    if torch.cuda.is_available():
        have = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    elif torch.backends.mps.is_available():
        have = ["mps", "cpu"]
    if device == "auto":
        return have[0]
    if device not in have:
        raise UserError(f"device {device!r} is not on this machine; it has {', '.join(have)}")
    return device
