"""What every defense must do; a new file in defenses/ is tested here by itself."""

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from miabench.defenses import ce
from torch.func import functional_call

import miabench
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, Plan, make_plan
from miabench.jobs.resources import Resources
from miabench.jobs.runner import JobRunner
from miabench.jobs.specs import Component
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.plugins.discover import discover
from miabench.store.store import Store
from miabench.training.serving import Served

FOUND = {found.name: found for found in discover().all("defense") if found.source == "built-in"}
WITH_CRITERION = [
    name
    for name, found in FOUND.items()
    if not (found.load().criterion is miabench.Defense.criterion and found.load().loss is miabench.Defense.loss)
]
WITH_CENTERS = [name for name, found in FOUND.items() if "center_lr" in found.load().model_fields]
CHEAPER = {  # for a schedule of four epochs
    "dmp-gan": {"gan_epochs": 2},
    "early-stopping": {"stop_epoch": 3},
    "selena": {"sub_models": 3, "left_out": 1},
}

CELLS = [name for name in FOUND if name != "copy"]  # which is trained by attackers
every_defense = pytest.mark.parametrize("name", FOUND)


def test_there_are_the_defenses_of_the_paper():
    assert set(FOUND) >= {
        "ce", "relaxloss", "crl", "label-smoothing", "confidence-penalty", "early-stopping", "advreg", "dmp",
        "dmp-gan", "center-loss", "imp-relaxloss", "relaxed-center-loss", "dp-sgd", "memguard",
    }  # fmt: skip


def test_every_file_is_tested_here():
    files = {path.stem.replace("_", "-") for path in Path(ce.__file__).parent.glob("[!_]*.py")}
    assert set(FOUND) == files


@every_defense
def test_it_builds_and_is_described(name):
    defense = miabench.create_defense(name)
    fields = type(defense).model_fields
    assert all(info.description for info in fields.values())
    assert sys.modules[type(defense).__module__].__doc__.count("\n") > 1, "source and formula"


# --- criteria ---

BATCH, CLASSES, FEATURES = 8, 4, 5
EPOCHS = [1, 2]  # odd and even
NOT_GRADIENTS = {  # move their centers by a rule that is no gradient of the loss
    "center-loss": [{"centers": "wen"}],
    "crl": [{"center_gradient": "rcl"}],
    "relaxed-center-loss": [{"center_gradient": "rcl"}],
}


def variants(name):
    """Defaults, and every other choice of a named option."""
    fields = FOUND[name].load().model_fields.items()
    options = [(field, info) for field, info in fields if get_origin(info.annotation) is Literal]
    other = [
        {field: option} for field, info in options for option in get_args(info.annotation) if option != info.default
    ]
    return [{}, *(params for params in other if params not in NOT_GRADIENTS.get(name, []))]


CRITERIA = [
    pytest.param(name, params, id=" ".join([name, *params.values()]))
    for name in WITH_CRITERION
    for params in variants(name)
]


@dataclass(frozen=True)
class Batch:
    """Inputs of a criterion in float64, and the criterion as a function of all that it can be lowered by."""

    criterion: miabench.Criterion
    targets: torch.Tensor
    variables: tuple[torch.Tensor, ...]  # logits, features, the criterion's own parameters

    def loss(self, epoch, *variables):
        logits, features, *own = variables
        names = [name for name, _ in self.criterion.named_parameters()]
        arguments = (logits, features, self.targets, epoch)
        return functional_call(self.criterion, dict(zip(names, own, strict=True)), arguments)


