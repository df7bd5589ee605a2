"""An audit of a network that was trained elsewhere, whatever its form."""

import copy
import sys

import numpy as np
import pytest
import torch
from miabench.attacks import _toolbox
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import miabench
from miabench import UserError
from miabench.auditing.audit import audit
from miabench.auditing.network import import_network
from miabench.logprob import log_odds
from miabench.plugins.discover import discover

FEATURES, CLASSES, MEMBERS, NONMEMBERS = 6, 3, 40, 30


def some(n, seed):
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.integers(CLASSES, size=n))
    return torch.from_numpy(rng.normal(size=(n, FEATURES)).astype(np.float32)) + torch.eye(CLASSES, FEATURES)[y], y


MEMBER, OTHER = some(MEMBERS, 0), some(NONMEMBERS, 1)


@pytest.fixture(scope="module", autouse=True)
def _no_search():
    """Without the toolbox of `boundary`, whose search takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_toolbox, "find_spec", lambda name: None)
        yield


@pytest.fixture(scope="module")
def net():
    """Trained on the members until it knows them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, CLASSES))
    optimizer = torch.optim.Adam(net.parameters(), 0.03)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(MEMBER[0]), MEMBER[1]).backward()
        optimizer.step()
    return net


@pytest.fixture(scope="module")
def found(net):
    return miabench.audit(net, MEMBER, OTHER)


def value(found, attack, column="value", metric="auc"):
    rows = found.table[(found.table["attack"] == attack) & (found.table["metric"] == metric)]
    return rows.iloc[0][column]


class Answers(nn.Module):
    """The same network with its answers in another form."""

    def __init__(self, net, form):
        super().__init__()
        self.net = net
        self.form = form

    def forward(self, x):
        return self.form(self.net(x))


# --- what it finds ---


def test_grad_x_is_the_norm_of_each_records_gradient(net, found):
    """One record at a time, by autograd, in float64."""
    compared = 0
    exact = copy.deepcopy(net).double().eval()
    for i, (x, y) in enumerate([*zip(*MEMBER, strict=True), *zip(*OTHER, strict=True)]):
        x = x.double()[None].requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(exact(x), y[None]), x)
        expected = -gradient.norm().log().item()
        if expected < 20:  # beyond, 1 - p loses its digits in float64
            assert found.scores["grad-x"][i] == pytest.approx(expected, abs=1e-4)
            compared += 1
    assert compared > 60


def test_black_box_attacks_find_what_they_find_in_the_predictions(net, found, tmp_path):
    net.eval()
    paths = [tmp_path / f"{name}.npz" for name in ("m", "n")]
    for path, (x, y) in zip(paths, (MEMBER, OTHER), strict=True):
        with torch.no_grad():
            np.savez(path, logits=net(x).numpy(), labels=y.numpy())
    net.train()
    predicted = audit(*paths)
    for attack in ("confidence", "entropy", "loss", "m-entropy", "gap"):
        np.testing.assert_allclose(found.scores[attack], predicted.scores[attack], rtol=1e-3, atol=1e-6)
    assert value(found, "confidence", "low") > 0.5
    assert found.verdict.startswith("members can be told from non-members: ")


def test_white_box_and_label_only_attacks_are_run_and_learning_ones_say_why_not(found):
    for attack in ("grad-x", "grad-w", "confidence", "gap"):
        assert len(found.scores[attack]) == MEMBERS + NONMEMBERS
    for attack in ("nn", "noise-agreement", "privacy-risk-score"):
        assert value(found, attack, "reason").startswith("it learns on shadow models: give --shadow-members")
    assert value(found, "augmentation-agreement", "reason").startswith("its records are not images")
    assert value(found, "quantile", "reason").startswith("quantile learns from records known to be outside")


def test_the_users_network_is_left_as_it_was(net):
    net.train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for parameter in net.parameters():
        parameter.grad = None
    miabench.audit(net.requires_grad_(False), MEMBER, OTHER)
    assert net.training
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    net.requires_grad_(True)


def test_a_frozen_network_has_weight_gradients_all_the_same(net, found):
    frozen = miabench.audit(net.requires_grad_(False), MEMBER, OTHER)
    net.requires_grad_(True)
    np.testing.assert_array_equal(frozen.scores["grad-w"], found.scores["grad-w"])


def test_a_dear_probe_is_asked_about_some_records_of_each_kind(net, tmp_path, monkeypatch):
    plugin = tmp_path / "dear.py"
    plugin.write_text(
        "import torch\nfrom miabench import Attack, Probe\n"
        "class Sum(Probe, frozen=True):\n"
        "    def observe(self, ask, x, y, noise):\n        return x.double().sum(1)\n"
        "class Dear(Attack, frozen=True):\n"
        "    def probes(self):\n        return (Sum(records=7),)\n"
        "    def score(self, target, state):\n        return target[self.probes()[0]]\n"
    )
    monkeypatch.setattr(miabench.auditing.audit, "discover", lambda: discover([plugin]))
    found = miabench.audit(net, MEMBER, OTHER)
    scores, there = found.scores["dear"], ~np.isnan(found.scores["dear"])
    assert (there[:MEMBERS].sum(), there[MEMBERS:].sum()) == (7, 7)
    sums = torch.cat([MEMBER[0], OTHER[0]]).double().sum(1).numpy()
    np.testing.assert_allclose(scores[there], sums[there])
    assert value(found, "dear", "n_members") == 7


