"""Tuning: which records take part, what a trial costs, and that a search goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest

import miabench
from miabench.experiment import load_experiment
from miabench.plan import Places, make_plan
from miabench.splits import roles, split
from miabench.stages import Hands
from miabench.store import Store
from miabench.tuning import Settings, tune

pytest.importorskip("optuna")

INLINE = Hands("inline")


@pytest.fixture
def search(tmp_path, tiny):
    """Tune; gives the studies and what was told of new trials."""

    def search(budget, folder="store", runs=1, **changes):
        news = []
        settings = Settings(load_experiment(tiny(**changes)), budget, runs=runs)
        studies = tune(settings, Places(tmp_path / folder), INLINE, lambda *new: news.append(new))
        return studies, news

    return search


def problems(call, *args, **changes):
    with pytest.raises(miabench.UserError) as caught:
        call(*args, **changes)
    return "\n".join(caught.value.problems)


# --- records ---


def test_trials_cut_the_shadow_half_with_seeds_of_their_own():
    shadow_half = np.sort(np.concatenate([split(101, 3, "shadow-0").train, split(101, 3, "shadow-0").test]))
    for number, role in enumerate(roles(3)):
        cut = split(101, 3, role, "tune")
        again = split(101, 3, f"shadow-{1000 + number}")
        np.testing.assert_array_equal(np.sort(np.concatenate([cut.train, cut.test])), shadow_half)
        np.testing.assert_array_equal(cut.train, again.train)
        np.testing.assert_array_equal(cut.test, again.test)
        assert cut.seed == 3 + 1000 + number


def test_membership_of_one_cut_says_nothing_of_another():
    target, shadow = (split(40_000, 0, role, "tune") for role in ("target", "shadow-0"))
    assert np.isin(target.train, shadow.train).mean() == pytest.approx(0.5, abs=0.02)
    assert np.isin(target.test, shadow.train).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("shadow_defense", ["same", "both"])
def test_no_record_of_the_target_half_takes_part(tmp_path, tiny, shadow_defense):
    """Not in any part of any training, nor in what any attack sees, nor in what is measured."""
    changes = {"defense": ["advreg"], "attacker": {"shadow_defense": shadow_defense}, "protocol": "tune"}
    plan = make_plan(load_experiment(tiny(**changes)), Places(tmp_path / "store"))
    store = Store(tmp_path / "store")
    target = split(160, 0, "target")
    forbidden = {*target.train, *target.test}
    lists = []
    for job in plan.jobs.values():
        if job.kind == "train":
            lists += [part.ids for part in job.spec.parts.values()]
        elif job.kind == "attack":
            lists += [ids for view in (job.spec.target, *job.spec.shadows) for ids in (view.members, view.non_members)]
        elif job.kind == "measure":
            lists += [job.spec.members, job.spec.non_members]
    used = {row for ids in set(lists) for row in store.ids(ids)}
    assert len(used) == 80
    assert not used & forbidden


SECRETIVE = '''
"""The toy data set, its target half spoilt."""

import torch

from miabench import Data, Dataset
from miabench.splits import split


class Secretive(Dataset, frozen=True):
    """Four noisy prototypes."""

    spoilt: bool = False

    def load(self, root):
        random = torch.Generator().manual_seed(0)
        y = torch.arange(160) % 4
        x = torch.eye(4, 12)[y] * 2 + torch.randn(160, 12, generator=random)
        target = split(160, 0, "target")
        rows = torch.cat([torch.from_numpy(target.train), torch.from_numpy(target.test)])
        if self.spoilt:
            x[rows] = -9.0
            y[rows] = 3
        return Data(x, y, ("a", "b", "c", "d"))
'''


def test_the_outcome_is_the_same_whatever_the_target_half_holds(search, tmp_path):
    (tmp_path / "secretive.py").write_text(SECRETIVE)
    outcomes = []
    for spoilt in (False, True):
        changes = {"defense": ["relaxloss"], "dataset": {"name": "secretive", "spoilt": spoilt}}
        plugins = [str(tmp_path / "secretive.py"), str(Path(__file__).parents[1] / "plugins" / "margin.py")]
        ((study,), _) = (
            search(9, plugins=plugins, more_plugins=[], **changes)
            if False
            else _search(tmp_path, changes | {"plugins": plugins})
        )
        outcomes.append([(trial.values, trial.accuracy, trial.auc) for trial in study.trials])
    assert outcomes[0] == outcomes[1]