@pytest.fixture(params=[0.3, 6.0], ids=["unsure", "sure"])
def batch(request, name, params):
    """An untrained network's logits, or a trained one's, so that a relaxed loss is above and below its level."""
    random = torch.Generator().manual_seed(4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        criterion = miabench.create_defense(name, **params).criterion(CLASSES, FEATURES).double()
    targets = torch.arange(BATCH) % CLASSES
    right = request.param * torch.nn.functional.one_hot(targets, CLASSES).double()
    logits = right + 0.5 * torch.randn(BATCH, CLASSES, generator=random, dtype=torch.float64)
    features = torch.randn(BATCH, FEATURES, generator=random, dtype=torch.float64)
    own = [parameter.detach() for parameter in criterion.parameters()]
    return Batch(criterion, targets, tuple(v.clone().requires_grad_() for v in (logits, features, *own)))


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(("name", "params"), CRITERIA)
def test_the_gradient_equals_finite_differences(batch, epoch):
    assert batch.loss(epoch, *batch.variables).shape == ()
    assert torch.autograd.gradcheck(lambda *variables: batch.loss(epoch, *variables), batch.variables, rtol=1e-5)


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(("name", "params"), CRITERIA)
def test_a_small_step_lowers_the_objective_as_its_gradient_says(batch, epoch):
    loss = batch.loss(epoch, *batch.variables)
    gradients = torch.autograd.grad(loss, batch.variables, allow_unused=True, materialize_grads=True)
    slope = sum(gradient.square().sum() for gradient in gradients)
    assert slope > 1e-8
    stepped = [v.detach() - 1e-4 * gradient for v, gradient in zip(batch.variables, gradients, strict=True)]
    lowered = loss - batch.loss(epoch, *stepped)
    assert lowered > 0
    assert lowered.item() == pytest.approx(1e-4 * slope.item(), rel=0.01)


@pytest.mark.parametrize("name", WITH_CENTERS)
def test_centers_learn_at_their_own_rate(name):
    """And start from N(0, 1), from the stream that is seeded when they are made."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        criterion = miabench.create_defense(name, center_lr=0.02).criterion(CLASSES, 5000)
    assert criterion.lr == 0.02
    (centers,) = criterion.parameters()
    assert centers.shape == (CLASSES, 5000)
    assert centers.mean().item() == pytest.approx(0, abs=0.05)
    assert centers.std().item() == pytest.approx(1, abs=0.05)


# --- trainings ---


@dataclass(frozen=True)
class Trained:
    """A tiny experiment with one defense, trained and attacked; `fitted` holds what `fit` returned, by network."""

    name: str
    plan: Plan
    store: Store
    fitted: dict[str, torch.nn.Module]

    @property
    def own(self):
        """The trainings of the defense itself."""
        return [job for job in trainings(self.plan) if job.spec.defense.name == self.name]

    @property
    def target(self):
        """The training of the attacked network."""
        network = self.plan.index.entries[0].network
        return next(job for job in self.own if network in job.gives)


def trainings(plan):
    return [job for job in plan.jobs.values() if job.kind == "train"]


def weights(plan):
    """The bytes of every network that was trained, by key."""
    store = Store(plan.context.store)
    networks = [ref for job in trainings(plan) for ref in job.gives]
    return {ref.key: store.file(ref, "weights.safetensors").read_bytes() for ref in networks}


@pytest.fixture(scope="module")
def make(tiny, tmp_path_factory):
    """Plan a tiny experiment with one defense, in an empty store, on the first data that the defense supports."""

    def make(name):
        places = Paths(tmp_path_factory.mktemp("store"))
        experiment = tiny(
            defense=[{"name": name, **CHEAPER.get(name, {})}],
            attacks=["margin", "grad-x"],
            shadows=1,
            schedule={"epochs": 4, "batch_size": 8, "milestones": {2: 0.01}},
            more_plugins=["toy_images"],
        )
        for data in ("toy", "toy-images"):
            plan = make_plan(load_experiment(experiment | {"dataset": data}), places)
            if plan.jobs:
                return plan
        reason = plan.index.cells[0].reason
        if "not installed" in reason:
            pytest.skip(reason)
        raise AssertionError(f"no data for {name}: {reason}")

    return make


@pytest.fixture(scope="module", params=CELLS)
def trained(request, make):
    plan, cls, fitted = make(request.param), FOUND[request.param].load(), {}
    fit = cls.fit

    def remembered(self, task):
        fitted[task._config.seed, self] = fit(self, task)
        return fitted[task._config.seed, self]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "fit", remembered)
        outcome = run_stages(plan, ("train", "attack"), ExecutorConfig("inline"), lambda event: None)
    assert outcome.failed == {}
    specs = {job.gives[-1].key: job.spec for job in trainings(plan) if job.spec.defense.name == request.param}
    nets = {key: fitted[spec.seed, cls(**spec.defense.params)].eval() for key, spec in specs.items()}
    return Trained(request.param, plan, Store(plan.context.store), nets)


def test_a_stored_network_is_the_fitted_one(trained):
    resources = Resources(trained.plan.context)
    for job in trained.own:
        loaded, _, _ = resources.network(job.gives[-1].key, resources.pool(job.dataset, job.identity))
        fitted = trained.fitted[job.gives[-1].key].state_dict()
        assert loaded.state_dict().keys() == fitted.keys()
        assert all(torch.equal(value, fitted[name]) for name, value in loaded.state_dict().items())


def test_a_stored_network_answers_as_the_fitted_one(trained):
    """And finite logits, through the API as well as bare; what was stored when it was observed is the same."""
    resources, job = Resources(trained.plan.context), trained.target
    data, x = resources.pool(job.dataset, job.identity), resources.inputs(job, torch.float32)[:]
    loaded, defense, _ = resources.network(job.gives[-1].key, data)
    fitted = trained.fitted[job.gives[-1].key]
    with torch.no_grad():
        logits, features = loaded(x)
        assert torch.equal(logits, fitted(x)[0])
        served = Served(fitted, defense.server(), job.spec.seed)(x)[0]
    assert logits.shape == (len(data), data.num_classes)
    assert features.ndim == 2
    assert logits.isfinite().all()
    observed = next(
        trained.store.arrays(other.gives[0])["answers"]
        for other in trained.plan.jobs.values()
        if other.kind == "observe" and other.spec.network == job.gives[-1].key and other.spec.probe.qualname == "Logits"
    )
    np.testing.assert_array_equal(observed, served)


def test_withheld_records_are_neither_members_nor_scored(trained):
    store = trained.store
    for job in trained.own:
        parts = [set(store.ids(part.ids)) for part in job.spec.parts.values()]
        assert sum(map(len, parts)) == len(set().union(*parts)), "parts overlap"
    parts = {name: set(store.ids(part.ids)) for name, part in trained.target.spec.parts.items()}
    members = parts.pop("train")
    attacks = [store.arrays(job.gives[0]) for job in trained.plan.jobs.values() if job.kind == "attack"]
    assert len(attacks) == 2
    for scores in attacks:
        assert set(scores["target_row"][scores["target_member"]]) == members
        assert not set(scores["target_row"]) & set().union(*parts.values())


def test_one_seed_gives_the_same_bits(trained, make):
    again = make(trained.name)
    with torch.random.fork_rng():
        torch.manual_seed(99)  # of no effect
        run_stages(again, ("train",), ExecutorConfig("inline"), lambda event: None)
    assert weights(again) == weights(trained.plan)


def test_an_interrupted_training_goes_on_to_the_same_bits(trained, make):
    again = make(trained.name)
    runner = JobRunner(again.context.model_copy(update={"checkpoint_seconds": 0.0}))
    for job in trainings(again):
        epochs = []

        def stop_in_second(record, epochs=epochs):
            epochs.append(record["epoch"])
            if len(epochs) == 2:
                raise InterruptedError

        with suppress(InterruptedError):
            runner.run(job, stop_in_second)
        runner.run(job, stop_in_second)
        assert epochs[:2] + epochs[3:] == list(range(1, len(epochs))) if len(epochs) > 2 else epochs == []
    assert weights(again) == weights(trained.plan)


# --- hyper-parameters ---


def others(info):
    """Valid values of a field beside its default, as far as its type tells them."""
    options = get_args(info.annotation)
    if get_origin(info.annotation) is Literal:
        return [option for option in options if option != info.default]
    if bool in (info.annotation, *options):
        return [not info.default]
    if int in (info.annotation, *options):
        return [(info.default or 2) + 1]
    return [0.5 if info.default is None else info.default / 2] if float in (info.annotation, *options) else []


@every_defense
def test_experiments_round_trip(name, tiny):
    """Through JSON, and through the description that workers build from, with every field changed in turn."""
    found = FOUND[name]
    fields = found.load().model_fields
    changes = [{}, *({field: value} for field, info in fields.items() for value in others(info))]
    for change in changes:
        experiment = load_experiment(tiny(defense=[{"name": name, **change}]))
        assert load_experiment(json.loads(experiment.model_dump_json())) == experiment
        defense = found.build(experiment.defense[0].params)
        assert all(getattr(defense, field) == value for field, value in change.items())
        described = Component.of(found, defense)
        assert found.build(json.loads(described.model_dump_json())["params"]) == defense


BEYOND = {
    Ge: ("ge", -1),
    Gt: ("gt", 0),
    Le: ("le", 1),
    Lt: ("lt", 0),
}  # how far beyond a bound the nearest wrong value is


@every_defense
def test_values_out_of_bounds_are_refused_with_the_bound_named(name):
    for field, info in FOUND[name].load().model_fields.items():
        for item in info.metadata:
            if type(item) in BEYOND:
                attribute, step = BEYOND[type(item)]
                bound = getattr(item, attribute)
                with pytest.raises(miabench.UserError) as caught:
                    miabench.create_defense(name, **{field: bound + step})
                message = str(caught.value)
                assert message.startswith(f"defense {name}: {field} = {bound + step}: Input should be ")
                assert message.endswith(f" than {bound}") or message.endswith(f" equal to {bound}")


@pytest.mark.parametrize("name", CELLS)
def test_whatever_has_a_number_to_choose_can_be_tuned_within_its_bounds(name):
    """At both ends of all ranges together; only the undefended network has nothing but its learning rate."""
    cls = FOUND[name].load()
    assert bool(cls.tune) == (name != "ce")
    assert cls.tune.keys() <= cls.model_fields.keys()
    for end in ("low", "high"):
        values = {field: getattr(declared, end) for field, declared in cls.tune.items()}
        values = {field: 50 if value == "epochs" else value for field, value in values.items()}
        built = miabench.create_defense(name, **values)
        assert {field: getattr(built, field) for field in values} == values


@pytest.mark.parametrize("name", [name for name in FOUND if "reference_fraction" in FOUND[name].load().model_fields])
def test_the_reference_share_is_the_one_asked_for(name):
    assert miabench.create_defense(name, reference_fraction=0.3).withhold() == {"reference": 0.3}


@every_defense
def test_numbers_have_bounds(name):
    """Or a negative learning rate would be found out by the training."""
    for field, info in FOUND[name].load().model_fields.items():
        if {int, float} & {info.annotation, *get_args(info.annotation)}:
            assert any(type(item) in BEYOND for item in info.metadata), field


@every_defense
def test_unknown_and_ill_typed_hyper_parameters_are_refused(name):
    with pytest.raises(miabench.UserError, match=f"^defense {name} has no parameter 'alpah'"):
        miabench.create_defense(name, alpah=1)
    for field in FOUND[name].load().model_fields:
        with pytest.raises(miabench.UserError, match=f"^defense {name}: {field} = {{}}: Input should be "):
            miabench.create_defense(name, **{field: {}})