# --- the forms that records come in ---


def test_tensors_arrays_loaders_datasets_and_files_are_the_same_records(net, found, tmp_path):
    for path, (x, y) in (("m.npz", MEMBER), ("n.npz", OTHER)):
        np.savez(tmp_path / path, x=x.numpy(), labels=y.numpy())
    forms = [
        [tuple(part.numpy() for part in records) for records in (MEMBER, OTHER)],
        [DataLoader(TensorDataset(*records), 7) for records in (MEMBER, OTHER)],
        [TensorDataset(*records) for records in (MEMBER, OTHER)],
        [[(records[0][:9], records[1][:9]), (records[0][9:], records[1][9:])] for records in (MEMBER, OTHER)],
        [tmp_path / "m.npz", str(tmp_path / "n.npz")],
    ]
    for members, nonmembers in forms:
        again = miabench.audit(net, members, nonmembers)
        for attack in ("grad-x", "confidence"):
            np.testing.assert_array_equal(again.scores[attack], found.scores[attack])


# --- the forms that networks come in ---


@pytest.mark.parametrize(
    "form",
    [
        lambda logits: (logits, logits[:, :2]),
        lambda logits: [logits],
        lambda logits: {"logits": logits, "loss": None},
        lambda logits: logits.double(),
    ],
    ids=["a pair", "a list", "a dict", "float64"],
)
def test_answers_of_other_forms(net, found, form):
    again = miabench.audit(Answers(net, form), MEMBER, OTHER)
    np.testing.assert_allclose(again.scores["confidence"], found.scores["confidence"], rtol=1e-6)
    np.testing.assert_allclose(again.scores["grad-x"], found.scores["grad-x"], rtol=1e-5)


@pytest.mark.parametrize("squeeze", [True, False])
def test_one_logit_of_two_classes(net, squeeze):
    """The log odds of y = 1, as networks that end in a sigmoid give them."""
    members, others = ((x, (y > 0).long()) for x, y in (MEMBER, OTHER))
    one = Answers(net, lambda logits: logits[:, 1] if squeeze else logits[:, 1:2])
    two = Answers(net, lambda logits: torch.stack([torch.zeros_like(logits[:, 1]), logits[:, 1]], 1))
    found = [miabench.audit(each, members, others).scores for each in (one, two)]
    for attack in ("confidence", "grad-x", "grad-w"):
        np.testing.assert_array_equal(found[0][attack], found[1][attack])


def test_softmax_named_logits_is_doubted(net):
    found = miabench.audit(Answers(net, lambda logits: logits.softmax(1)), MEMBER, OTHER)
    assert found.warnings[1].startswith("every row of logits lies in 0 to 1 and sums to 1")


