"""Tuning: which records take part, what a trial costs, and that a search goes on where it stopped."""

import json
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
import pytest

import miabench
from miabench.data.protocols import Pool
from miabench.data.splits import halves, split
from miabench.experiment.load import load_experiment
from miabench.experiment.model import DefenseChoice, Experiment
from miabench.experiment.remarks import remarks
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig
from miabench.plugins.discover import discover
from miabench.store.store import Store
from miabench.training.schedule import Schedule
from miabench.tuning.space import Dimension, search_space, with_values

pytest.importorskip("optuna")

from miabench.tuning.front import best_points, front_text
from miabench.tuning.search import IDLE, Study, TuneConfig, objectives, tune
from miabench.tuning.trials import STARTUP, Trial, Trials

INLINE = ExecutorConfig("inline")


@pytest.fixture
def search(tmp_path, tiny):
    """Tune; gives the studies and what was told of new trials."""

    def search(budget, experiment=None, folder="store", models=6, **changes):
        news = []
        settings = TuneConfig(load_experiment(experiment or tiny(**changes)), budget, models)
        studies = tune(settings, Paths(tmp_path / folder), INLINE, lambda *new: news.append(new))
        return studies, news

    return search


@pytest.fixture
def with_file(tmp_path, tiny):
    """The tiny experiment with a plugin file of its own."""

    def make(name, source, **changes):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        experiment = tiny(**changes)
        return experiment | {"plugins": [*experiment["plugins"], str(path)]}

    return make


def message(call, *args, **changes):
    with pytest.raises(miabench.UserError) as caught:
        call(*args, **changes)
    return "\n".join(caught.value.problems)


def figures(study):
    return [(dict(trial.values), trial.accuracy, trial.auc, trial.trainings) for trial in study.trials]


def networks(folder):
    return {path.name for path in (folder / "networks").iterdir()}


# --- which records take part ---


def trial_of(experiment, folder):
    """A trial as tuning plans it, without what tuning chooses."""
    trial = {"protocol": "tune", "models": 6, "shadows": 4, "population": 0.0}
    return make_plan(load_experiment(experiment).model_copy(update=trial), Paths(folder))


def under(protocol, experiment):
    """The experiment under a protocol; a pool has six models and no runs."""
    if protocol == "disjoint":
        return experiment
    kept = {key: value for key, value in experiment.items() if key != "runs"}
    return kept | {"protocol": "pool", "models": 6, "shadows": 4, "population": 0.0}


def views_of(plan):
    specs = [job.spec for job in plan.jobs.values() if job.kind == "attack"]
    return [view for spec in specs for view in (spec.target, *spec.shadows, *spec.others)]


def test_a_trial_is_a_pool_on_the_shadow_half():
    half = np.sort(halves(101, 3)[1])
    trial = Pool(half, 3, models=6, shadows=4, population=0, name="tune")
    assert [target.role for target in trial.targets()] == [f"model-{m}" for m in range(6)]
    for pair in range(3):
        one, other = (trial.split(f"model-{2 * pair + i}") for i in (0, 1))
        np.testing.assert_array_equal(one.train, other.test)
        np.testing.assert_array_equal(one.test, other.train)
        np.testing.assert_array_equal(np.sort(np.concatenate([one.train, one.test])), half)


def test_membership_in_one_pair_says_nothing_of_another():
    trial = Pool(halves(40_000, 0)[1], 0, models=6, shadows=4, population=0, name="tune")
    one, other = trial.split("model-0"), trial.split("model-2")
    assert np.isin(one.train, other.train).mean() == pytest.approx(0.5, abs=0.02)
    assert np.isin(one.test, other.train).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
