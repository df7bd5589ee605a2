"""Keys of what is stored: moving code, renaming classes and adding fields must not change one of them."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import create_model

import miabench
from miabench import LATER
from miabench.experiment.load import load_experiment
from miabench.experiment.model import Attacker, Experiment
from miabench.jobs.specs import (
    AttackSpec,
    Component,
    Compute,
    DerivedSpec,
    MeasureSpec,
    ModelView,
    ObservationSpec,
    Part,
    ProbeSpec,
    TrainingSpec,
)
from miabench.plugins import discover as discovery
from miabench.plugins.attack import Logits, Probe
from miabench.plugins.discover import KINDS, discover, probe_class
from miabench.plugins.probes import FeatureNorm, LogOdds, TrueProbability
from miabench.results.index import Cell, Index
from miabench.store.hashed import NEVER, hashed
from miabench.store.store import Store
from miabench.training.schedule import Schedule


def component(kind, name, **params):
    found = discover().get(kind, name)
    return Component.of(found, found.build(params))


def probes(attack, **params):
    return [ProbeSpec.of(probe) for probe in discover().get("attack", attack).build(params).probes()]


def training(**changes):
    values = {
        "parts": {"train": Part(ids="a" * 32, content="b" * 64), "reference": Part(ids="c" * 32, content="d" * 64)},
        "preparation": {"shape": "(12,)", "scale": "1.0"},
        "model": component("model", "mlp", hidden=[16]),
        "defense": component("defense", "crl", alpha_rce=0.5, alpha_rcl=0.1, lambda_rcl=0.1),
        "schedule": Schedule(epochs=3, milestones={2: 0.01}),
        "seed": 7,
        "compute": Compute(device="cpu", precision="float32", threads=1),
        "given": {"teacher": "e" * 32},
    }
    return TrainingSpec(**(values | changes))


def observation(probe):
    part = Part(ids="a" * 32, content="b" * 64)
    compute = Compute(device="cpu", precision="float64", threads=2)
    return ObservationSpec(network="f" * 32, probe=probe, part=part, preparation={}, seed=1, compute=compute)


def derived(probe):
    part, compute = Part(ids="a" * 32, content="b" * 64), Compute(device="cpu", precision="float32", threads=1)
    return DerivedSpec(of="1" * 32, probe=ProbeSpec.of(probe), part=part, compute=compute)


def attack(name):
    view = ModelView(observations=["1" * 32], members="a" * 32, non_members="c" * 32)
    return AttackSpec(
        attack=component("attack", name),
        probes=probes(name),
        target=view,
        shadows=[view, view],
        labels="9" * 64,
        seed=3,
        compute=Compute(device="cpu", precision="float32", threads=1),
    )


def address(tmp_path, experiment):
    loaded = load_experiment(experiment)
    store = Store(tmp_path / "store")
    Index(experiment=loaded, cells=[], entries=[], notes=[], warnings=[]).save(store)
    (path,) = (store.folder / "experiments").iterdir()
    return path.name


def later(model, value=7):
    """A class with a field more, which came later."""
    return create_model(model.__name__, __base__=model, added=(Annotated[int, LATER], value))


SPEC_KEYS = {
    "training": (training, "ab8967ac568ca9275707dccbb1a0a4d7"),
    "training under a schedule of its own": (
        lambda: training(
            schedule=Schedule(lr=0.1), given={}, defense=component("defense", "early-stopping", patience=3)
        ),
        "86989676bb0596524883de00a71953d0",
    ),
    "observation of logits": (lambda: observation(*probes("entropy")), "a9626b65da5708db41b42e5cb0996f5d"),
    "observation of gradients": (lambda: observation(*probes("grad-x", norm="l1")), "6311b786b313bcc27ac9d49ff189ced6"),
    "derived answers": (lambda: derived(TrueProbability(temperature=2)), "157ab0a417a1a0024cd6d145a23c20f9"),
    "attack that learns": (lambda: attack("nn"), "9638266e71065dbd745811eefe040356"),
    "white-box attack": (lambda: attack("grad-x"), "7515c34cb558b000c543a163c0c758ce"),
    "measure": (
        lambda: MeasureSpec(version=4, scores="1" * 32, logits=None, members="a" * 32, non_members="c" * 32),
        "15a120e7971fcdff00c357ccf09689c2",
    ),
    "part": (lambda: Part(ids="a" * 32, content="b" * 64), "430ea09f14cfd24337529aacc8e264e2"),
    "component": (lambda: component("defense", "dp-sgd"), "c90df54fbdf9b1aff4e9a9d4ffe1a6e7"),
    "probe": (lambda: probes("grad-x")[0], "d7b74dc67590f11abd66ddc384d523e9"),
    "compute": (lambda: Compute(device="cpu", precision="tf32", threads=4), "de3db3347e1c042d65cc7c0ab8bfb9a4"),
    "view": (
        lambda: ModelView(observations=["1" * 32], members="a" * 32, non_members="c" * 32),
        "37ac5b0ded948350c4924640d02ecffd",
    ),
}
PLAIN = {
    "dataset": "bits",
    "model": "mlp",
    "defense": ["ce", {"name": "dp-sgd", "schedule": {"lr": 0.5}}],
    "attacks": ["nn"],
    "schedule": {},
}
MARKED = {
    "name": "a/b",
    "dataset": {"name": "bits", "records": 0.5},
    "model": "mlp",
    "defense": "crl",
    "attacks": "entropy",
    "device": "cuda",
    "scale": 0.5,
    "schedule": {},
    "unpublished": ["crl.alpha_rce"],
    "tuned": {"crl": {"study": "s", "parameters": ["alpha_rce"]}},
}


@pytest.mark.parametrize(("make", "key"), SPEC_KEYS.values(), ids=SPEC_KEYS)
def test_the_keys_of_what_is_stored_stay(make, key):
    assert make().key == key


def test_the_key_of_a_network_stays():
    assert training().network(2).key == "636ddba34bda9d10bb45a7166bf8dec4"


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        (PLAIN, "experiment-ee8d96fe676a.json"),
        (MARKED, "a-b-08e34972920e.json"),
        ("bits", "bits-3b3e00d75f76.json"),
    ],
)
def test_the_addresses_of_indexes_stay(tmp_path, experiment, name):
    assert address(tmp_path, experiment) == name


def test_the_baseline_as_shadow_defense_has_the_address_of_its_former_name(tmp_path):
    """Stored under `ce`, before the baseline had a word."""
    for i, who in enumerate(("ce", "baseline")):
        experiment = PLAIN | {"schedule": {"epochs": 2}, "attacker": {"shadow_defense": who}}
        assert address(tmp_path / str(i), experiment) == "experiment-1cd7d7b50025.json"


def test_an_index_that_was_stored_before_cells_said_it_knows_its_baseline():
    stored = {"dataset": "bits", "model": "mlp", "params": {}}
    assert Cell.model_validate(stored | {"defense": "ce"}).is_baseline
    assert not Cell.model_validate(stored | {"defense": "crl"}).is_baseline
    assert not Cell.model_validate(stored | {"defense": "ce", "is_baseline": False}).is_baseline


def test_which_gpu_is_in_no_address(tmp_path):
    on = {device: address(tmp_path / device, PLAIN | {"device": device}) for device in ("cuda", "cuda:1", "cpu")}
    assert on["cuda:1"] == on["cuda"] != on["cpu"]


@pytest.mark.parametrize("changes", [{"threads": 2}, {"precision": "float64"}, {"scale": 0.25}, {"unpublished": ["x"]}])
def test_what_decides_results_or_marks_them_is_in_the_address(tmp_path, changes):
    assert address(tmp_path / "changed", MARKED | changes) != address(tmp_path, MARKED)


def test_a_renamed_spec_keeps_its_key():
    class Renamed(TrainingSpec, frozen=True):
        pass

    assert Renamed(**dict(training())).key == training().key


@pytest.mark.parametrize(
    ("device", "precision", "arithmetic"),
    [
        ("cpu", "float32", 1),
        ("cpu", "tf32", 1),
        ("mps", "float32", 1),
        ("cpu", "float64", 2),
        ("cuda:1", "float32", 3),
        ("cuda", "float64", 3),
    ],
)
def test_where_results_changed_the_arithmetic_is_another_version(device, precision, arithmetic):
    compute = Compute.on(device, precision, 1)
    kind = device.partition(":")[0]
    assert (compute.device, compute.arithmetic) == (kind, arithmetic)
    before = Compute(device=kind, precision=precision, threads=1)
    assert (compute.key == before.key) == (arithmetic == 1)
    assert compute == Compute.on(kind, precision, 1)


@pytest.mark.parametrize("name", ["cnn", "vgg11", "resnet18", "resnet20", "densenet121", "googlenet", "wrn28-2"])
def test_trainings_of_models_that_became_channels_last_have_other_keys(name):
    now = component("model", name)
    assert now.code == "2"
    assert training(model=now).key != training(model=now.model_copy(update={"code": "1"})).key


@pytest.mark.parametrize("name", ["mlp", "han"])
def test_trainings_of_the_other_models_keep_their_keys(name):
    assert component("model", name).code == "1"


# --- probes ---


OWN = {FeatureNorm, LogOdds, TrueProbability}  # of no attack


def built_in_probes():
    return {
        type(probe)
        for found in discover().all("attack")
        if found.source == "built-in"
        for probe in found.build({}).probes()
    }


def test_built_in_probes_have_fixed_names_of_their_own():
    kinds = built_in_probes() | OWN
    assert Logits in kinds
    assert all("stored_as" in vars(kind) for kind in kinds)
    assert len({kind.place() for kind in kinds}) == len(kinds)


def test_a_built_in_probe_is_found_by_its_fixed_name_wherever_it_is(monkeypatch):
    for kind in built_in_probes() | OWN:
        assert probe_class(*kind.place()) is kind
    (kind,) = [kind for kind in built_in_probes() if kind.__name__ == "LogGradientNorm"]
    monkeypatch.setattr(kind, "__module__", "miabench.attacks.elsewhere")
    assert observation(*probes("grad-x", norm="l1")).key == SPEC_KEYS["observation of gradients"][1]
    monkeypatch.setitem(sys.modules, "miabench.attacks.grad_x", None)  # its old place can be imported no more
    assert probe_class("miabench.attacks.grad_x", "LogGradientNorm") is kind


def test_a_worker_that_has_not_loaded_an_attack_finds_its_probe(monkeypatch):
    made = []

    def load():
        made.append(create_model("Moved", __base__=Probe, __module__="miabench.attacks.now_here"))
        made[0].stored_as = ("miabench.attacks.once_there", "Named")

    found = replace(discover().get("attack", "grad-x"), load=load)
    monkeypatch.setattr(discovery, "_built_in", lambda: (found,))
    discovery._built_in_probes.cache_clear()
    try:
        assert probe_class("miabench.attacks.once_there", "Named") is made[0]
    finally:
        discovery._built_in_probes.cache_clear()


def test_no_other_probe_takes_a_built_in_ones_place():
    class Mine(Logits, frozen=True):
        pass

    class Pretends(Probe, frozen=True):
        stored_as = ("miabench.contracts", "Logits")

    for kind in (Mine, Pretends):
        assert kind.place() == (kind.__module__, kind.__qualname__)


# --- fields that came later ---


def models():
    """One instance of every kind of model that is hashed."""
    yield training().schedule
    yield from (make() for make, _ in SPEC_KEYS.values())
    yield Experiment.model_validate(MARKED)
    yield Attacker()
    yield Logits()
    yield from (found.build({}) for kind in KINDS for found in discover().all(kind) if found.name in BUILDABLE)


BUILDABLE = ("crl", "grad-x", "nn", "bits", "mlp")


@pytest.mark.parametrize("model", list(models()), ids=lambda model: type(model).__name__)
def test_a_field_that_came_later_is_in_no_hash_while_it_has_its_default(model):
    kind = later(type(model))
    assert hashed(kind(**dict(model))) == hashed(model)
    assert hashed(kind(**dict(model), added=8)) == hashed(model) | {"added": 8}


def test_fields_are_left_out_at_any_depth():
    inner = later(Attacker)
    deep = create_model("Deep", one=(inner, ...), listed=(list[inner], ...), named=(dict[str, tuple[inner, int]], ...))
    model = deep(one=inner(), listed=[inner(), inner(added=8)], named={"x": (inner(), 1)})
    same = {"shadow_defense": "same"}
    assert hashed(model) == {"one": same, "listed": [same, same | {"added": 8}], "named": {"x": [same, 1]}}


def test_a_field_that_decides_nothing_is_in_no_hash():
    kind = create_model("Kind", __base__=Schedule, limit=(Annotated[float, NEVER], 60.0))
    assert hashed(kind()) == hashed(kind(limit=1.0)) == hashed(Schedule())


def test_the_description_of_a_plugin_has_all_its_parameters():
    """A worker builds the plugin from it, whatever the key leaves out; the key is the same from the JSON."""
    found = discover().get("attack", "nn")
    schedule = later(Schedule)
    changed = create_model("Changed", __base__=found.load(), schedule=(schedule, schedule()))
    described = Component.of(found, changed(schedule=schedule(epochs=3)))
    assert described.params["schedule"]["added"] == 7
    plain = component("attack", "nn", schedule=Schedule(epochs=3))
    assert "added" not in plain.params["schedule"]
    assert described.key == plain.key
    assert Component.model_validate_json(described.model_dump_json()).key == plain.key


MODELS = {  # in which file of the source each class gets a field
    "class Experiment(": "experiment",
    "class Attacker(": "attacker",
    "class Schedule(": "schedule",
    "class Compute(": "compute",
    "class TrainingSpec(": "training",
    "class ObservationSpec(": "observation",
    "class AttackSpec(": "attack",
    "class MeasureSpec(": "measure",
    "class Part(": "part",
    "class ModelView(Spec": "view",
    "class ProbeSpec(": "probe_spec",
    "class Component(": "component",
    "class CRL(": "defense",
    "class GradX(": "an_attack",
    "class LogGradientNorm(": "a_probe",
    "class NeuralNetwork(": "another_attack",
    "class MLP(": "a_model",
    "class Digits(": "a_dataset",
}
RUN = """
import sys
import miabench
assert miabench.__file__.startswith(sys.argv[1]), miabench.__file__
assert miabench.Experiment.model_validate(eval(sys.argv[3])).schedule.added_schedule == 7
miabench.run(eval(sys.argv[3]), store=sys.argv[2], executor="inline")
"""


@pytest.mark.slow
def test_with_a_field_more_in_every_kind_of_model_the_old_store_is_complete(tmp_path):
    experiment = {
        "dataset": {"name": "digits", "records": 120},
        "model": {"name": "mlp", "hidden": [4]},
        "defense": ["ce", "crl"],
        "attacks": ["nn", "grad-x"],
        "runs": 1,
        "shadows": 1,
        "schedule": {"epochs": 1},
    }
    store = tmp_path / "store"
    miabench.run(experiment, store=store, executor="inline")
    before = sorted(store.rglob("*"))
    root = Path(__file__).parents[3]
    changed = tmp_path / "changed" / "miabench"
    shutil.copytree(root / "miabench", changed)
    for folder in ("attacks", "defenses"):
        shutil.copytree(root / folder, changed / folder, dirs_exist_ok=True)
    added = [add_fields(path) for path in changed.rglob("*.py")]
    assert sum(added) == len(MODELS)
    command = [sys.executable, "-P", "-c", RUN, str(changed), str(store), repr(experiment)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(changed.parent)})
    assert done.returncode == 0, done.stderr
    assert sorted(store.rglob("*")) == before


def add_fields(path):
    """Give the classes of `MODELS` in a source file a field more, at the end of their fields' block."""
    text = path.read_text()
    found = [(start, name) for start, name in MODELS.items() if f"\n{start}" in text]
    for start, name in found:
        head, _, rest = text.partition(f"\n{start}")
        line, _, body = rest.partition(":\n")
        field = f"    added_{name}: __import__('typing').Annotated[int, __import__('miabench').LATER] = 7\n"
        text = f"{head}\n{start}{line}:\n{field}{body}"
    if found:
        path.write_text(text)
    return len(found)