def test_images_and_a_network_with_batch_norm():
    """What torch.func cannot map fails its own attack at most."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 3))
    parts = [(torch.randn(20, 1, 8, 8), torch.arange(20) % 3) for _ in range(2)]
    found = miabench.audit(net, *parts)
    assert value(found, "augmentation-agreement", "reason").startswith("it learns on shadow models")
    assert np.isfinite(found.scores["grad-x"]).all()
    assert np.isfinite(found.scores["grad-w"]).all()
    with torch.no_grad():
        answers = net.eval()(torch.cat([part[0] for part in parts])).numpy()
    odds = log_odds(answers, np.tile(np.arange(20) % 3, 2))
    np.testing.assert_allclose(found.scores["confidence"], odds, rtol=1e-4, atol=1e-5)


def test_tokens_have_no_gradient():
    torch.manual_seed(0)
    net = nn.Sequential(nn.EmbeddingBag(50, 8), nn.Linear(8, 3))
    parts = [(torch.randint(50, (20, 5)), torch.arange(20) % 3) for _ in range(2)]
    found = miabench.audit(net, *parts)
    assert value(found, "grad-x", "reason").startswith("its records are integer tokens")
    assert "confidence" in found.scores


# --- beside other models ---


def test_references_and_shadows_beside_a_network(net, tmp_path):
    rng = np.random.default_rng(0)
    labels = torch.cat([MEMBER[1], OTHER[1]]).numpy()
    logits = rng.normal(size=(5, len(labels), CLASSES)) + 2 * np.eye(CLASSES)[labels]
    np.savez(tmp_path / "refs.npz", logits=logits[:4])
    for name, rows in (("m", slice(0, 35)), ("n", slice(35, None))):
        np.savez(tmp_path / f"{name}.npz", logits=logits[4][rows], labels=labels[rows])
    found = miabench.audit(
        net,
        MEMBER,
        OTHER,
        shadow_members=[tmp_path / "m.npz"],
        shadow_nonmembers=[str(tmp_path / "n.npz")],
        reference_answers=tmp_path / "refs.npz",
        features=True,
    )
    assert (found.shadows, found.references) == (1, 4)
    for attack in ("lira", "rmia", "nn", "model-free"):
        assert 0 < value(found, attack) < 1, value(found, attack, "reason")
    assert 0 < value(found, "grad-x") < 1
    needs = "what it learns on shadow models needs these themselves, not their predictions"
    assert value(found, "noise-agreement", "reason") == needs
    assert value(found, "grad-x", "reason", "balanced_accuracy") == needs
    assert value(found, "confidence", "value", "balanced_accuracy") > 0.5


def test_a_reference_that_is_the_network(net, tmp_path):
    with torch.no_grad():
        own = net.eval()(torch.cat([MEMBER[0], OTHER[0]])).numpy()
    np.savez(tmp_path / "refs.npz", logits=own[None])
    with pytest.raises(UserError, match="reference 0 answers as the target itself does"):
        miabench.audit(net, MEMBER, OTHER, reference_answers=tmp_path / "refs.npz")


# --- what is wrong ---


def refused(message, *given, **others):
    with pytest.raises(UserError) as error:
        miabench.audit(*given, **others)
    assert message in str(error.value), str(error.value)


def test_networks_that_cannot_be_audited(net):
    refused("the network answers 2 records with torch.float32 of shape (2, 3, 1); expected logits (n, C), or a pair",
            Answers(net, lambda z: z[..., None]), MEMBER, OTHER)  # fmt: skip
    refused("the network answers 2 records with torch.int64 of shape (2, 2)",
            Answers(net, lambda z: z.argmax(1)), MEMBER, OTHER)  # fmt: skip
    refused("did not answer 2 records of shape (6,) and type torch.float32 with logits (n, C), or with a pair (logits, "
            "features): AttributeError", Answers(net, lambda z: {"out": z}), MEMBER, OTHER)  # fmt: skip
    refused("did not answer 2 records of shape (5,)", net, *((x[:, :5], y) for x, y in (MEMBER, OTHER)))
    refused(
        "logits of 70 of 70 records are not finite in evaluation mode", Answers(net, lambda z: z / 0), MEMBER, OTHER
    )


def test_records_that_cannot_be_audited(net, tmp_path):
    x, y = MEMBER
    refused("label 9 of record 40; the network answers 3 classes", net, MEMBER, (OTHER[0], OTHER[1] + 9 - OTHER[1][0]))
    refused("members: labels have shape (39,) and type torch.int64; expected 40 whole numbers", net, (x, y[1:]), OTHER)
    refused("members: labels have shape (40,) and type torch.float32", net, (x, y.float()), OTHER)
    refused("members: inputs hold values that are not finite numbers", net, (x / 0, y), OTHER)
    refused("members holds 9 records; an audit needs 10 members and 10 non-members", net, (x[:9], y[:9]), OTHER)
    refused("members: expected a pair of tensors (x, y), or a DataLoader or Dataset", net, x, OTHER)
    refused("members: expected a pair of tensors (x, y), or a DataLoader or Dataset", net, 3, OTHER)
    refused("members holds no records", net, [], OTHER)
    refused("members have shape (40, 6), non-members (30, 5): all records must have one shape", net, MEMBER,
            (OTHER[0][:, :5], OTHER[1]))  # fmt: skip
    np.savez(tmp_path / "m.npz", x=x, y=y)
    refused("m.npz has no array 'labels'. Known: x, y; with --model a file holds the network's inputs x (N, ...)",
            net, tmp_path / "m.npz", OTHER)  # fmt: skip
    np.savez(tmp_path / "m.npz", x=x, labels=["a"] * 40)
    refused("m.npz: labels has type <U1 and shape (40,); expected numbers", net, tmp_path / "m.npz", OTHER)
    refused("members and nonmembers are files of predictions, not tuple", None, MEMBER, OTHER)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "audited_net.py").write_text(
        "from torch import nn\nready = nn.Linear(6, 3)\ndef make():\n    return ready\ndef bad():\n    return 3\n"
        "def broken():\n    raise FileNotFoundError('weights.pt')\n"
    )
    yield "audited_net"
    sys.modules.pop("audited_net", None)


def test_a_network_by_name(module):
    assert import_network(f"{module}:make") is import_network(f"{module}:ready")
    assert 0 < value(miabench.audit(f"{module}:make", MEMBER, OTHER), "grad-x") < 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audited_net", "--model 'audited_net': give module:function, a function without arguments that gives the net"),
        ("no_such_net:make", "--model no_such_net:make: ModuleNotFoundError: No module named 'no_such_net'"),
        ("audited_net:mak", "--model audited_net:mak: audited_net has no 'mak'; did you mean 'make'?"),
        ("audited_net:bad", "--model audited_net:bad gives a int; expected a torch.nn.Module"),
        ("audited_net:broken", "--model audited_net:broken: FileNotFoundError: weights.pt"),
    ],
)
def test_wrong_names_of_networks(module, name, message):
    refused(message, name, MEMBER, OTHER)
