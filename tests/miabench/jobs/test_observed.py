"""What attacks see, through the real run: of each model the right answers, in place, and nothing that they may not."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import miabench
from miabench import FeatureNorm, Logits, LogOdds, Observed, UserError
from miabench.data.splits import halves, split
from miabench.evaluation.scoring import score_hidden
from miabench.experiment.load import load_experiment
from miabench.jobs.arithmetic import DTYPES
from miabench.jobs.observed import Gatherer
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.resources import Resources
from miabench.jobs.runner import JobRunner
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.logprob import log_odds
from miabench.store.store import Ref, Store

PLUGINS = Path(__file__).parents[2] / "plugins"
LOOKS_AROUND = str(PLUGINS / "looks_around.py")


@pytest.fixture
def do(tmp_path, tiny):
    """Run an experiment; gives plan, its jobs by kind, what jobs share."""

    def do(stages=("train", "attack"), **changes):
        plan = make_plan(load_experiment(tiny(**changes)), Paths(tmp_path / "store"))
        outcome = run_stages(plan, stages, ExecutorConfig("inline"), lambda event: None)
        assert outcome.failed == {}
        jobs = {
            kind: [job for job in plan.jobs.values() if job.kind == kind] for kind in ("train", "observe", "attack")
        }
        resources = Resources(plan.context)
        (dataset,) = {(job.dataset.name, job.identity): job for job in plan.jobs.values()}.values()
        data = resources.pool(dataset.dataset, dataset.identity)
        return SimpleNamespace(plan=plan, resources=resources, store=Store(tmp_path / "store"), data=data, **jobs)

    return do


def gathered(run, job):
    """The target and the shadows as the attack job sees them."""
    attack = run.resources.plugins.get("attack", job.spec.attack.name).build(job.spec.attack.params)
    gatherer = Gatherer(run.store, run.data, attack, [run.resources.probe(probe) for probe in job.spec.probes])
    shadows = job.spec.shadows
    return [
        gatherer.observed(job.spec.target, shadows),
        *(gatherer.observed(view, [other for other in shadows if other is not view]) for view in shadows),
    ]


def logits(run, job, model):
    """Of the target (-1) or a shadow, for the whole pool."""
    view = job.spec.target if model == -1 else job.spec.shadows[model]
    key = view.observations[0]
    spec = run.store.manifest(Ref("observations", key)).spec
    return run.store.arrays(Ref("observations", spec.get("of", key)))


def test_a_batch_tells_nothing_of_membership(tmp_path, tiny):
    """With 512 members and 512 non-members, members asked first fill the first batch: an AUC of 0 or 1."""
    experiment = tiny(
        dataset={"name": "toy", "n": 2048},
        defense=["untrained"],
        attacks=["batch-mean"],
        runs=3,
        shadows=1,
        more_plugins=["untrained", "batch_mean"],
    )
    table = miabench.run(experiment, store=tmp_path / "store", executor="inline")
    found = table[table.metric == "auc"]
    assert len(found) == 3
    assert ((found.low <= 0.5) & (found.high >= 0.5)).all()


def test_answers_are_stored_in_the_order_of_the_part(do):
    """Each equals what the stored network answers about that record alone."""
    run = do(attacks=["grad-x"])
    for job in run.observe:
        if job.spec.probe.qualname == "LogGradientNorm":
            rows = run.store.ids(job.spec.part.ids)
            assert list(rows) == [*run.store.ids(view(run, job).members), *run.store.ids(view(run, job).non_members)]
            net, _, _ = run.resources.network(job.spec.network, run.data)
            x = run.resources.inputs(job, DTYPES["float32"])
            found = run.store.arrays(job.gives[0])["answers"]
            probe = run.resources.probe(job.spec.probe)
            alone = [float(probe.observe(net, x[i : i + 1], run.data.y[i : i + 1], None)) for i in rows]
            np.testing.assert_allclose(found, alone, rtol=1e-4)
            assert len(set(found)) == len(rows)


def view(run, observation):
    """The view of the model that an observation is of."""
    views = [v for job in run.attack for v in (job.spec.target, *job.spec.shadows)]
    return next(v for v in views if observation.key in v.observations)


def test_an_attack_sees_references_population_and_inputs(do):
    run = do(attacks=["looks-around"], shadows=3, more_plugins=["looks_around"])
    (job,) = run.attack
    n, data = len(run.data), run.data
    splits = [split(n, 0, role) for role in ("target", "shadow-0", "shadow-1", "shadow-2")]
    halves = [np.sort(np.concatenate([s.train, s.test])) for s in splits]
    for model, seen in enumerate(gathered(run, job)):
        own = splits[model]
        rows = np.concatenate([own.train, own.test])
        others = [m for m in range(1, 4) if m != model]
        np.testing.assert_array_equal(seen.labels, data.y.numpy()[rows])
        np.testing.assert_array_equal(seen.member, np.isin(rows, own.train))
        np.testing.assert_array_equal(seen.inputs, data.x.numpy()[rows])
        np.testing.assert_array_equal(seen.reference_in, [np.isin(rows, splits[m].train) for m in others])
        np.testing.assert_array_equal(seen.reference_out, ~seen.reference_in)
        answered = logits(run, job, model - 1)
        np.testing.assert_array_equal(seen[LogOdds()], log_odds(answered["answers"][rows], seen.labels))
        np.testing.assert_array_equal(seen[FeatureNorm()], answered["feature_norm"][rows])
        for k, m in enumerate(others):
            expected = logits(run, job, m - 1)
            found = seen.references[LogOdds()][k]
            np.testing.assert_array_equal(found, log_odds(expected["answers"][rows], seen.labels))
            np.testing.assert_array_equal(seen.references[FeatureNorm()][k], expected["feature_norm"][rows])
        outside = halves[1] if model == 0 else halves[0]
        population = seen.population
        assert not population.member.any()
        np.testing.assert_array_equal(population.labels, data.y.numpy()[outside])
        np.testing.assert_array_equal(population[FeatureNorm()], answered["feature_norm"][outside])
        np.testing.assert_array_equal(population.inputs, data.x.numpy()[outside])
        np.testing.assert_array_equal(population.reference_in, [np.isin(outside, splits[m].train) for m in others])
        assert population.references[LogOdds()].shape == (len(others), len(outside))
        assert population.population is None


def test_withheld_records_are_neither_in_nor_out(do):
    run = do(defense=["second-network"], attacks=["looks-around"], more_plugins=["looks_around", "second_network"])
    (job,) = run.attack
    target, shadow, _ = gathered(run, job)
    view, reference = job.spec.shadows
    own = split(len(run.data), 0, "shadow-1").withhold({"reference": 0.3})
    rows = np.concatenate([run.store.ids(view.members), run.store.ids(view.non_members)])
    np.testing.assert_array_equal(run.store.ids(reference.members), own["train"])
    np.testing.assert_array_equal(shadow.reference_in[0], np.isin(rows, own["train"]))
    np.testing.assert_array_equal(shadow.reference_out[0], ~np.isin(rows, [*own["train"], *own["reference"]]))
    assert np.isin(rows, own["reference"]).any()
    assert target.reference_out.all()
    assert len(target.population) == len(run.data) // 2, "what was withheld from the target is no population"


def test_a_trial_of_tuning_sees_no_record_of_the_target_half(tmp_path, tiny):
    (tmp_path / "neighbours.py").write_text(NEIGHBOURS)
    half = halves(160, 0)[1]
    for share in (0.0, 0.1):
        experiment = tiny(attacks=["neighbours"], more_plugins=[str(tmp_path / "neighbours")])
        trial = {"protocol": "tune", "models": 6, "shadows": 4, "population": share}
        plan = make_plan(load_experiment(experiment).model_copy(update=trial), Paths(tmp_path / "store"))
        specs = [job.spec for job in plan.jobs.values() if job.kind == "attack"]
        assert len(specs) == 6
        for view in (view for spec in specs for view in (spec.target, *spec.shadows)):
            assert (view.population is not None) == (share > 0)
            seen = [plan.store.ids(ids) for ids in (view.members, view.non_members, view.population) if ids]
            np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.sort(half))


NEIGHBOURS = '''
"""Looks at other records."""

from typing import ClassVar

from miabench import Attack, Logits


class Neighbours(Attack, frozen=True):
    """Largest logit, less its mean on other records."""

    population: ClassVar = True

    def score(self, target, state):
        return target[Logits()].max(1).astype("float64") - target.population[Logits()].max()
'''


def test_a_dear_probe_is_asked_about_few_records_and_they_alone_are_scored(do, tmp_path):
    attacks = [{"name": "noisy-views", "records": 7}, "entropy"]
    run = do(attacks=attacks, more_plugins=["noisy_views"])
    job = next(job for job in run.attack if job.spec.attack.name == "noisy-views")
    own = split(len(run.data), 0, "target")
    drawn = np.concatenate([run.data.drawn(own.train, 7), run.data.drawn(own.test, 7)])
    scores = run.store.arrays(job.gives[0])
    np.testing.assert_array_equal(scores["target_row"], drawn)
    np.testing.assert_array_equal(scores["target_member"], np.arange(14) < 7)
    assert len(scores["shadows"]) == 2 * 14
    asked = [run.store.arrays(o.gives[0]) for o in run.observe if o.spec.probe.qualname == "Views"]
    assert [arrays["noisy"].shape for arrays in asked] == [(14, 5)] * 3
    rows = miabench.run(run.plan.index.experiment, store=tmp_path / "store", executor="inline")
    counts = rows[rows.metric == "auc"].set_index("attack").n_members
    assert counts["entropy"] == 40
    assert counts.drop("entropy").tolist() == [7]


def test_probes_with_other_limits_meet_on_the_fewest(do, tmp_path):
    plugin = tmp_path / "both.py"
    plugin.write_text(BOTH)
    run = do(attacks=["both"], more_plugins=[str(plugin.with_suffix(""))])
    (job,) = run.attack
    seen = gathered(run, job)[0]
    assert len(seen) == 2 * 5
    own = split(len(run.data), 0, "target")
    rows = np.concatenate([run.data.drawn(own.train, 5), run.data.drawn(own.test, 5)])
    *contents, at_logits = (
        run.resources.plugins.get("attack", job.spec.attack.name).build(job.spec.attack.params).probes()
    )
    for probe in contents:
        np.testing.assert_array_equal(seen[probe], run.data.x.numpy()[rows])
    stored = run.store.arrays(Ref("observations", job.spec.target.observations[-1]))["answers"]
    np.testing.assert_array_equal(seen[at_logits], stored[rows])


BOTH = """
from miabench import Attack, Logits, Probe


