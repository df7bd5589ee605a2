"""Whatever decides a result is in its key: a changed experiment in the same store finds nothing that it must not reuse,
and recomputes nothing that it may.
"""

import pytest
import torch

import miabench
from miabench import metrics

KINDS = ("networks", "observations", "scores", "metrics")
TRAINED = set(KINDS)  # all that follows from a training


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_in):
    """A run in the store that all tests of this file share."""
    store = tmp_path_factory.mktemp("store")

    def run(**changes):
        return run_in(store, **{"attacks": ["entropy"]} | changes)

    return run


@pytest.fixture(scope="module")
def base(run):
    return run(), used_by(run())


def used_by(run):
    """Keys by kind of all that the rows of a run's table were made from."""
    used = {kind: set() for kind in KINDS}
    for key in set(run.table.key):
        used["metrics"].add(key)
        measured = run.spec("metrics", key)
        observations = [measured["logits"]]
        if measured["scores"]:
            used["scores"].add(measured["scores"])
            scored = run.spec("scores", measured["scores"])
            observations = [key for view in (scored["target"], *scored["shadows"]) for key in view["observations"]]
        used["observations"] |= set(observations)
        used["networks"] |= {run.spec("observations", key)["network"] for key in observations}
    return used


def shared(one, other):
    """Kinds of which two runs have an artifact in common, and those of which all."""
    return (
        {kind for kind in KINDS if one[kind] & other[kind]},
        {kind for kind in KINDS if one[kind] == other[kind]},
    )


OTHER_SCHEDULE = {
    "epochs": 2,
    "lr": 0.01,
    "milestones": {"1": 0.001},
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 7,
}
RETRAINED = {
    **{f"schedule.{field}": {"schedule": {field: value}} for field, value in OTHER_SCHEDULE.items()},
    "model's argument": {"model": {"name": "recorder", "hidden": 9}},
    "defense": {"defense": ["label-smoothing"]},
    "normalisation": {"dataset": {"name": "numbered", "shift": 0.25}},
    "shape": {"dataset": {"name": "numbered", "shape": [8]}},
    "seed": {"seed": 6},
    "precision": {"precision": "float64"},
}


@pytest.mark.parametrize("changes", RETRAINED.values(), ids=RETRAINED)
def test_what_changes_a_training_trains_anew(run, base, changes):
    """And gives other weights: what a key hears, the training heeds."""
    plain, used = base
    if "schedule" in changes:
        changes = {"schedule": plain.experiment["schedule"] | changes["schedule"]}
    changed = run(**changes)
    again = used_by(changed)
    assert not shared(used, again)[0]
    (old,), (new,) = (
        [key for key in keys["networks"] if key in targets(of)] for of, keys in ((plain, used), (changed, again))
    )
    one, other = (of.weights(key)["head.weight"] for of, key in ((plain, old), (changed, new)))
    assert one.shape != other.shape or not torch.equal(one.double(), other.double())


def targets(run):
    return {
        run.spec("observations", run.spec("metrics", key)["logits"])["network"]
        for key in run.where(attack=None).key.unique()
    }


def test_every_field_of_a_schedule_is_tried():
    assert OTHER_SCHEDULE.keys() == miabench.Schedule.model_fields.keys()


def test_a_defenses_parameters_train_anew(run):
    one, other = (used_by(run(defense=[{"name": "label-smoothing", "epsilon": epsilon}])) for epsilon in (0.1, 0.3))
    assert not shared(one, other)[0]


def test_the_length_of_a_schedule_is_in_the_key_of_a_snapshot(run):
    """A network after two of three epochs is not filed as one after two of two: a schedule may depend on its end."""
    stopped, whole = (
        run(defense=[defense], schedule={"epochs": epochs, "batch_size": 9})
        for defense, epochs in (({"name": "early-stopping", "stop_epoch": 2}, 3), ("ce", 2))
    )
    (start,) = {
        given for key in targets(stopped) for given in stopped.spec("networks", key)["given"].values()
    }  # the snapshot of CE's training
    assert start not in targets(whole)
    assert stopped.manifest("networks", start)["epoch"] == 2


def test_runs_differ_in_their_seeds_alone_and_share_no_network(run, base):
    twice = run(runs=2)
    first, second = (twice.spec("networks", key) for key in sorted(targets(twice)))
    assert first | {"seed": second["seed"]} == second
    assert len(used_by(twice)["networks"]) == 4
    assert base[1]["networks"] < used_by(twice)["networks"]


@pytest.mark.parametrize("changes", [{"threads": 2}, {"precision": "tf32"}], ids=str)
def test_what_may_change_the_last_bits_trains_anew(run, base, changes):
    assert not shared(base[1], used_by(run(**changes)))[0]


