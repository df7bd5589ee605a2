"""From an experiment to a graph of jobs. Nothing is trained here.

The passes: configure (plugins), cells (what can be trained), then the graph: trainings, observations, attacks, metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from miabench.experiment.cell_names import cell_label
from miabench.experiment.model import Experiment
from miabench.experiment.remarks import remarks
from miabench.jobs.cells import plan_cells
from miabench.jobs.configured import ConfiguredPlugin, configure
from miabench.jobs.graph import Graph
from miabench.jobs.plan_attacks import plan_cell
from miabench.jobs.specs import STAGES, Context, Job, Stage
from miabench.jobs.todo import todo
from miabench.plugins.attack import Attack
from miabench.plugins.plugin_files import plugin_files_blamed
from miabench.plugins.process_state import isolated
from miabench.results.index import AttackInfo, Index
from miabench.results.job_list import JobList, ListedJob
from miabench.store.folder import data_folder
from miabench.store.store import Store


@dataclass(frozen=True)
class Paths:
    """Where results, data and plugin files are."""

    store: Path = Path("miabench-store")
    data_root: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What an experiment needs.

    Attributes:
        index: the results to be.
        context: where jobs find things.
        jobs: by key, each after all that it needs.
        store: where results go.
    """

    index: Index
    context: Context
    jobs: dict[str, Job]
    store: Store

    def stage(self, *stages: Stage) -> dict[str, Job]:
        """The jobs that belong to some stages (where none is named, to any), by key."""
        return {key: job for key, job in self.jobs.items() if job.stage in (stages or STAGES)}

    @property
    def trainings(self) -> list[Job]:
        """All trainings, those of the attackers' copies too."""
        return [job for job in self.jobs.values() if job.kind == "train"]

    @property
    def listed(self) -> JobList:
        """All jobs, as `miabench status` needs to know them."""
        listed = [
            ListedJob(
                kind=job.kind,
                key=job.key,
                label=job.label,
                gives=job.gives,
                weight=job.weight,
                epochs=job.snapshots[-1] if job.snapshots else 0,
            )
            for job in self.jobs.values()
        ]
        return JobList(plugins=self.context.plugins, jobs=tuple(listed))

    def missing(self, *stages: Stage) -> dict[str, Job]:
        """Those of them that are to be done: trainings too whose weights were removed and are needed in any stage."""
        found = todo(self.jobs, self.store)
        return {key: job for key, job in self.stage(*stages).items() if key in found}


def make_plan(experiment: Experiment, paths: Paths = Paths(), devices: Sequence[str] | None = None) -> Plan:
    """Plan an experiment. Loads its datasets, trains nothing.

    Args:
        experiment: which.
        paths: of results and data.
        devices: what there is where its jobs run; None: what this machine has.

    Raises:
        UserError: whatever is wrong with names, parameters, files or data; all problems that can be found at once.
    """
    with plugin_files_blamed(), isolated("planning", experiment.seed):
        configured = configure(experiment, devices)
        root, store = data_folder(paths.data_root), Store(paths.store)
        planned = plan_cells(configured, root)
        graph = Graph(configured, store)
        entries = [entry for cell in planned.cells for entry in plan_cell(graph, cell)]
    index = Index(
        experiment=experiment,
        attacks=[_about(attack) for attack in configured.attacks],
        cells=[item.cell for item in planned.cells],
        entries=entries,
        notes=[*remarks(experiment), *planned.notes, *_settings(configured.attacks)],
        warnings=planned.warnings,
    )
    context = Context(
        store=str(store.folder),
        data_root=str(root),
        plugins=configured.plugins.files,
        device=configured.device,
        checkpoint_seconds=60.0,
        threads=experiment.threads,
    )
    return Plan(index, context, graph.jobs, store)


def _settings(attacks: Sequence[ConfiguredPlugin[Attack]]) -> Iterator[str]:
    """What differs from the defaults of attacks that are called by their names."""
    for attack in attacks:
        if attack.alone and attack.non_default:
            yield f"attack {cell_label(f'{attack.label}:', attack.non_default)}"


def _about(attack: ConfiguredPlugin[Attack]) -> AttackInfo:
    plugin = attack.plugin
    return AttackInfo(label=attack.label, access=plugin.access, params=plugin.model_dump(mode="json"))
