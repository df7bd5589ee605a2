"""Models that attackers train from a model's answers: on which records, from which answers, when, and who sees them."""

import shutil

import numpy as np
import pytest

from miabench import Logits
from miabench.data.splits import split
from miabench.errors import MissingStepError
from miabench.evaluation.measure import NO_SHADOWS
from miabench.experiment.load import load_experiment
from miabench.jobs.collect import collect
from miabench.jobs.estimate import describe, estimate
from miabench.jobs.observed import Gatherer
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.resources import Resources
from miabench.jobs.runner import JobRunner
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.jobs.weights import remove_weights
from miabench.store.store import Ref

COPIER = """
from miabench import Attack, Copy, Logits


class Copier(Attack, frozen=True):
    population = True

    def requires(self):
        return {
            "early": Copy("mirror", epochs=(1, 3), schedule={"epochs": 4}),
            "part": Copy("copy", withheld_fraction=0.25),
        }

    def score(self, target, state):
        return target.copies["early"][1][Logits()][:, 0].astype("float64")
"""
MIRROR = """
from miabench import Defense


class Mirror(Defense, frozen=True):
    def fit(self, task):
        net = task.net()
        answers = task.answers_of["original"]
        assert answers.shape == (len(task.x), task.num_classes)
        for epoch in task.epochs(net=net):
            net.head.bias.data = answers.mean(0) + epoch
            net.head.weight.data.zero_()
        return net
"""
DEAR = """
from typing import ClassVar

from miabench import Attack, Copy, Probe


class Dear(Probe, frozen=True):
    sees: ClassVar = "served"

    records: int | None = 10

    def observe(self, ask, x, y, noise):
        return ask(x)[0]


class DearCopier(Attack, frozen=True):
    def probes(self):
        return (Dear(),)

    def requires(self):
        return {"copy": Copy("copy")}

    def score(self, target, state):
        return target[Dear()][:, 0].astype("float64")
"""


@pytest.fixture
def plan(tmp_path, tiny):
    files = {"copier.py": COPIER, "dear_copier.py": DEAR, "mirror.py": MIRROR}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    plugins = [str(tmp_path / name) for name in files]

    def make(**changes):
        experiment = tiny(**{"attacks": ["copier"]} | changes)
        experiment["plugins"] += plugins
        if "protocol" in changes:  # a pool has no runs
            del experiment["runs"]
        return make_plan(load_experiment(experiment), Paths(tmp_path / "store"))

    return make


def do(plan, *stages):
    outcome = run_stages(plan, stages, ExecutorConfig("inline"), lambda event: None)
    assert outcome.failed == {}
    return outcome


def stored(plan, ref):
    """The arrays of an artifact, as bytes by their files' names, whatever is kept beside them."""
    files = [path for path in plan.store.path(ref).iterdir() if path.suffix in (".npy", ".npz", ".safetensors")]
    return {path.name: path.read_bytes() for path in files}


def observations_of(plan, trainings):
    networks = {ref.key for job in trainings for ref in job.gives}
    return [ref for job in plan.jobs.values() if getattr(job.spec, "network", None) in networks for ref in job.gives]


def models_of(plan):
    return [job.key for job in plan.trainings if not job.spec.answers]


def attack_of(plan):
    (job,) = [job for job in plan.jobs.values() if job.kind == "attack"]
    return job


def training_of(plan, view):
    """The training of the network behind a view."""
    network = plan.jobs[view.observations[0]].spec.network
    return next(job for job in plan.trainings if network in {ref.key for ref in job.gives})


def test_a_copy_learns_from_its_own_model_on_records_outside_that_models_training(plan):
    made = plan()
    spec = attack_of(made).spec
    for view, role in ((spec.target, "target"), (spec.shadows[0], "shadow-0"), (spec.shadows[1], "shadow-1")):
        own = split(160, 0, role)
        outside = np.setdiff1d(np.arange(160), np.concatenate([own.train, own.test]))
        for name, left_out in (("early", 0), ("part", 20)):
            copy = training_of(made, view.copies[name][0])
            parts = {part: made.store.ids(listed.ids) for part, listed in copy.spec.parts.items()}
            assert len(parts.get("withheld", ())) == left_out
            np.testing.assert_array_equal(np.sort(np.concatenate([*parts.values()])), outside)
            assert copy.spec.answers == {"original": view.observations[0]}
            assert Ref("observations", view.observations[0]) in copy.needs
            assert copy.spec.seed != training_of(made, view).spec.seed


