"""precision = "bf16": networks multiply in bfloat16; what is kept, and what is computed beside them, is float32."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import miabench
from miabench.data.pool import Domain
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.plugins.discover import discover
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.store.store import Store

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.convolution, aten.convolution_backward, aten.mkldnn_rnn_layer}
IMAGES = Domain((3, 32, 32), 4)
DOMAINS = {
    "mlp": Domain((30,), 4),
    "cnn": IMAGES,
    "resnet20": IMAGES,
    "han": Domain((3, 5), 4, 50, torch.randn(50, 8, generator=torch.Generator().manual_seed(0))),
}


class Types(TorchDispatchMode):
    """The types of all products."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in PRODUCTS:
            self.seen |= {arg.dtype for arg in args if isinstance(arg, torch.Tensor)}
        return func(*args, **(kwargs or {}))


def network(model, products):
    plugins = discover()
    built = plugins.get("model", model).build({})
    with global_stream(0, "weights"):
        net = build_network(built, miabench.create_defense("ce"), DOMAINS[model], products)
    return net.eval()  # without dropout


def inputs(model):
    domain = DOMAINS[model]
    random = torch.Generator().manual_seed(0)
    if domain.vocabulary:
        return torch.randint(1, domain.vocabulary, (6, *domain.shape), generator=random)
    return torch.randn(6, *domain.shape, generator=random)


@pytest.mark.parametrize("model", DOMAINS)
def test_products_are_in_bfloat16_and_all_else_in_float32(model):
    exact, rounded = network(model, None), copy.deepcopy(network(model, torch.bfloat16))
    x = inputs(model)
    with Types() as types:
        logits, features = rounded(x)
        torch.nn.functional.cross_entropy(logits, torch.arange(6) % 4).backward()
    assert types.seen == {torch.bfloat16}
    assert {logits.dtype, features.dtype} == {torch.float32}
    assert {weight.grad.dtype for weight in rounded.parameters()} == {torch.float32}
    for answered, expected in zip((logits, features), exact(x), strict=True):
        assert not torch.equal(answered, expected)
        assert (answered - expected).norm() < 0.05 * expected.norm()


@pytest.fixture
def weights(tmp_path, tiny):
    """What is stored of the trainings under a precision, and why those failed that did."""

    def weights(precision, defense="ce"):
        plan = make_plan(load_experiment(tiny(precision=precision, defense=[defense])), Paths(tmp_path / "store"))
        outcome = run_stages(plan, ["train", "attack"], ExecutorConfig("inline"), lambda event: None)
        store, trained = Store(tmp_path / "store"), [job for job in plan.jobs.values() if job.kind == "train"]
        failed = [store.failure(job.key) for job in trained if store.failure(job.key)]
        if not failed:
            assert not outcome.failed
        refs = [ref for job in trained for ref in job.gives if store.has(ref)]
        return [load_file(store.file(ref, "weights.safetensors")) for ref in refs], failed

    return weights


@pytest.mark.parametrize("defense", ["crl", "dmp", "advreg"])
def test_an_experiment_keeps_float32_weights_which_are_others(weights, defense):
    (exact, _), (rounded, failed) = weights("float32", defense), weights("bf16", defense)
    assert not failed
    assert len(rounded) == len(exact) > 0
    for ours, theirs in zip(rounded, exact, strict=True):
        assert {name: value.dtype for name, value in ours.items()} == {n: v.dtype for n, v in theirs.items()}
        assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_dp_sgd_is_refused_as_its_clipping_must_be_exact(weights):
    pytest.importorskip("opacus")
    _, failed = weights("bf16", "dp-sgd")
    assert all("dp-sgd clips gradients that must be exact" in why for why in failed)
    assert failed


def test_a_forward_of_its_own_is_refused():
    class Own(miabench.Classifier):
        def forward(self, x):
            return self.head(x), x

    class Odd(miabench.Model, frozen=True):
        def build(self, domain):
            return Own(torch.nn.Identity(), torch.nn.Linear(30, 4), 30)

    with pytest.raises(miabench.UserError, match="Odd has a forward of its own, for which there is no bf16"):
        build_network(Odd(), miabench.create_defense("ce"), DOMAINS["mlp"], torch.bfloat16)