@pytest.mark.parametrize("shadow_defense", ["same", "both"])
def test_no_record_of_the_target_half_takes_part(search, tmp_path, tiny, monkeypatch, shadow_defense, protocol):
    """Not in any part of a training, nor in what an attack sees, nor in what is measured."""
    plans = []
    monkeypatch.setattr("miabench.tuning.search.make_plan", lambda *given: plans.append(make_plan(*given)) or plans[-1])
    monkeypatch.setattr("miabench.tuning.search._Search._next", lambda *given: None)
    experiment = tiny(attacks=["rmia", "margin"], defense=["advreg"], attacker={"shadow_defense": shadow_defense})
    search(30, under(protocol, experiment))
    (plan,) = plans
    store = Store(tmp_path / "store")
    views = views_of(plan)
    lists = {ids for view in views for ids in (view.members, view.non_members, view.withheld, view.population)} - {None}
    for job in plan.jobs.values():
        if job.kind == "train":
            lists |= {part.ids for part in job.spec.parts.values()}
        elif job.kind == "measure":
            lists |= {job.spec.members, job.spec.non_members}
    used = {row for ids in lists for row in store.ids(ids)}
    target = split(160, 0, "target")
    assert len(used) == 80
    assert not used & {*target.train, *target.test}


def test_references_of_a_trial_are_of_other_pairs(tmp_path, tiny):
    """Of the target's pair they would tell its members: they are the records that the pair's other model lacks."""
    plan = trial_of(tiny(attacks=["rmia"]), tmp_path / "store")
    specs = [job.spec for job in plan.jobs.values() if job.kind == "attack"]
    assert sorted(spec.target.pair for spec in specs) == [0, 0, 1, 1, 2, 2]
    half = np.sort(halves(160, 0)[1])
    for spec in specs:
        for model, of_each_kind in ((spec.target, 2), *((shadow, 1) for shadow in spec.shadows)):
            references = spec.references(model)
            assert not {spec.target.pair, model.pair} & {view.pair for view in references}
            members = np.array([np.isin(half, plan.store.ids(view.members)) for view in references])
            assert set(members.sum(axis=0)) == {of_each_kind}, "IN references of a record, whatever its membership"
            assert len(references) == 2 * of_each_kind


HALF_SPOILT = '''
"""The toy data set; what its target half holds can be changed."""

import torch

from miabench import Data, Dataset
from miabench.data.splits import split


class HalfSpoilt(Dataset, frozen=True):
    """Four noisy prototypes."""

    spoilt: bool = False

    def load(self, root):
        random = torch.Generator().manual_seed(0)
        y = torch.arange(160) % 4
        x = torch.eye(4, 12)[y] * 2 + torch.randn(160, 12, generator=random)
        target = split(160, 0, "target")
        if self.spoilt:
            for rows in (target.train, target.test):
                x[rows], y[rows] = -9.0, 3
        return Data(x, y, ("a", "b", "c", "d"))
'''


def test_the_outcome_is_the_same_whatever_the_target_half_holds(search, with_file):
    outcomes = []
    for spoilt in (False, True):
        dataset = {"name": "half-spoilt", "spoilt": spoilt}
        experiment = with_file("half_spoilt", HALF_SPOILT, dataset=dataset, defense=["relaxloss"])
        (study,), _ = search(12, experiment, folder=f"store {spoilt}")
        outcomes.append(figures(study))
    assert len(outcomes[0]) == 2
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_a_trial_shares_no_training_with_the_experiment(tmp_path, tiny, protocol):
    """Nor its random streams: under the same records it would start from other weights."""
    experiment = under(protocol, tiny())
    plans = [
        make_plan(load_experiment(experiment), Paths(tmp_path / "store")),
        trial_of(experiment, tmp_path / "store"),
    ]
    real, trial = ({job.key: job for job in plan.jobs.values() if job.kind == "train"} for plan in plans)
    assert (len(real), len(trial)) == (3 if protocol == "disjoint" else 6, 6)
    assert not real.keys() & trial.keys()
    assert not {job.spec.seed for job in real.values()} & {job.spec.seed for job in trial.values()}


def test_coins_of_a_trial_are_its_own():
    """On the same records its pairs would be others than the experiment's."""
    rows = np.arange(400)
    for role in ("model-0", "model-5"):
        final, trial = (Pool(rows, 0, 6, 4, 0, name).split(role) for name in ("pool", "tune"))
        assert np.isin(trial.train, final.train).mean() == pytest.approx(0.5, abs=0.1)
        assert trial.seed != final.seed