def test_models_that_differ_in_their_defense_alone_have_copies_of_their_own(plan):
    made = plan(defense=["ce", "relaxloss"])
    models = [job for job in made.trainings if not job.spec.answers]
    copies = [job for job in made.trainings if job.spec.answers]
    assert len(copies) == 2 * len(models) == 12
    assert len({job.spec.answers["original"] for job in copies}) == len(models)


def test_an_attack_waits_for_the_answers_of_all_copies(plan):
    job = attack_of(plan())
    for view in (job.spec.target, *job.spec.shadows):
        seen = [copy for each in view.copies.values() for copy in each]
        assert len(seen) == 3
        assert {Ref("observations", key) for copy in seen for key in copy.observations} <= set(job.needs)


def test_epochs_are_snapshots_of_one_training(plan):
    made = plan()
    first, second = attack_of(made).spec.target.copies["early"]
    assert training_of(made, first) == training_of(made, second)
    assert training_of(made, first).snapshots == (1, 3)
    assert training_of(made, first).spec.schedule.epochs == 4
    (only,) = attack_of(made).spec.target.copies["part"]
    assert training_of(made, only).snapshots == (3,)


def test_an_attack_sees_each_copys_answers_about_its_models_records(plan):
    made = plan()
    do(made, "train", "attack")
    resources, job = Resources(made.context), attack_of(made)
    data = resources.pool(job.dataset, job.identity)
    attack = resources.plugins.get("attack", "copier").build({})
    gatherer = Gatherer(made.store, data, attack, [Logits()])
    for view in (job.spec.target, *job.spec.shadows):
        seen = gatherer.observed(view, ())
        served = resources.answers(view.observations[0])
        rows, outside = gatherer.rows(view), made.store.ids(view.population)
        for place, epoch in enumerate((1, 3)):  # a mirror answers with the mean of all that the model serves
            expected = (served.mean(0) + epoch).expand(len(rows), -1).numpy()
            np.testing.assert_allclose(seen.copies["early"][place][Logits()], expected, rtol=1e-5)
        (part,) = seen.copies["part"]
        key = view.copies["part"][0].observations[0]
        np.testing.assert_array_equal(part[Logits()], resources.answers(key)[rows])
        assert not part.member.any()
        trained = made.store.ids(training_of(made, view.copies["part"][0]).spec.parts["train"].ids)
        (part,) = seen.population.copies["part"]
        np.testing.assert_array_equal(part[Logits()], resources.answers(key)[outside])
        np.testing.assert_array_equal(part.member, np.isin(outside, trained))
        assert part.member.sum() == 60


def test_another_way_to_copy_gives_another_result(plan, tmp_path):
    before = plan()
    (tmp_path / "mirror.py").write_text(MIRROR.replace("mean(0)", "amax(0)"))
    after = plan()
    assert models_of(before) == models_of(after)
    assert attack_of(before).key != attack_of(after).key


def test_copies_are_trained_when_models_are_attacked(plan):
    made = plan()
    with pytest.raises(MissingStepError, match="3 of the trainings that the attacks need"):
        do(made, "attack")
    do(made, "train")
    copies = [job for job in made.trainings if job.spec.answers]
    assert len(copies) == 6
    assert not any(made.store.has_all(job.gives) for job in copies)
    do(made, "attack")
    assert all(made.store.has_all(job.gives) for job in made.trainings)


@pytest.mark.parametrize(("policy", "copies", "others"), [("all", 9, 3), ("targets", 0, 1), ("none", 0, 0)])
def test_weights_of_copies_are_kept_as_those_of_shadows_are(plan, policy, copies, others):
    made = plan(keep_weights=policy)
    do(made, "train", "attack")
    kept = [job for job in made.trainings for ref in job.gives if made.store.has_whole(ref)]
    assert sum(bool(job.spec.answers) for job in kept) == copies  # of each model 2 early and 1 part
    assert sum(not job.spec.answers for job in kept) == others
    assert not made.missing()
    assert remove_weights(made) == 0


