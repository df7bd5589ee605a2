"""A model's contract is checked at the door: one sentence that names it, before anything is trained."""

import re
from copy import deepcopy
from typing import ClassVar

import pytest
import torch
from torch import nn

import miabench
from miabench import Classifier, Domain, Model, UserError
from miabench.data.pool import Data
from miabench.plugins.contract import check_model
from miabench.plugins.discover import discover


class Flat(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.layer = nn.Linear(5, width)

    def forward(self, x):
        return self.layer(x)


class Double(Flat):
    def forward(self, x):
        return super().forward(x).double()


class Answers(Classifier):
    """Gives what a test wants in place of (logits, features)."""

    def __init__(self, change):
        super().__init__(Flat(), nn.Linear(6, 3), 6)
        self.change = change

    def forward(self, x):
        return self.change(*super().forward(x), self)


def model(build):
    class Made(Model, frozen=True):
        def build(self, domain: Domain):
            return build()

    return Made()


@pytest.fixture
def data():
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    return Data(x, torch.arange(8) % 3, ("a", "b", "c"))


def with_norm():
    return Classifier(nn.Sequential(Flat(), nn.BatchNorm1d(6), nn.Dropout()), nn.Linear(6, 3), 6)


def test_a_model_that_holds_its_contract_passes_and_changes_no_stream(data):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_model("mine", model(with_norm), data)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_built_in_models_hold_it(name):
    check_model(name, discover().get("model", name).build({}), miabench.load_dataset("digits"))


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: Flat(), "build must return a miabench.Classifier; it gave Flat"),
        (lambda: {"logits": 1}, "build must return a miabench.Classifier; it gave dict"),
        (lambda: Classifier(nn.LazyLinear(6), nn.Linear(6, 3), 6), "it has lazy layers"),
        (lambda: Answers(lambda z, f, net: {"logits": z}), "it answers dict; expected a pair, logits and features"),
        (lambda: Answers(lambda z, f, net: (z, f, f)), "it answers 3 values; expected a pair"),
        (lambda: Answers(lambda z, f, net: z), "it answers Tensor; expected a pair"),
        (lambda: Classifier(Flat(), nn.Linear(6, 1), 6), "shape (2, 1); expected (2, 3), for 3 classes"),
        (lambda: Classifier(Flat(), nn.Linear(6, 3), 7), "its features for two records have shape (2, 6); expected"),
        (lambda: Answers(lambda z, f, net: (z.argmax(1), f)), "its logits are torch.int64; expected numbers"),
        (lambda: Answers(lambda z, f, net: (z, f if net.training else f / 0)), "its features are not finite before"),
        (lambda: Classifier(Flat(), nn.Linear(9, 3), 6), "shape (5,) in training mode, it raises RuntimeError"),
        (lambda: Answers(lambda z, f, net: {"y": 1}["x"]), "it raises KeyError: 'x'"),
        (lambda: Classifier(Double(), nn.Linear(6, 3).double(), 6), "shape (5,) in training mode, it raises RuntimeE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_that_names_the_model(data, build, why):
    with pytest.raises(UserError, match=f"^model mine: .*{re.escape(why)}") as error:
        check_model("mine", model(build), data)
    assert "\n" not in str(error.value)


def test_a_state_that_cannot_be_loaded_again_is_refused(data):
    sizes = iter(range(4, 9))
    broken = model(lambda: Classifier(nn.Sequential(Flat(next(sizes)), nn.AdaptiveAvgPool1d(6)), nn.Linear(6, 3), 6))
    with pytest.raises(
        UserError, match=r"^model mine: its state cannot be stored and loaded again: Error.* size mismatch"
    ) as error:
        check_model("mine", broken, data)
    assert "\n" not in str(error.value)


def test_a_model_that_cannot_be_channels_last_is_refused_where_it_says_so(data):
    class View(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)

    class Spatial(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(1, 1, 1)

        def forward(self, x):
            return self.conv(x[:, None])[:, 0]

    def check(*layers):
        class Mine(Model, frozen=True):
            channels_last: ClassVar[bool] = True

            def build(self, domain):
                body = nn.Sequential(*map(deepcopy, layers))
                dim = body(torch.zeros(1, *domain.shape)).numel()
                return Classifier(body, nn.Linear(dim, domain.num_classes), dim)

        check_model("mine", Mine(), images)

    images = Data(torch.rand(6, 2, 4, 4), torch.arange(6) % 3, ("a", "b", "c"))
    check(nn.Conv2d(2, 3, 3), nn.Flatten())
    with pytest.raises(UserError, match=r"^model mine: asked about two records .* raises RuntimeError: view"):
        check(nn.Conv2d(2, 3, 3), View())
    with pytest.raises(UserError, match=r"^model mine: it says channels_last, but its weights cannot"):
        check(Spatial(), nn.Flatten())


def test_a_network_in_another_memory_layout_trains_and_is_stored(tmp_path, tiny):
    (tmp_path / "last.py").write_text(
        "import torch\nfrom torch import nn\nfrom miabench import Classifier, Model\n\n\n"
        "class Last(Model, frozen=True):\n    def build(self, domain):\n"
        "        body = nn.Sequential(nn.Conv2d(domain.shape[0], 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "        return Classifier(body, nn.Linear(4, domain.num_classes), 4).to(memory_format=torch.channels_last)\n"
    )
    table = miabench.run(
        tiny(dataset="toy-images", model="last", more_plugins=["toy_images"]),
        plugins=[tmp_path / "last.py"],
        store=tmp_path / "store",
        executor="inline",
    )
    assert table[table.metric == "test_accuracy"].value.notna().all()


def test_logits_that_are_no_numbers_are_no_accuracy(tmp_path, tiny):
    """A running variance that overflowed: training looks fine, evaluation gives NaN."""
    (tmp_path / "overflows.py").write_text(
        "import torch\nfrom torch.nn import functional as F\nfrom miabench import Defense\n\n\n"
        "class Overflows(Defense, frozen=True):\n    def architecture(self, net):\n"
        "        net.register_buffer('scale', torch.ones(()))\n        plain = net.forward\n"
        "        net.forward = lambda x: tuple(part * net.scale for part in plain(x))\n        return net\n\n"
        "    def fit(self, task):\n        net = task.net()\n        for _ in task.epochs(net=net):\n            pass\n"
        "        net.scale.fill_(float('nan'))\n        return net\n"
    )
    table = miabench.run(
        tiny(defense=["ce", "overflows"]),
        plugins=[tmp_path / "overflows.py"],
        store=tmp_path / "store",
        executor="inline",
    )
    assert table[table.defense == "ce"].value.notna().any()
    broken = table[table.defense == "overflows"]
    assert broken.value.isna().all()
    assert broken.reason.str.contains(
        r"logits of 160 of 160 records are not finite in evaluation mode \(first: record 0\)"
    ).any()
