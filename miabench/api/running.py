"""What trains and attacks: `train`, `attack`, `run`, `estimate` and `tune`.

Annotations are evaluated here, unlike elsewhere: the command line reads options from them.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Unpack

from miabench.api.experiments import Source, executor_config, paths, planned, resolved
from miabench.api.options import Option, RunOptions, spelled_out
from miabench.errors import harmless

if TYPE_CHECKING:
    import pandas as pd

    from miabench.jobs.estimate import DryRun
    from miabench.jobs.scheduler import Outcome
    from miabench.jobs.specs import Stage
    from miabench.results.results import Results
    from miabench.tuning.front import Tuning
    from miabench.tuning.trials import Trial


@spelled_out
def train(experiment: Source = None, *, progress: bool = False, **options: Unpack[RunOptions]) -> "Outcome":
    """Train the target and shadow models that are not in the store yet.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        progress: say on standard error how far it is, and what the user should know before.
        **options: see the signature.

    Returns:
        How many trainings were done and were stored, and why others failed.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data.
    """
    return perform(("train",), experiment, progress, **options)[1]


@spelled_out
def attack(experiment: Source = None, *, progress: bool = False, **options: Unpack[RunOptions]) -> "Outcome":
    """Attack the trained models and measure.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        progress: say on standard error how far it is, and what the user should know before.
        **options: see the signature.

    Returns:
        How many jobs were done and were stored, and why others failed.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data; models that are not trained.
    """
    return perform(("attack",), experiment, progress, **options)[1]


@spelled_out
def run(experiment: Source = None, *, progress: bool = False, **options: Unpack[RunOptions]) -> "pd.DataFrame":
    """Train and attack whatever the store does not have, and return the results.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        progress: say on standard error how far it is, and what the user should know before.
        **options: see the signature.

    Returns:
        The tidy table: a row per cell, run, attacker, attack and metric; values are fractions. A job that failed
        shows as missing values with the reason.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data.
    """
    return perform(("train", "attack"), experiment, progress, **options)[0].table


def perform(
    stages: "tuple[Stage, ...]", experiment: Source = None, progress: bool = False, **options: Unpack[RunOptions]
) -> "tuple[Results, Outcome]":
    """Do the stages of an experiment.

    Returns:
        What the store then holds of the experiment, and how the jobs ended.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data; attacking what is not trained.
    """
    plan = planned(experiment, options, say=progress)
    from miabench.jobs.progress import Display
    from miabench.jobs.stages import run_stages
    from miabench.jobs.weights import retrained
    from miabench.results.results import Results

    executor = executor_config(options)
    if progress:
        if again := len(retrained(plan)):
            sys.stderr.write(f"warning: {again} trainings are done again, as their weights were removed\n")
        with Display(plan.missing(*stages)) as display:
            outcome = run_stages(plan, stages, executor, display)
        sys.stderr.write(f"{outcome}\n")
    else:
        outcome = run_stages(plan, stages, executor, lambda event: None)
    return Results(plan.index, plan.store), outcome


@spelled_out
def estimate(experiment: Source = None, **options: Unpack[RunOptions]) -> "DryRun":
    """What `run` would train, and how long that takes: measured on a few batches, which are dropped.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        **options: see the signature.

    Returns:
        Trainings, epochs, records, seconds and bytes that are left to do; printed, it is what `--dry-run` says.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data.
    """
    plan = planned(experiment, options, say=False)
    from miabench.jobs.estimate import estimate as estimate_of

    return estimate_of(plan, executor_config(options).slots(plan.context))


@spelled_out
def tune(
    experiment: Source = None,
    *,
    budget: Annotated[int, Option("trainings for each defense", "N", int)],
    trial_models: Annotated[int, Option("of a trial, each the target once: even, 6 or more", "N", int)] = 6,
    progress: bool = False,
    **options: Unpack[RunOptions],
) -> "Tuning":
    """Search hyper-parameters on the shadow half alone. Needs the extra `tune`.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        budget: trainings for each defense.
        trial_models: of a trial, each the target once: even, 6 or more.
        progress: say on standard error how each trial ended.
        **options: see the signature.

    Returns:
        The Pareto fronts of all defenses; printed, they are one experiment file, to be run.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data; a budget below one trial's cost;
            an odd number of models, or too few; more than one dataset or model; Optuna is not installed.
    """
    from miabench.experiment.check import check_names

    wanted = resolved(experiment, options)
    check_names(wanted)
    from miabench.tuning.front import Tuning
    from miabench.tuning.search import TuneConfig
    from miabench.tuning.search import tune as search

    config = TuneConfig(wanted, budget, trial_models)
    heard = _say_trial if progress else lambda defense, number, trial: None
    return Tuning(config.experiment, search(config, paths(options), executor_config(options), heard))


def _say_trial(defense: str, number: int, trial: "Trial") -> None:
    result = trial.why or f"test accuracy {trial.accuracy:.3f}, AUC {trial.auc:.3f}"
    sys.stderr.write(f"{defense}, trial {number}: {dict(trial.values)}: {harmless(result)}\n")
