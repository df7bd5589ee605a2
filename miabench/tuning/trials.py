"""The trials of one search: which setting is tried next, and what became of the earlier ones (Optuna).

Only finished trials are stored, one line each in an Optuna journal (which Optuna's own tools read). What is tried next
depends on the seed and on them alone, so that a search that was killed, at any moment, goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from miabench.seeds import derive
from miabench.store.journals import JOURNAL, cut_unfinished, record
from miabench.tuning.space import Dimension

STARTUP = 8  # random trials before the sampler models the earlier ones
DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # test accuracy, attack AUC


@dataclass(frozen=True)
class Trial:
    """One setting and how it did.

    Attributes:
        values: what was chosen, by name.
        accuracy: mean test accuracy over the trial's models, a fraction; None where the trial failed.
        auc: mean over the trial's models of the largest AUC of any attack; None where the trial failed.
        trainings: how many it needed beyond those of earlier trials.
        networks: keys of the networks of those trainings.
        why: why it failed, or empty.
    """

    values: Mapping[str, float]
    accuracy: float | None
    auc: float | None
    trainings: int
    networks: Sequence[str]
    why: str = ""


class Trials:
    """The stored trials of one search; the caller holds the search's lock.

    Args:
        folder: of the search.
        space: what is chosen.
        seed: of the choices.
    """

    def __init__(self, folder: Path, space: Sequence[Dimension], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._journal = folder / JOURNAL
        cut_unfinished(self._journal)
        storage = JournalStorage(JournalFileBackend(str(self._journal), lock_obj=_NoLock()))  # type: ignore[arg-type]
        self._study = optuna.create_study(
            storage=storage, study_name=folder.name, directions=DIRECTIONS, load_if_exists=True
        )
        self._first = {item.name: item.first for item in space}
        self._distributions = {item.name: _distribution(item) for item in space}
        self._seed = seed

    def stored(self) -> list[Trial]:
        """The finished trials, in order."""
        return [_read(trial) for trial in self._study.get_trials(deepcopy=False)]

    def suggest(self) -> dict[str, float]:
        """What to try next: the defaults first, then random settings, then what Optuna's TPE makes of the earlier.

        The sampler lives for one suggestion, on a copy: its state is the stored trials and nothing else.
        """
        done = self._study.get_trials()
        if not done:
            return dict(self._first)
        seed = derive(self._seed, "tune", len(done)) % 2**32
        sampler = TPESampler(seed=seed, n_startup_trials=STARTUP)
        copy = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
        copy.add_trials(done)
        params = copy.ask(self._distributions).params
        return {name: _rounded(value, self._distributions[name]) for name, value in params.items()}

    def add(self, trial: Trial) -> None:
        """Store a finished trial."""
        failed = trial.accuracy is None or trial.auc is None
        self._study.add_trial(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                values=None if failed else [trial.accuracy, trial.auc],  # type: ignore[list-item]
                params=dict(trial.values),
                distributions=self._distributions,
                user_attrs={"trainings": trial.trainings, "networks": list(trial.networks), "why": trial.why},
            )
        )
        record(self._journal)


def _rounded(value: float, within: BaseDistribution) -> float:
    """Three digits of a number, as people write hyper-parameters; whole numbers as they are."""
    if not isinstance(within, FloatDistribution):
        return value
    return min(max(float(f"{value:.3g}"), within.low), within.high)


def _read(trial: FrozenTrial) -> Trial:
    accuracy, auc = trial.values if trial.state == TrialState.COMPLETE else (None, None)
    about: dict[str, Any] = trial.user_attrs
    return Trial(trial.params, accuracy, auc, about["trainings"], about["networks"], about["why"])


def _distribution(item: Dimension) -> BaseDistribution:
    if item.integer:
        return IntDistribution(int(item.low), int(item.high), log=item.log)
    return FloatDistribution(item.low, item.high, log=item.log)


class _NoLock:
    """The search's own lock is held, and ends with its process; Optuna's lock file would outlive a killed one."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None