def test_augmentation_trains_anew(run):
    images = {"name": "numbered", "shape": [3, 6, 6]}
    plain = used_by(run(dataset=images))
    assert not shared(plain, used_by(run(dataset=images | {"augmentation": "crop-flip"})))[0]


@pytest.mark.parametrize("part", ["members", "non-members"])
def test_a_changed_record_changes_the_key_of_what_saw_it(run, base, split, part):
    """One member of the target trains the target anew, and a non-member nothing; either is asked about anew."""
    row = split(96, 5, "target")[part == "non-members"][0]
    used = used_by(run(dataset={"name": "numbered", "other": [int(row)]}))
    some, _ = shared(base[1], used)
    assert len(base[1]["networks"] - used["networks"]) == (part == "members")
    assert some == {"networks"}


def probes_of(run, attack):
    scored = run.spec("scores", run.scores_key(attack=attack))
    return {key for view in (scored["target"], *scored["shadows"]) for key in view["observations"]}


NN, SHORT = "nn", {"name": "nn", "schedule": {"epochs": 2}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((NN, SHORT), ("nn", {"name": "nn", "schedule": {"epochs": 3}})),
        ((NN, SHORT), ("nn", {"name": "nn", "schedule": {"epochs": 2, "momentum": 0.5}})),
        (("grad-x", "grad-x"), ("grad-x", {"name": "grad-x", "norm": "l1"})),
        (("spy", "spy"), ("spy", {"name": "spy", "told": "place"})),
    ],
)
def test_an_attacks_parameters_change_its_scores_and_no_network(run, one, other):
    runs = [run(attacks=[attack], shadows=2) for _, attack in (one, other)]
    before, after = (used_by(each) for each in runs)
    assert not before["scores"] & after["scores"]
    assert before["networks"] == after["networks"]
    old, new = (each.scores(attack=label)["target"] for each, (label, _) in zip(runs, (one, other), strict=True))
    assert not (old == new).all()


def test_a_probes_parameters_change_its_observations(run):
    """The norm is a parameter of grad-x and of its probe: asked for another one, the network is asked again."""
    old, new = (
        probes_of(run(attacks=[{"name": "grad-x", "norm": norm}]), label)
        for norm, label in (("l2", "grad-x"), ("l1", "grad-x"))
    )
    assert len(old) == len(new) == 2
    assert not old & new


def test_a_teacher_is_in_the_key_of_what_started_from_it(run, monkeypatch):
    """CE of another version is another teacher, and nothing else of dmp changes."""
    before = used_by(run(defense=["dmp", "relaxloss"]))
    monkeypatch.setattr(type(miabench.create_defense("ce")), "version", 2)
    after = run(defense=["dmp", "relaxloss"])
    trained = {
        after.spec("networks", key)["defense"]["name"] for key in used_by(after)["networks"] - before["networks"]
    }
    assert trained == {"dmp"}
    kept = {after.spec("networks", key)["defense"]["name"] for key in used_by(after)["networks"] & before["networks"]}
    assert kept == {"relaxloss"}


def raised(monkeypatch, what):
    """Another version of a plugin, a probe or the metrics."""
    classes = {
        "defense": lambda: type(miabench.create_defense("ce")),
        "attack": lambda: type(miabench.create_attack("entropy")),
        "probe": lambda: miabench.Logits,
    }
    if what == "metrics":
        monkeypatch.setattr(metrics, "VERSION", metrics.VERSION + 1)
    else:
        cls = classes[what]()
        monkeypatch.setattr(cls, "version", cls.version + 1)


@pytest.mark.parametrize(
    ("what", "anew"),
    [
        ("defense", {"networks", "observations", "scores", "metrics"}),
        ("probe", {"observations", "scores", "metrics"}),
        ("attack", {"scores"}),
        ("metrics", {"metrics"}),
    ],
)
def test_a_raised_version_is_heard_by_all_that_follows(run, monkeypatch, what, anew):
    before = used_by(run())
    raised(monkeypatch, what)
    after = used_by(run())
    some, every = shared(before, after)
    assert some.isdisjoint(anew - {"metrics"} if what == "attack" else anew)  # accuracies have no attack
    assert every >= TRAINED - anew - {"metrics"}
    assert len(before["metrics"] & after["metrics"]) == (what == "attack")


def test_the_same_experiment_is_all_there(run, base):
    """In the store that the others have filled meanwhile."""
    times = {path: path.stat().st_mtime_ns for path in base[0].folder.rglob("manifest.json")}
    assert shared(base[1], used_by(run()))[1] == TRAINED
    assert {path: path.stat().st_mtime_ns for path in base[0].folder.rglob("manifest.json")} == times
