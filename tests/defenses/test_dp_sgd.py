"""dp-sgd: its gradients, clipping, noise and accounting, each against a slow or hand-worked twin."""

import ast
import html
import math
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses import dp_sgd
from miabench.defenses.dp_sgd import DPSGD, per_record_gradients
from scipy.optimize import brentq
from scipy.special import binom
from scipy.stats import norm
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data
from miabench.experiment.load import load_experiment
from miabench.plugins.network import build_network
from miabench.reports.write import report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.seeds import global_stream
from miabench.store.store import Store
from miabench.training.checkpoint import Checkpoint
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

pytest.importorskip("opacus")

PLUGINS = Path(__file__).parents[1] / "plugins"
SCHEDULE = Schedule(epochs=3, lr=0.2, batch_size=6)


class Tiny(miabench.Model, frozen=True):
    """Two linear layers; `layer` stands between them."""

    layer: str = "tanh"

    def build(self, domain):
        between = {
            "tanh": nn.Tanh(),
            "dropout": nn.Dropout(0.3),
            "batch-norm": nn.BatchNorm1d(4),
            "in-place": nn.ReLU(inplace=True),
            "instance-norm": nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
            "unused": Unused(),
            "centred": Centred(),
            "parts": Parts(),
            "twice": Twice(),
        }[self.layer]
        return miabench.Classifier(
            nn.Sequential(nn.Linear(*domain.shape, 4), between), nn.Linear(4, domain.num_classes), 4
        )


class Unused(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        return x.tanh()


class Centred(nn.Module):
    """Takes the mean over the batch away."""

    def forward(self, x):
        return x - x.mean(0)


class Parts(nn.Module):
    """A layer whose batch are parts of records, as a text model's may be sentences."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(2, 2)

    def forward(self, x):
        return self.part(x.reshape(-1, 2)).tanh().reshape(-1, 4)


class Twice(nn.Module):
    """Uses a layer's weight behind its back."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) + F.linear(x.tanh(), self.layer.weight)


class NoRecords(Task):
    """Every batch is empty."""

    def batches(self, ids, how="shuffle"):
        assert how == "poisson"
        return (batch[:0] for batch in super().batches(ids, how=how))


def toy(n=26):
    random = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    return Data(torch.eye(3, 5)[y] + 0.5 * torch.randn(n, 5, generator=random), y, ("a", "b", "c"))


def images(n=3):
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 3, 32, 32), generator=random, dtype=torch.uint8)
    return Data(pixels, torch.arange(n) % 10, tuple("abcdefghij"), scale=1 / 255)


def train(defense, data=None, kind=Task, stream="dropout", **changes):
    data = data or toy()
    values = {
        "model": Tiny(),
        "ids": {"train": torch.arange(len(data))},
        "given": {},
        "schedule": SCHEDULE,
        "seed": 7,
        "device": torch.device("cpu"),
    }
    values |= changes
    build = partial(build_network, values.pop("model"), defense, data.domain)
    made = TaskConfig(build=build, num_classes=data.num_classes, **values)
    task = kind(made, data.inputs(torch.arange(len(data)), made.device, made.dtype), data.y)
    with global_stream(made.seed, stream):
        return defense.fit(task), task


def one_at_a_time(net, x, y):
    """Gradients of each record's own loss: a list of lists of tensors."""
    losses = (F.cross_entropy(net(x[i : i + 1])[0], y[i : i + 1]) for i in range(len(y)))
    return [torch.autograd.grad(loss, list(net.parameters())) for loss in losses]


@pytest.mark.parametrize("name", ["mlp", "cnn", "vgg11", "resnet18"])
def test_per_record_gradients_equal_a_loop_over_records(name):
    data = images()
    net = DPSGD().architecture(miabench.create_model(name, num_classes=10)).double().train()
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()  # its masks would differ
    x, y = data.inputs(torch.arange(3), torch.device("cpu"), torch.float64), data.y
    expected = one_at_a_time(net, x, y)
    with per_record_gradients(net) as hooked:
        F.cross_entropy(hooked(x)[0], y, reduction="sum").backward()
        ours = [p.grad_sample for p in net.parameters()]
    for i in range(3):
        for p, q in zip(ours, expected[i], strict=True):
            torch.testing.assert_close(p[i], q, rtol=1e-8, atol=1e-10)
    assert not torch.allclose(ours[0][0], ours[0][1])