def test_a_new_question_to_a_copy_without_weights_is_answered_as_before(plan):
    made = plan(keep_weights="none")
    do(made, "train", "attack")
    copies = [job for job in made.trainings if job.spec.answers]
    answers = {ref: stored(made, ref) for ref in observations_of(made, copies)}
    for ref in answers:
        shutil.rmtree(made.store.path(ref))
    do(made, "attack")
    assert {ref: stored(made, ref) for ref in answers} == answers


def test_what_a_kept_experiment_made_of_copies_stays(plan):
    made = plan()
    do(made, "train", "attack")
    do(plan(name="other", attacks=["margin"]), "train", "attack")
    (name,) = (made.store.folder / "experiments").glob("other-*.json")
    gone = collect(made.store, (name.stem,), remove=True).removed
    assert gone, "the other's scores"
    assert not made.missing()
    assert all(made.store.has_whole(ref) for job in made.trainings for ref in job.gives)


def test_copies_go_with_the_last_experiment_that_asked_for_them(plan):
    made = plan()
    do(made, "train", "attack")
    do(plan(name="other", attacks=["margin"]), "train", "attack")
    (name,) = (made.store.folder / "experiments").glob("tiny-*.json")
    collect(made.store, (name.stem,), remove=True)
    for job in made.trainings:
        assert [made.store.has_whole(ref) for ref in job.gives] == [not job.spec.answers] * len(job.gives)


def test_a_copy_that_was_interrupted_goes_on_to_the_same_bits(plan):
    made = plan()
    do(made, "train", "attack")
    expected = {ref: stored(made, ref) for job in made.trainings for ref in job.gives}
    copies = [job for job in made.trainings if job.spec.answers]
    for job in copies:
        shutil.rmtree(made.store.path(job.gives[-1]))
    runner = JobRunner(made.context.model_copy(update={"checkpoint_seconds": 0.0}))
    for job in copies:
        epochs = []

        def stop_in_second(record, epochs=epochs):
            epochs.append(record["epoch"])
            if len(epochs) == 2:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            runner.run(job, stop_in_second)
        runner.run(job, stop_in_second)
        assert epochs == [1, 2, 2, 3]  # no more are asked for
    assert {ref: stored(made, ref) for ref in expected} == expected


def test_a_dry_run_counts_and_times_copies(plan):
    made = plan()
    found = {work.label: work for work in estimate(made, 1).work}
    mirror = found["toy mlp mirror from answers of original"]
    assert (mirror.trainings, mirror.epochs) == (3, 9)
    part = found["toy mlp copy from answers of original, some records withheld"]
    assert (part.trainings, part.epochs, part.records) == (3, 9, 9 * 60)
    assert part.seconds > 0
    assert "mlp copy from answers of original, some records withheld: 3 trainings" in describe(estimate(made, 1))


@pytest.mark.parametrize("population", [0, 0.2])
def test_in_a_pool_copies_learn_on_the_population(plan, population):
    made = plan(protocol="pool", models=6, shadows=2, population=population)
    copies = [job for job in made.trainings if job.spec.answers]
    if not population:
        assert copies == []
        reasons = {entry.reason for entry in made.index.entries if entry.attack}
        assert reasons == {"it trains models on records known to be outside a model's training, and there are none"}
        return
    assert len(copies) == 2 * 6
    for job in copies:
        assert sum(len(made.store.ids(part.ids)) for part in job.spec.parts.values()) == 32
    assert len({job.spec.answers["original"] for job in copies}) == 6


def test_a_cell_cannot_copy(plan):
    made = plan(defense=["ce", "copy"])
    assert [cell.reason for cell in made.index.cells] == [
        None,
        "it learns from another model's answers; attacks that copy models train with it",
    ]


def reasons_of(plan):
    return {entry.reason for entry in plan.index.entries if entry.attack}


def test_copies_are_not_asked_about_some_records_alone(plan):
    made = plan(attacks=["dear-copier"])
    assert reasons_of(made) == {"it looks at other records through a probe that is not stored for the whole pool"}
    assert not any(job.spec.answers for job in made.trainings)


def test_without_shadow_models_there_is_none_to_learn_on_but_l_leaks_needs_none(plan):
    assert reasons_of(plan(attacks=["trajectory"], shadows=0)) == {NO_SHADOWS}
    made = plan(attacks=["l-leaks"], shadows=0)
    assert reasons_of(made) == {None}
    assert sum(bool(job.spec.answers) for job in made.trainings) == 1