class Both(Attack, frozen=True):
    def probes(self):
        return (Content(records=5), Content(records=20), Content(), Logits())

    def score(self, target, state):
        return target[Content()][:, 0].astype("float64")


class Content(Probe, frozen=True):
    def observe(self, ask, x, y, noise):
        return x
"""


def test_deriving_needs_no_network(do, tmp_path):
    """One small array per model; the logits are asked for once."""
    first = do(attacks=["margin"])
    shutil.rmtree(tmp_path / "store" / "networks")
    plan = make_plan(load_experiment(derived(first)), Paths(tmp_path / "store"))
    new = [job for job in plan.jobs.values() if job.kind == "observe" and not first.store.has(job.gives[0])]
    assert {job.spec.probe.qualname for job in new} == {"LogOdds"}
    for job in new:
        JobRunner(plan.context).run(job, lambda record: None)
        arrays = first.store.arrays(job.gives[0])
        assert {name: (a.shape, a.dtype) for name, a in arrays.items()} == {"answers": ((160,), np.float64)}


def derived(run):
    experiment = run.plan.index.experiment.model_dump(mode="json")
    return experiment | {"attacks": ["looks-around"], "plugins": [*experiment["plugins"], LOOKS_AROUND]}


def test_several_probes_of_the_base_observation_cost_one_pass(do):
    run = do(stages=("train",), attacks=["looks-around", "entropy", "margin"], more_plugins=["looks_around"])
    assert sorted(job.spec.probe.qualname for job in run.observe) == ["LogOdds"] * 3 + ["Logits"] * 3


def test_a_probe_that_sees_more_than_its_attack_says_is_refused(tmp_path, tiny):
    plugin = tmp_path / "peeps.py"
    plugin.write_text(
        "from miabench import Attack, FeatureNorm, Logits\n"
        "class Peeps(Attack, frozen=True):\n"
        "    access = ACCESS\n"
        "    def probes(self):\n"
        "        return (Logits(), FeatureNorm())\n"
    )
    text = plugin.read_text()
    for access, problems in (("label", 2), ("black-box", 1), ("white-box", 0)):
        plugin.write_text(text.replace("ACCESS", repr(access)))
        experiment = load_experiment(tiny(attacks=["peeps"], more_plugins=[str(plugin.with_suffix(""))]))
        if problems == 0:
            make_plan(experiment, Paths(tmp_path / "store"))
            continue
        with pytest.raises(UserError) as caught:
            make_plan(experiment, Paths(tmp_path / "store"))
        assert len(caught.value.problems) == problems
        assert caught.value.problems[-1] == (
            f"attack peeps: its access is '{access}', but its probe FeatureNorm sees the network itself; "
            "declare access = 'white-box'"
        )


def test_what_an_attack_is_shown_of_a_record_stays_together():
    """Every array says which record it is about; membership does not come along."""
    n, k = 50, 3
    marks = np.arange(n)

    class Checks(miabench.Attack, frozen=True):
        def score(self, target, state):
            assert target.member is None
            assert not np.array_equal(target.labels, marks), "the order is another"
            np.testing.assert_array_equal(target[Logits()][:, 0], target.labels)
            np.testing.assert_array_equal(target[Logits(), "more"], target.labels)
            np.testing.assert_array_equal(target.references[Logits()][:, :, 0], [target.labels] * k)
            np.testing.assert_array_equal(target.reference_in, [target.labels % (j + 2) == 0 for j in range(k)])
            np.testing.assert_array_equal(target.reference_out, [target.labels % (j + 3) == 0 for j in range(k)])
            np.testing.assert_array_equal(target.inputs[:, 0], target.labels)
            np.testing.assert_array_equal(target.copies["copy"][1][Logits()], target.labels)
            assert target.population is population
            return target.labels.astype(np.float64)

    population = Observed(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=bool), 2, {}, {})
    target = Observed(
        labels=marks,
        member=marks < 25,
        num_classes=2,
        answers={Logits(): np.stack([marks, marks], 1), (Logits(), "more"): marks},
        references={Logits(): np.stack([np.stack([marks, marks], 1)] * k)},
        reference_in=np.stack([marks % (j + 2) == 0 for j in range(k)]),
        reference_out=np.stack([marks % (j + 3) == 0 for j in range(k)]),
        population=population,
        inputs=np.stack([marks, -marks], 1),
        copies={"copy": [Observed(marks, marks < 0, 2, {Logits(): sign * marks}, {}) for sign in (-1, 1)]},
    )
    np.testing.assert_array_equal(score_hidden(Checks(), target, {}, 0), marks)


MODE = """
import torch

from miabench import Attack, Probe


class Mode(Attack, frozen=True):
    access = "white-box"

    def probes(self):
        return (Training(),)

    def score(self, target, state):
        return target[Training()].astype("float64")


class Training(Probe, frozen=True):
    sees = "network"

    def observe(self, ask, x, y, noise):
        return torch.full((len(y),), float(any(module.training for module in ask.modules())))
"""


def test_the_network_is_asked_in_eval_mode(do, tmp_path):
    (tmp_path / "mode.py").write_text(MODE)
    run = do(attacks=["mode"], more_plugins=[str(tmp_path / "mode")])
    (job,) = run.attack
    assert not run.store.arrays(job.gives[0])["target"].any()