def test_reference_attacks_run_in_trials(search):
    """A setting is judged by the strongest attack, so the one with references counts."""
    (weak,), _ = search(6, attacks=["margin"])
    (both,), _ = search(6, attacks=["margin", "lira"])
    (alone,), _ = search(6, attacks=["lira"])
    assert both.trials[0].auc >= max(weak.trials[0].auc, alone.trials[0].auc)
    assert both.trials[0].auc > weak.trials[0].auc


def test_attacks_that_need_records_in_no_pair_are_na(search):
    text = message(search, 18, attacks=["attack-p"])
    assert text.startswith(
        "tuning needs an attack that can be run here; attack-p: it compares with records known to be"
    )
    (with_na,), _ = search(6, attacks=["attack-p", "margin"])
    (without,), _ = search(6, attacks=["margin"])
    assert figures(with_na) == figures(without)


# --- what is searched ---


class Ranged(miabench.Defense, frozen=True):
    tune: ClassVar = {
        "rate": miabench.Range(0.1, 4, log=True),
        "steps": miabench.Range(1, "epochs"),
        "needed": miabench.Range(2, 3),
        "derived": miabench.Range(0.5, 8, log=True),
    }
    rate: float = 0.01
    steps: int = 10
    needed: float
    derived: float | None = None


def test_ranges_are_as_declared_and_start_at_the_defaults():
    space = search_space(Ranged, DefenseChoice(name="ranged"), Schedule(epochs=6))
    assert space == (
        Dimension("rate", 0.1, 4, log=True, integer=False, first=0.1),
        Dimension("steps", 1, 6, log=False, integer=True, first=6),
        Dimension("needed", 2, 3, log=False, integer=False, first=2.5),
        Dimension("derived", 0.5, 8, log=True, integer=False, first=2),
    )


class Patient(miabench.Defense, frozen=True):
    tune: ClassVar = {"patience": miabench.Range(1, 9), "start": miabench.Range(0, "epochs")}
    patience: Annotated[int | None, miabench.EPOCHS] = 3
    start: miabench.Epochs = 2


def test_what_counts_epochs_is_a_whole_number():
    """Also where it may be None."""
    space = search_space(Patient, DefenseChoice(name="patient"), Schedule(epochs=6))
    assert space == (
        Dimension("patience", 1, 9, log=False, integer=True, first=3),
        Dimension("start", 0, 6, log=False, integer=True, first=2),
    )


def test_what_the_experiment_sets_is_kept():
    choice = DefenseChoice.model_validate({"name": "ranged", "rate": 0.5, "needed": 2.5, "derived": 1.0})
    assert [item.name for item in search_space(Ranged, choice, Schedule())] == ["steps"]


def test_without_ranges_the_learning_rate_is_searched():
    ce = discover().get("defense", "ce").load()
    space = search_space(ce, DefenseChoice(name="ce"), Schedule(lr=0.05))
    assert space == (Dimension("schedule.lr", 0.005, 0.5, log=True, integer=False, first=0.05),)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("dp-sgd", {}, ["noise_multiplier", "max_grad_norm"]),
        ("dp-sgd", {"target_epsilon": 4.0}, ["max_grad_norm"]),
        ("early-stopping", {"patience": 3}, ["schedule.lr"]),
    ],
)
def test_what_takes_a_parameters_place_leaves_it_alone(name, params, expected):
    choice = DefenseChoice.model_validate({"name": name, **params})
    space = search_space(type(miabench.create_defense(name)), choice, Schedule())
    assert [item.name for item in space] == expected


@pytest.mark.parametrize("schedule", [{"lr": 0.1}, {"milestones": {"5": 0.01}}])
def test_a_learning_rate_that_is_set_is_kept(schedule):
    ce = type(miabench.create_defense("ce"))
    assert search_space(ce, DefenseChoice(name="ce", schedule=schedule), Schedule()) == ()


def test_values_join_what_the_experiment_sets():
    choice = DefenseChoice.model_validate({"name": "crl", "alpha_rce": 0.5, "schedule": {"epochs": 7}})
    chosen = with_values(choice, {"tau_rce": 0.2, "schedule.lr": 0.3})
    assert chosen.params == {"alpha_rce": 0.5, "tau_rce": 0.2}
    assert chosen.schedule == {"epochs": 7, "lr": 0.3}