@pytest.mark.parametrize("physical", [None, 1, 4])
def test_training_equals_a_loop_that_clips_each_record(physical):
    defense = DPSGD(noise_multiplier=1e-12, max_grad_norm=0.9, physical_batch_size=physical)
    net, task = train(defense, dtype=torch.float64)
    twin = Task(task._config, task.x[:], task.y)
    slow = twin.net()
    opt = twin.optimizer(slow)
    norms, sizes = [], []
    for _ in twin.epochs(net=slow):
        for ids in twin.batches(twin.ids["train"], how="poisson"):
            total = [torch.zeros_like(p) for p in slow.parameters()]
            for record in one_at_a_time(slow, twin.x[ids], twin.y[ids]):
                length = torch.cat([g.flatten() for g in record]).norm()
                norms.append(float(length))
                total = [t + g * min(1.0, 0.9 / float(length)) for t, g in zip(total, record, strict=True)]
            sizes.append(len(ids))
            for p, t in zip(slow.parameters(), total, strict=True):
                p.grad = t / 6  # the expected size of a batch, whatever its own
            opt.step()
    assert min(norms) < 0.8 < 1.0 < max(norms), "some are clipped, some are not"
    assert len(set(sizes)) > 2
    for p, q in zip(net.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)  # Opacus adds 1e-6 to the norms


@pytest.mark.parametrize("physical", [1, 4])
def test_physical_batches_change_nothing_but_rounding(physical):
    """Noise is added once a step, whatever the batch is cut into."""
    whole, task = train(DPSGD(), dtype=torch.float64)
    cut, other = train(DPSGD(physical_batch_size=physical), dtype=torch.float64)
    start = task.net()
    for p, q, r in zip(whole.parameters(), cut.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
        assert not torch.allclose(p, r, rtol=0.1)
    assert task.journal.history == [pytest.approx(record) for record in other.journal.history]


def test_noise_alone_has_the_right_size():
    class Wide(miabench.Model, frozen=True):
        def build(self, domain):
            return miabench.Classifier(nn.Linear(*domain.shape, 4000), nn.Linear(4000, domain.num_classes), 4000)

    plain = Schedule(epochs=1, lr=1.0, momentum=0, weight_decay=0, batch_size=13)
    defense = DPSGD(noise_multiplier=3.0, max_grad_norm=0.5)
    net, task = train(defense, kind=NoRecords, model=Wide(), schedule=plain)
    start, end = (torch.cat([p.detach().flatten() for p in part.parameters()]) for part in (task.net(), net))
    steps = end - start
    # two steps of std sigma * C / batch_size each
    assert float(steps.std()) == pytest.approx(math.sqrt(2) * 3.0 * 0.5 / 13, rel=5 / math.sqrt(2 * len(steps)))
    assert float(steps.mean().abs()) < 5 * float(steps.std()) / math.sqrt(len(steps))


def test_noise_follows_the_seed():
    nets = [
        train(DPSGD(), seed=seed, stream=stream)[0] for seed, stream in ((1, "dropout"), (1, "else"), (2, "dropout"))
    ]
    first, again, other = (torch.cat([p.flatten() for p in net.parameters()]) for net in nets)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def rdp_to_epsilon(rdp, orders, delta):
    """Balle et al. (2020), Theorem 21."""
    return min(
        r + math.log(1 - 1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for r, a in zip(rdp, orders, strict=True)
    )


def test_epsilon_without_sampling_is_that_of_the_gaussian_mechanism():
    schedule = SCHEDULE.model_copy(update={"batch_size": 26})  # every record in every batch
    _, task = train(DPSGD(noise_multiplier=2.0, delta=1e-5), schedule=schedule)
    orders = np.arange(2, 60, 0.1)
    for epoch, record in enumerate(task.journal.history, 1):
        expected = rdp_to_epsilon([epoch * a / (2 * 2.0**2) for a in orders], orders, 1e-5)
        assert record["epsilon"] == pytest.approx(expected, rel=1e-3)
        assert record["delta"] == 1e-5

    mu = math.sqrt(3) / 2.0  # three steps

    def excess(epsilon):  # Balle and Wang (2018), Theorem 8: their delta, exactly
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - 1e-5

    exact = brentq(excess, 0.1, 50)
    assert exact < task.journal.history[-1]["epsilon"] < 1.15 * exact


def test_epsilon_with_sampling_counts_empty_batches():
    schedule = Schedule(epochs=2, lr=0.1, batch_size=1)
    _, task = train(DPSGD(noise_multiplier=0.8), schedule=schedule)
    q, sigma, steps, delta = 1 / 26, 0.8, 2 * 26, 1 / 26
    orders = range(2, 25)
    rdp = []
    for a in orders:  # Mironov, Talwar and Zhang (2019), Eq. 3, for whole orders
        terms = [binom(a, k) * (1 - q) ** (a - k) * q**k * math.exp((k * k - k) / (2 * sigma**2)) for k in range(a + 1)]
        rdp.append(steps * math.log(sum(terms)) / (a - 1))
    by_hand = rdp_to_epsilon(rdp, orders, delta)
    assert 0.8 * by_hand < task.journal.history[-1]["epsilon"] <= by_hand * (1 + 1e-9)  # broken orders are tighter
    assert task.journal.history[-1]["delta"] == delta


@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_the_sum_over_steps_is_what_opacus_gives(sigma):
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(sigma, 0.1, 40), (2 * sigma, 0.1, 7)]
    expected = accountant.get_epsilon(1e-4, alphas=dp_sgd.ORDERS)
    assert dp_sgd.spent(accountant, 1e-4) == pytest.approx(expected, rel=1e-12)


def test_prv_epsilon_of_one_step_is_exact():
    schedule = Schedule(epochs=1, lr=0.1, batch_size=18)  # 26 / 18 rounds to one step
    sigma, q, delta = 1.5, 18 / 26, 1e-4
    _, task = train(DPSGD(noise_multiplier=sigma, delta=delta, accountant="prv"), schedule=schedule)

    def excess(epsilon):  # of (1 - q) N(0, sigma^2) + q N(1, sigma^2) over exp(epsilon) N(0, sigma^2)
        x = sigma**2 * math.log((math.exp(epsilon) - 1 + q) / q) + 0.5  # where the two densities are equal
        above = norm.sf([x, x - 1], scale=sigma)
        return (1 - q) * above[0] + q * above[1] - math.exp(epsilon) * above[0] - delta

    assert task.journal.history[-1]["epsilon"] == pytest.approx(brentq(excess, 0.1, 20), abs=0.03)


@pytest.mark.parametrize("target", [0.5, 8.0, 1e5])
def test_target_epsilon_is_spent_and_kept(target):
    _, task = train(DPSGD(target_epsilon=target))
    assert 0.99 * target < task.journal.history[-1]["epsilon"] <= target
    assert task.journal.history[0]["epsilon"] < task.journal.history[-1]["epsilon"]


def test_an_epsilon_that_no_noise_gives():
    with pytest.raises(
        miabench.UserError,
        match=r"no noise_multiplier is enough for target_epsilon = 1e-05 with delta = 1e-09 and 12 steps; raise",
    ):
        train(DPSGD(target_epsilon=1e-5, delta=1e-9))


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path):
    common = {"model": Tiny(layer="dropout"), "schedule": SCHEDULE.model_copy(update={"epochs": 5})}
    whole_net, whole = train(DPSGD(), **common)
    epochs_run = []

    def stop_in_third(record):
        epochs_run.append(record["epoch"])
        if len(epochs_run) == 3:
            raise InterruptedError

    common |= {"checkpoint": Checkpoint(tmp_path / "checkpoint", seconds=0), "progress": stop_in_third}
    with pytest.raises(InterruptedError):
        train(DPSGD(), **common)
    net, resumed = train(DPSGD(), **common)
    assert epochs_run == [1, 2, 3, 3, 4, 5]
    assert resumed.journal.history == whole.journal.history
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), whole_net.parameters(), strict=True))


