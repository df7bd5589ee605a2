"""How functions read their keywords: the experiment that they name, its plan, its stored results, who does the jobs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from miabench.api.options import ExperimentOptions, RunOptions, StoredOptions, fields, option
from miabench.errors import MissingStepError, UserError, harmless

if TYPE_CHECKING:
    from miabench.experiment.model import Experiment
    from miabench.jobs.plan import Paths, Plan
    from miabench.jobs.stages import ExecutorConfig
    from miabench.results.index import Entry
    from miabench.results.results import Results

Source: TypeAlias = "str | Path | Mapping[str, Any] | Experiment | None"
STORE = "miabench-store"


def resolved(source: Source, options: ExperimentOptions) -> Experiment:
    """The experiment that a function is called with.

    Raises:
        UserError: whatever is wrong with it.
    """
    from miabench.experiment.load import load_experiment
    from miabench.experiment.overrides import replaced_keys
    from miabench.experiment.scaling import scaled

    replaced = overrides(options)
    experiment = load_experiment(source, replaced)
    scale = options.get("scale")
    return experiment if scale is None else scaled(experiment, scale, keep=replaced_keys(replaced))


def overrides(options: ExperimentOptions) -> dict[str, Any]:
    """What replaces an experiment's keys, by the experiment's own words for them."""
    hints = fields(ExperimentOptions)
    spelled = {hint.__metadata__[0].word: name for name, hint in hints.items() if option(hint) is None}
    return {spelled.get(name, name): value for name, value in options.items() if name in hints and name != "scale"}


def planned(source: Source, options: RunOptions, say: bool) -> Plan:
    """The plan of an experiment.

    Args:
        source: the experiment.
        options: of the function.
        say: whether what the user should know before training is said on standard error.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data.
    """
    from miabench.experiment.check import check_names

    workers_in(options)
    experiment = resolved(source, options)
    check_names(experiment)
    from miabench.jobs.plan import make_plan  # imports torch

    plan = make_plan(experiment, paths(options), executor_config(options).devices())
    for warning in plan.index.warnings if say else ():
        sys.stderr.write(f"warning: {harmless(warning)}\n")
    return plan


def stored(source: Source, options: StoredOptions) -> Results:
    """What the store holds of an experiment.

    Raises:
        UserError: there is no such store, or it was never run there with these settings.
    """
    from miabench.experiment.check import check_names
    from miabench.results.find import find_index
    from miabench.store.store import Store

    experiment = resolved(source, options)
    try:
        store = Store(options.get("store", STORE), create=False)
        index = find_index(store, experiment, _entries)
    except MissingStepError:
        check_names(experiment)  # a name that nothing has is the better answer
        raise
    from miabench.results.results import Results  # imports pandas

    return Results(index, store)


def _entries(experiment: Experiment) -> Sequence[Entry]:
    """What an experiment's results are called."""
    from miabench.jobs.plan import Paths, make_plan  # imports torch

    with TemporaryDirectory() as elsewhere:  # looking writes nothing: lists of records that a plan makes go here
        return make_plan(experiment, Paths(Path(elsewhere))).index.entries


def paths(options: RunOptions) -> Paths:
    """Where results and data are."""
    from miabench.jobs.plan import Paths

    root = options.get("data_root")
    return Paths(Path(options.get("store", STORE)), None if root is None else Path(root))


def executor_config(options: RunOptions) -> ExecutorConfig:
    """Who does the jobs.

    Raises:
        UserError: a number of workers or jobs that is none; a timeout that cannot be kept; an address for nobody.
    """
    executor, workers, timeout = options.get("executor", "local"), workers_in(options), options.get("job_timeout")
    address, jobs_per_gpu = options.get("ray_address"), options.get("jobs_per_gpu", 1)
    if timeout is not None and not 0 < timeout < math.inf:
        raise UserError(f"--job-timeout {timeout}: give seconds above 0")
    if timeout is not None and executor == "inline":
        raise UserError("--job-timeout ends worker processes, and --executor inline has none: leave one of them away")
    if address is not None and executor != "ray":
        raise UserError("--ray-address is a cluster's: add --executor ray")
    if jobs_per_gpu < 1:
        raise UserError(f"--jobs-per-gpu {jobs_per_gpu}: give a number of 1 or more")
    from miabench.jobs.stages import ExecutorConfig

    return ExecutorConfig(executor, workers, timeout, address, jobs_per_gpu)


def workers_in(options: RunOptions) -> int | None:
    """How many workers are asked for; None for as many as there are cores.

    Raises:
        UserError: a number that is none.
    """
    workers = str(options.get("workers", "auto"))
    if workers != "auto" and not (workers.isdecimal() and int(workers)):
        raise UserError(f"--workers {workers!r}: give a number of 1 or more, or auto")
    return None if workers == "auto" else int(workers)