def test_a_range_for_no_hyper_parameter():
    class Misspelt(miabench.Defense, frozen=True):
        tune: ClassVar = {"alfa": miabench.Range(0, 1)}
        alpha: float = 0.5

    text = message(search_space, Misspelt, DefenseChoice(name="misspelt"), Schedule())
    assert text.startswith("defense misspelt declares a range for 'alfa', which it does not have; did you mean 'alpha'")


@pytest.mark.parametrize("name", [found.name for found in discover().all("defense")])
def test_every_defense_accepts_the_ends_of_its_ranges_and_starts_within(name):
    found = discover().get("defense", name)
    declared = found.load().tune
    for item in search_space(found.load(), DefenseChoice(name=name), Schedule(epochs=50)):
        assert item.low < item.high
        assert item.low <= item.first <= item.high
        assert item.low > 0 or not item.log
        if item.name in declared:
            default = found.load().model_fields[item.name].default
            assert default is None or item.first == default
            for value in (item.low, item.first, item.high):
                assert getattr(found.build({item.name: value}), item.name) == value


# --- the budget ---


def test_the_budget_is_never_exceeded_and_all_defenses_get_the_same(search, tmp_path):
    studies, news = search(14, defense=["ce", "crl"])
    assert [study.defense for study in studies] == ["ce", "crl"]
    assert [len(study.trials) for study in studies] == [2, 2]
    assert [study.trainings for study in studies] == [12, 12]
    assert len(networks(tmp_path / "store")) == 24
    assert [(defense, number) for defense, number, _ in news] == [("ce", 0), ("ce", 1), ("crl", 0), ("crl", 1)]
    assert studies[0].trials[0].values == {"schedule.lr": 0.05}


def test_trainings_shared_by_trials_count_once(search, tmp_path):
    """DMP at one reference fraction: all temperatures distil the same six teachers."""
    held = {"name": "dmp", "reference_fraction": 0.5, "select_fraction": 0.5}
    (study,), _ = search(24, defense=[held])
    assert [trial.trainings for trial in study.trials] == [12, 6, 6]
    assert len(networks(tmp_path / "store")) == 24


def test_trainings_in_the_store_are_counted_all_the_same(search):
    search(12, defense=["relaxloss"])
    (study,), _ = search(12, defense=["relaxloss"], attacks=["entropy"])
    assert [trial.trainings for trial in study.trials] == [6, 6]


def test_a_training_that_runs_again_for_another_epoch_counts_again(search):
    """Three stop epochs, each CE up to there and the cell's own; then settings repeat, and the search ends."""
    (study,), _ = search(200, defense=["early-stopping"])
    costs = [trial.trainings for trial in study.trials]
    assert sorted(costs, reverse=True)[:4] == [12, 12, 12, 0]
    assert study.trainings == 36
    assert costs[-IDLE:] == [0] * IDLE
    assert costs[-IDLE - 1] == 12
    outcomes = {trial.values["stop_epoch"]: (trial.accuracy, trial.auc) for trial in study.trials}
    assert set(outcomes) == {1, 2, 3}
    assert all(outcomes[trial.values["stop_epoch"]] == (trial.accuracy, trial.auc) for trial in study.trials)


def test_too_small_a_budget(search):
    assert message(search, 5) == "a budget of 5 trainings is below what one trial of ce needs: 6"
    assert message(search, 7, models=8) == "a budget of 7 trainings is below what one trial of ce needs: 8"


@pytest.mark.parametrize("models", [4, 7])
def test_too_few_models_or_an_odd_number(search, models):
    assert message(search, 90, models=models) == f"models = {models}: a trial takes an even number, 6 or more"


# --- going on ---


def test_a_larger_budget_goes_on_and_the_same_costs_nothing(search):
    (whole,), _ = search(6 * (STARTUP + 2), folder="one", defense=["crl"])
    (part,), _ = search(18, defense=["crl"])
    assert figures(part) == figures(whole)[:3]
    (rest,), news = search(6 * (STARTUP + 2), defense=["crl"])
    assert figures(rest) == figures(whole)
    assert [number for _, number, _ in news] == list(range(3, STARTUP + 2))
    assert len({trial.values["alpha_rce"] for trial in rest.trials}) == STARTUP + 2
    (again,), news = search(6 * (STARTUP + 2), defense=["crl"])
    assert (figures(again), news) == (figures(whole), [])