def test_batch_norm_becomes_group_norm():
    net = DPSGD().architecture(miabench.create_model("cnn", num_classes=10))
    norms = [layer for layer in net.modules() if isinstance(layer, nn.GroupNorm)]
    assert [(layer.num_groups, layer.num_channels) for layer in norms] == [(16, 16), (32, 32), (32, 64), (32, 128)]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    assert DPSGD().advice(images(), _model("cnn")) == ["dp-sgd replaces the model's 4 BatchNorm layers by GroupNorm"]
    assert DPSGD().advice(toy(), Tiny()) == []


def test_group_norm_after_a_fully_connected_layer_keeps_its_input_apart():
    net = DPSGD().architecture(Tiny(layer="batch-norm").build(toy().domain))
    features = net(toy().x)[1]
    assert features.std(0).min() > 0.1


def test_the_network_is_plain_and_loads():
    data = images(8)
    net, _ = train(DPSGD(), data, model=_model("cnn"), schedule=Schedule(epochs=1, batch_size=4))
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in net.modules())
    assert not any(hasattr(p, "grad_sample") for p in net.parameters())
    fresh = build_network(_model("cnn"), DPSGD(), data.domain)
    fresh.load_state_dict(net.state_dict())
    x = data.inputs(torch.arange(8), torch.device("cpu"))
    assert torch.equal(net.eval()(x)[0], fresh.eval()(x)[0])


