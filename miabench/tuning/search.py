"""`miabench tune`: choosing hyper-parameters on the shadow half alone, under a budget of trainings.

A trial is a small pool of models under one setting of a defense on the shadow half (protocol `tune` of
`miabench.data.protocols`), attacked like any experiment: test accuracy should be high, the strongest attack's AUC low.
Models are each other's references, so that no setting is chosen for fooling attacks without any. No record of the
target half, member or not, takes part. All of the shadow half is in pairs: a model then trains on as many records as a
target of protocol disjoint, and attacks that need records in no pair are "n/a".

Every defense of an experiment gets the same budget: as many trainings, counted as they would be run with an empty store
(one that several trials share counts once; one that must run again for another of its epochs counts again), whatever
they cost and whatever the store holds. What is searched are the ranges that a defense declares (`Defense.tune`) and the
experiment does not set; a defense with none, such as CE, spends its budget on the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel

from miabench.errors import UserError
from miabench.experiment.grid import expand
from miabench.experiment.model import DefenseChoice, Experiment
from miabench.jobs.executors.base import Executor
from miabench.jobs.plan import Paths, Plan, make_plan
from miabench.jobs.scheduler import run_jobs
from miabench.jobs.specs import Job
from miabench.jobs.stages import ExecutorConfig
from miabench.jobs.tidying import tidy
from miabench.plugins.discover import discover
from miabench.results.results import Results
from miabench.store.store import Store, digest
from miabench.training.schedule import Schedule
from miabench.tuning.space import search_space, with_values

if TYPE_CHECKING:
    from miabench.tuning.trials import Trial, Trials

VERSION = 3  # raise it when the same trials would lead to other suggestions or objectives
FEWEST_MODELS = 6  # as of any pool
SHADOWS = FEWEST_MODELS - 2  # on which a trial's attacks learn
SEVERAL = "has several values: give one to keep it, or none to tune it"
IDLE = 20  # this many trials in a row that train nothing new end a search: its settings repeat, or are refused


@dataclass(frozen=True)
class TuneConfig:
    """What to tune, and how much it may cost.

    Attributes:
        experiment: one dataset, one model; each of its defenses is tuned. What it sets for a defense is kept.
        budget: trainings for each defense.
        models: of every trial; each is the target once, and the objectives are their means.
    """

    experiment: Experiment
    budget: int
    models: int = FEWEST_MODELS


@dataclass(frozen=True)
class Study:
    """The search over one defense's settings.

    Attributes:
        experiment: what was tuned, with this defense alone.
        key: address of the search, which has all that decides its trials, in the store's folder `tuning`.
        trials: in order.
        budget: trainings allowed.
        reason: why the defense cannot be tuned here ("n/a"), or None.
    """

    experiment: Experiment
    key: str
    trials: tuple[Trial, ...]
    budget: int
    reason: str | None = None

    @property
    def defense(self) -> str:
        """Name of the defense."""
        return self.experiment.defense[0].name

    @property
    def trainings(self) -> int:
        """How many the trials needed."""
        return sum(trial.trainings for trial in self.trials)


def tune(
    settings: TuneConfig,
    paths: Paths = Paths(),
    executor: ExecutorConfig = ExecutorConfig(),
    on_trial: Callable[[str, int, Trial], None] = lambda defense, number, trial: None,
) -> list[Study]:
    """Search settings of every defense of an experiment, each under the same budget.

    Trials are stored: the same call again costs nothing, a killed one goes on, a larger budget adds trials.

    Args:
        settings: what to tune.
        paths: where results and data are.
        executor: who does the jobs of a trial.
        on_trial: hears of every new trial: the defense, the trial's number from 0, the trial.

    Raises:
        UserError: whatever is wrong with the experiment; more than one dataset or model; a list of values for a
            hyper-parameter; an odd number of models, or too few; a budget below one trial's cost; no attack that can
            be run; Optuna is not installed.
    """
    _check(settings)
    return [
        _Search(settings, choice, paths, executor).study(lambda *news, name=choice.name: on_trial(name, *news))
        for choice in settings.experiment.defense
    ]


def _check(settings: TuneConfig) -> None:
    experiment = settings.experiment
    problems = [
        f"tuning takes one {kind}; the experiment has {len(choices)}: choose with --{kind}"
        for kind, choices in (("dataset", experiment.dataset), ("model", experiment.model))
        if len(choices) != 1
    ]
    if settings.models % 2 or settings.models < FEWEST_MODELS:
        problems.append(f"models = {settings.models}: a trial takes an even number, {FEWEST_MODELS} or more")
    plugins = discover(experiment.plugins)
    for choice in experiment.defense:
        defense = plugins.get("defense", choice.name).load()
        problems += [f"defense {choice.name}: {name} {SEVERAL}" for name in _several(defense, choice.params)]
        problems += [
            f"defense {choice.name}: schedule.{name} {SEVERAL}" for name in _several(Schedule, choice.schedule)
        ]
    if problems:
        raise UserError(*problems)


def _several(form: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """The keys that have a list where one value is expected."""
    return [name for name, value in given.items() if len(list(expand(form, {name: value}))) > 1]


class _Search:
    """One defense's search: plans, runs and judges trials."""

    def __init__(self, settings: TuneConfig, choice: DefenseChoice, paths: Paths, executor: ExecutorConfig) -> None:
        own = {"defense": [choice], "tuned": {}}
        self.settings = replace(settings, experiment=settings.experiment.model_copy(update=own))
        self.paths, self.executor = paths, executor
        self.store = Store(paths.store)
        found = discover(settings.experiment.plugins).get("defense", choice.name)
        schedule = settings.experiment.schedule.replaced(choice.schedule)
        self.space = search_space(found.load(), choice, schedule)

    def study(self, on_trial: Callable[[int, Trial], None]) -> Study:
        """All trials, stored and new."""
        first = self._plan({item.name: item.first for item in self.space})
        (cell,) = first.index.cells
        key = self._key(first)
        study = Study(self.settings.experiment, key, (), self.settings.budget, cell.reason)
        if cell.reason:
            return study
        self._check(first)
        executor = self.executor.make(first.context, lambda event: None)
        with self.store.lock(f"tune-{key}"), closing(executor):
            trials = self._open(key)
            while trial := self._next(trials, executor):
                trials.add(trial)
                on_trial(len(trials.stored()) - 1, trial)
            return replace(study, trials=tuple(trials.stored()))

    def _plan(self, values: dict[str, float]) -> Plan:
        experiment = self.settings.experiment
        (choice,) = experiment.defense
        trial = {"protocol": "tune", "models": self.settings.models, "shadows": SHADOWS, "population": 0.0}
        setting = {"defense": [with_values(choice, values)]}
        return make_plan(experiment.model_copy(update=trial | setting), self.paths, self.executor.devices())

    def _key(self, first: Plan) -> str:
        """The first trial's jobs hold all that decides a trial but the values chosen."""
        space = [asdict(item) for item in self.space]
        seed = self.settings.experiment.seed
        return digest({"version": VERSION, "jobs": sorted(first.jobs), "space": space, "seed": seed})

    def _check(self, first: Plan) -> None:
        attacks = [entry for entry in first.index.entries if entry.attack]
        if all(entry.reason for entry in attacks):
            reasons = sorted({f"{entry.attack}: {entry.reason}" for entry in attacks})
            raise UserError(f"tuning needs an attack that can be run here; {'; '.join(reasons)}")
        cost = len(_trainings(first, set()))
        if cost > self.settings.budget:
            raise UserError(
                f"a budget of {self.settings.budget} trainings is below what one trial of "
                f"{self.settings.experiment.defense[0].name} needs: {cost}"
            )

    def _open(self, key: str) -> Trials:
        try:
            from miabench.tuning.trials import Trials
        except ImportError as error:
            raise UserError(f"tuning needs Optuna ({error}); install it with: pip install 'miabench[tune]'") from None
        return Trials(self.store.room("tuning", key), self.space, self.settings.experiment.seed)

    def _next(self, trials: Trials, executor: Executor) -> Trial | None:
        """The next trial, done; None once the budget is spent."""
        from miabench.tuning.trials import Trial

        done = trials.stored()
        if len(done) >= IDLE and not any(trial.trainings for trial in done[-IDLE:]):
            return None
        values = trials.suggest()
        try:
            plan = self._plan(values)
        except UserError as error:  # a setting that this data or schedule refuses
            return Trial(values, None, None, 0, (), str(error))
        jobs = _trainings(plan, {network for trial in done for network in trial.networks})
        if sum(trial.trainings for trial in done) + len(jobs) > self.settings.budget:
            return None
        accuracy, auc, why = self._judge(plan, executor)
        return Trial(values, accuracy, auc, len(jobs), [ref.key for job in jobs for ref in job.gives], why)

    def _judge(self, plan: Plan, executor: Executor) -> tuple[float | None, float | None, str]:
        """Test accuracy and attack AUC of a trial, or why there are none."""
        if reason := plan.index.cells[0].reason:
            return None, None, reason
        outcome = run_jobs(plan.missing(), lambda: _Lent(executor), self.store, lambda event: None)
        tidy(self.store, plan.jobs.keys() - plan.missing().keys())
        if outcome.failed:
            return None, None, next(iter(outcome.failed.values()))
        return *objectives(Results(plan.index, self.store).table), ""


class _Lent:
    """An executor that outlives a trial: its workers, and the data they hold, serve the next one."""

    def __init__(self, executor: Executor) -> None:
        self.slots = executor.slots
        self.waiting, self.start, self.wait = executor.waiting, executor.start, executor.wait
        self.fits, self.interrupted = executor.fits, executor.interrupted

    def close(self) -> None:
        """Left to its owner; after `run_jobs` has returned nothing is running."""


def _trainings(plan: Plan, networks: set[str]) -> Sequence[Job]:
    """The plan's trainings that give a network not among the given ones."""
    return [job for job in plan.jobs.values() if job.kind == "train" and {ref.key for ref in job.gives} - networks]


def objectives(table: pd.DataFrame) -> tuple[float, float]:
    """Mean over the models of test accuracy, and of the largest AUC of any attack; both fractions.

    Args:
        table: of one cell, as `Results.table`; attacks that are "n/a" have no value and are passed over.
    """
    accuracy = table[table.metric == "test_accuracy"].value.astype(float).mean()
    aucs = table[table.metric == "auc"].astype({"value": float})
    return float(accuracy), float(aucs.groupby("run").value.max().mean())