def test_anything_that_decides_a_trial_makes_another_search(search, tiny):
    (first,), _ = search(6, defense=["relaxloss"])
    keys = {first.key}
    for changes in (
        {"seed": 1},
        {"attacks": ["entropy"]},
        {"defense": [{"name": "relaxloss", "upper": 0.9}]},
        {"dataset": {"name": "toy", "seed": 1}},
    ):
        (study,), _ = search(6, **({"defense": ["relaxloss"]} | changes))
        keys.add(study.key)
    assert len(keys) == 5
    (renamed,), news = search(6, defense=["relaxloss"], name="other", runs=3)
    assert (renamed.key, news) == (first.key, [])


KILLED = """
import json, os, signal, sys, threading
from pathlib import Path
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths
from miabench.jobs.stages import ExecutorConfig
from miabench.tuning.search import TuneConfig, tune

def told(defense, number, trial):
    if number == 1:
        threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGKILL)).start()

tune(TuneConfig(load_experiment(json.loads(sys.argv[1])), 24), Paths(Path(sys.argv[2])), ExecutorConfig("inline"), told)
"""


def test_killed_in_the_middle_it_goes_on_as_if_it_had_not_been(search, tiny, tmp_path):
    command = [sys.executable, "-P", "-c", KILLED, json.dumps(tiny(defense=["crl"])), str(tmp_path / "store")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (killed,), news = search(24, defense=["crl"])
    (whole,), _ = search(24, folder="one", defense=["crl"])
    assert 2 <= 4 - len(news) < 4
    assert figures(killed) == figures(whole)


@pytest.mark.parametrize("on_record", [True, False], ids=["of this version", "of an older version"])
def test_a_journal_line_that_was_not_finished_is_dropped(search, tmp_path, on_record):
    (before,), _ = search(12, defense=["relaxloss"])
    (journal,) = (tmp_path / "store").glob("tuning/*/journal.log")
    lines = journal.read_bytes().splitlines(keepends=True)
    if on_record:
        journal.write_bytes(b"".join(lines) + lines[-1][:40])
    else:
        journal.with_suffix(".json").unlink()
        journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    (after,), news = search(18, defense=["relaxloss"])
    assert [number for _, number, _ in news] == ([2] if on_record else [1, 2])
    assert figures(after)[:2] == figures(before)
    (again,), news = search(18, defense=["relaxloss"])
    assert (figures(again), news) == (figures(after), [])


def test_the_sampler_looks_at_both_objectives(tmp_path):
    """Accuracy x and AUC 1 - y: after its random start it should come near x = 1, y = 1, the only undominated point."""
    space = [Dimension(name, 0.0, 1.0, log=False, integer=False, first=0.5) for name in ("x", "y")]
    trials = Trials(tmp_path / "study", space, seed=0)
    for _ in range(40):
        values = trials.suggest()
        trials.add(Trial(values, values["x"], 1 - values["y"], 3, ()))
    tried = np.array([[trial.values["x"], trial.values["y"]] for trial in trials.stored()])
    assert tried[0].tolist() == [0.5, 0.5]
    assert tried[1 : STARTUP + 1].mean() < 0.65
    assert (np.median(tried[STARTUP + 1 :], axis=0) > 0.75).all()


def test_suggestions_have_three_digits_within_the_range(tmp_path):
    space = [
        Dimension("x", 0.12345, 0.12445, log=False, integer=False, first=0.124),
        Dimension("y", 0.001, 1000.0, log=True, integer=False, first=1.0),
        Dimension("n", 1, 10**6, log=True, integer=True, first=10),
    ]
    trials = Trials(tmp_path / "study", space, seed=0)
    for _ in range(20):
        values = trials.suggest()
        assert 0.12345 <= values["x"] <= 0.12445
        assert values["y"] == float(f"{values['y']:.3g}")
        assert isinstance(values["n"], int)
        trials.add(Trial(values, values["x"], values["y"], 1, ()))
    assert len({trial.values["n"] for trial in trials.stored()}) > 10


# --- trials that fail, defenses that cannot be tuned, bad input ---


FRAGILE = '''
"""A defense that fails at large settings."""

from typing import Annotated, ClassVar

from miabench import Defense, Range, TrainingError, create_defense
from miabench.training import train_with_criterion


class Fragile(Defense, frozen=True):
    """CE."""

    tune: ClassVar = {"strength": Range(0, 1)}
    strength: float = 0.1
    withheld: ClassVar = 0.4

    def withhold(self):
        return {"reference": 0.999} if self.strength > 0.9 else {}

    def fit(self, task):
        if self.strength > 0.5:
            raise TrainingError("the loss is not finite")
        return train_with_criterion(task, create_defense("ce").criterion)
'''.replace("    withheld: ClassVar = 0.4\n", "")


def test_a_failed_trial_is_recorded_and_the_search_goes_on(search, with_file):
    experiment = with_file("fragile", FRAGILE, defense=["fragile"])
    (study,), _ = search(72, experiment)
    assert study.trainings == 72
    for trial in study.trials:
        strength = trial.values["strength"]
        assert (trial.accuracy is None) == (trial.auc is None) == (strength > 0.5)
        assert trial.trainings == (0 if strength > 0.9 else 6)
        expected = "leaves fewer than 2" if strength > 0.9 else "the loss is not finite" if strength > 0.5 else ""
        assert expected in trial.why
        assert bool(trial.why) == (strength > 0.5)
    failed = [trial for trial in study.trials if trial.why]
    assert 0 < len(failed) < len(study.trials)
    text = front_text(load_experiment(experiment), [study])
    assert f"# fragile: {len(study.trials)} trials, 72 of 72 trainings, {len(failed)} trials failed" in text
    assert "failed: the loss is not finite" in text
    assert all(not study.trials[point.number].why for point in best_points(study))


def test_a_defense_that_is_na_does_not_stop_the_others(search, tiny):
    (image_only, ce), _ = search(6, defense=["dmp-gan", "ce"])
    assert image_only.reason
    assert image_only.trials == ()
    assert len(ce.trials) == 1
    experiment = load_experiment(tiny(defense=["dmp-gan", "ce"]))
    text = front_text(experiment, [image_only, ce])
    assert f"# dmp-gan: n/a: {image_only.reason}\n" in text
    assert [choice.name for choice in load_experiment(tomllib.loads(text)).defense] == ["ce"]
    assert front_text(experiment, [image_only]) == f"# dmp-gan: n/a: {image_only.reason}"


def test_errors(search, tiny):
    text = message(search, 9, dataset=["toy", {"name": "toy", "n": 80}], model=["mlp", "cnn"])
    assert text.splitlines() == [
        "tuning takes one dataset; the experiment has 2: choose with --dataset",
        "tuning takes one model; the experiment has 2: choose with --model",
    ]
    grid = [{"name": "crl", "alpha_rce": [0.5, 1.0], "tau_rce": 0.2, "schedule": {"lr": [0.1, 0.2]}}]
    assert message(search, 9, defense=grid).splitlines() == [
        "defense crl: alpha_rce has several values: give one to keep it, or none to tune it",
        "defense crl: schedule.lr has several values: give one to keep it, or none to tune it",
    ]
    assert "there is no defense 'cr'" in message(search, 9, defense=["cr"])


def test_without_optuna_it_says_what_to_install(search, monkeypatch):
    monkeypatch.delitem(sys.modules, "miabench.tuning.trials")
    monkeypatch.setitem(sys.modules, "optuna", None)
    text = message(search, 9)
    assert text.startswith("tuning needs Optuna (")
    assert text.endswith("install it with: pip install 'miabench[tune]'")


# --- objectives, front, text ---


def test_objectives_by_hand():
    rows = [
        (0, None, "train_accuracy", 1.0),
        (0, None, "test_accuracy", 0.5),
        (1, None, "test_accuracy", 0.7),
        (0, "a", "auc", 0.6),
        (0, "b", "auc", 0.8),
        (0, "b", "balanced_accuracy", 0.99),
        (1, "a", "auc", 0.9),
        (1, "b", "auc", 0.7),
        (0, "n/a", "auc", None),
        (1, "n/a", "auc", None),
    ]
    table = pd.DataFrame(rows, columns=["run", "attack", "metric", "value"]).astype({"value": object})
    assert objectives(table) == (pytest.approx(0.6), pytest.approx(0.85))


def study_of(experiment, *outcomes):
    trials = [
        Trial({"alpha": 0.1 * (i + 1)}, accuracy, auc, 3, (), "" if accuracy else "it broke")
        for i, (accuracy, auc) in enumerate(outcomes)
    ]
    return Study(load_experiment(experiment), "0" * 32, tuple(trials), 30)


def test_the_front_by_hand(tiny):
    outcomes = [(0.6, 0.7), (0.7, 0.8), (0.6, 0.75), (0.5, 0.7), (None, None), (0.7, 0.8), (0.4, 0.5)]
    study = study_of(tiny(defense=["relaxloss"]), *outcomes)
    study = replace(study, trials=(*study.trials, study.trials[1]))  # tried twice: one point
    front = best_points(study)
    assert [(point.number, point.accuracy, point.auc) for point in front] == [
        (1, 0.7, 0.8),
        (5, 0.7, 0.8),
        (0, 0.6, 0.7),
        (6, 0.4, 0.5),
    ]
    assert [point.choice.params["alpha"] for point in front] == [0.1 * (n + 1) for n in (1, 5, 0, 6)]


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_the_fronts_are_an_experiment_that_runs(search, tiny, tmp_path, protocol):
    """What is printed reads back, to the last bit, as the tuned experiment with all points; those are trained so."""
    experiment = under(protocol, tiny(defense=["ce", "crl"]))
    studies, _ = search(18, experiment)
    text = front_text(load_experiment(experiment), studies)
    tuned = load_experiment(tomllib.loads(text))
    fronts = [best_points(study) for study in studies]
    assert tuned.defense == [point.choice for front in fronts for point in front]
    assert tuned.protocol == protocol
    assert ("half of the records took part in tuning ce, crl" in remarks(tuned)) == (protocol == "pool")
    assert tuned.name == f"{load_experiment(experiment).name}-tuned"
    for study, front in zip(studies, fronts, strict=True):
        assert tuned.tuned[study.defense].study == study.key
        for point in front:
            figures = f"test accuracy {point.accuracy:.4f}, attack AUC {point.auc:.4f} on the shadow half"
            assert f"# {study.defense}: {figures} (trial {point.number})\n[[defense]]" in text
            values = study.trials[point.number].values
            assert point.choice.params | {f"schedule.{k}": v for k, v in point.choice.schedule.items()} == dict(values)
    index = make_plan(tuned, Paths(tmp_path / "store")).index
    assert len(index.cells) == sum(len(front) for front in fronts)
    assert not any(tuned.chosen_otherwise(cell.defense, cell.params) for cell in index.cells)


def test_what_tuning_did_not_choose_can_be_told():
    experiment = Experiment.model_validate(
        {
            "dataset": "bits",
            "model": "mlp",
            "defense": "crl",
            "attacks": "loss",
            "tuned": {"crl": {"study": "0" * 32, "parameters": ["alpha_rce", "tau_rce"]}},
        }
    )
    assert experiment.chosen_otherwise("crl", ["alpha_rce", "tau_rce"]) == []
    assert experiment.chosen_otherwise("crl", {"alpha_rce": 1, "upper_rce": 0.9}) == ["upper_rce"]
    assert experiment.chosen_otherwise("relaxloss", ["alpha"]) == ["alpha"]
    assert experiment.chosen_otherwise("ce", []) == []


def test_a_pool_of_tuned_values_says_that_half_of_its_records_took_part(tiny):
    """Under protocol disjoint the target half was left alone; of a defense that does not take part nothing is said."""
    tuned = {name: {"study": "0" * 32, "parameters": ["alpha"]} for name in ("relaxloss", "crl")}
    said = "half of the records took part in tuning relaxloss"
    pool = under("pool", tiny(defense=["ce", "relaxloss"], tuned=tuned))
    assert said in remarks(load_experiment(pool))
    assert not any("took part" in one for one in remarks(load_experiment(pool | {"tuned": {}})))
    assert not any("took part" in one for one in remarks(load_experiment(tiny(defense=["relaxloss"], tuned=tuned))))