def _model(name):
    return miabench.plugins.discover.discover().get("model", name).build({})


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("instance-norm", "We do not support tracking running stats with differential privacy"),
        ("in-place", "a view and is being modified inplace"),
        ("unused", "the loss does not reach encoder.1.spare.weight"),
        ("centred", "a record's depends on the others in its batch"),
        ("twice", "those of the records do not add up to that of the batch"),
        ("parts", "there is not one for each record of encoder.1.part.weight"),
    ],
)
def test_a_model_that_opacus_cannot_serve_is_refused_while_planning(layer, reason):
    refused = DPSGD().unsupported(toy(), Tiny(layer=layer))
    assert refused.startswith("Opacus gives no per-record gradients of this model: ")
    assert reason in refused


IMAGE_MODELS = [found.name for found in miabench.plugins.discover.discover().all("model") if found.name != "han"]


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_planning_accepts_models_and_leaves_the_random_state_alone(name):
    """It tries each: gradients of records add up to the batch's, and do not depend on each other."""
    before = torch.get_rng_state()
    assert DPSGD().unsupported(images(), _model(name)) is None
    assert torch.equal(before, torch.get_rng_state())


def test_han_is_refused_in_one_sentence():
    random = torch.Generator().manual_seed(0)
    words = torch.randint(1, 20, (6, 3, 5), generator=random)
    data = Data(words, torch.arange(6) % 3, ("a", "b", "c"), embedding=torch.randn(20, 8, generator=random))
    assert DPSGD().unsupported(data, _model("han")) == (
        "Opacus gives no per-record gradients of this model: We do not support nn.GRU because its implementation uses "
        "special modules"
    )


def test_without_opacus_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(dp_sgd, "find_spec", lambda name: None if name == "opacus" else find_spec(name))
    reason = DPSGD().unsupported(toy(), Tiny())
    assert reason == "it needs Opacus, which is not installed: pip install 'miabench[dp]'"


def test_the_file_imports_opacus_in_functions_only():
    body = ast.parse(Path(dp_sgd.__file__).read_text()).body
    names = [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert names
    assert not any("opacus" in ast.unparse(n) for n in names)


def test_both_ways_to_choose_the_noise():
    with pytest.raises(
        miabench.UserError, match=r"^defense dp-sgd: give noise_multiplier or target_epsilon, not both$"
    ):
        miabench.create_defense("dp-sgd", noise_multiplier=2.0, target_epsilon=1.0)


def test_a_small_experiment(tmp_path):
    table = miabench.run(
        {
            "name": "tiny",
            "dataset": "toy",
            "model": {"name": "mlp", "hidden": [16]},
            "defense": ["ce", {"name": "dp-sgd", "noise_multiplier": [0.5, 20.0]}],
            "attacks": ["margin", "grad-x"],
            "runs": 1,
            "shadows": 1,
            "schedule": {"epochs": 4, "batch_size": 16},
            "plugins": [str(PLUGINS / "toy.py"), str(PLUGINS / "margin.py")],
        },
        store=tmp_path / "store",
        executor="inline",
    )
    accuracy = table[table.metric == "train_accuracy"].value.tolist()
    assert accuracy[0] >= accuracy[1] > accuracy[2], "more noise, less fit"
    assert table[table.metric == "auc"].value.notna().all()


def test_every_form_of_a_report_says_what_was_spent_and_replaced(tmp_path, capsys):
    experiment = {
        "name": "tiny",
        "dataset": "toy-images",
        "model": "cnn",
        "defense": ["ce", {"name": "dp-sgd", "target_epsilon": [2.0, 50.0]}],
        "attacks": ["margin"],
        "runs": 1,
        "shadows": 1,
        "schedule": {"epochs": 2, "batch_size": 3},
        "plugins": [str(PLUGINS / "toy_images.py"), str(PLUGINS / "margin.py")],
    }
    store = Store(tmp_path / "store")
    miabench.run(experiment, store=store.folder, executor="inline")
    results = Results(Index.load(store, load_experiment(experiment)), store)
    spent = [results.history(cell).epsilon.tolist()[-1] for cell in results.index.cells[1:]]
    assert np.all((np.array([1.9, 49]) < spent) & (spent <= np.array([2, 50])))
    note = (
        f"toy-images cnn dp-sgd target_epsilon=2.0: (ε, δ) = ({spent[0]:.4g}, 0.1667); "
        f"cnn dp-sgd target_epsilon=50.0: (ε, δ) = ({spent[1]:.4g}, 0.1667); "
        "(ε, δ) is what one training spends, for adding or removing one record; it covers the network alone: not the "
        "choice of hyper-parameters, not a normalisation computed from the data"
    )
    for form in ("table", "markdown", "latex", "html"):
        report(results, form, 5.0, None)
        text = capsys.readouterr().out.replace("\\", "").replace("$epsilon$", "ε").replace("$delta$", "δ")
        text = " ".join(text.split())
        assert text.count(note) == 1, form
        assert "dp-sgd replaces the model's 4 BatchNorm layers by GroupNorm" in html.unescape(text), form
