"""The smallest hook: a defense that is a loss."""

import pytest
import torch
from torch.nn import functional as F

import miabench


class Seen(miabench.Defense, frozen=True):
    """Counts, in the loss, what it was given."""

    weight: float = 2.0

    def loss(self, logits, features, targets, epoch):
        return self.weight * F.cross_entropy(logits, targets) + features.square().mean() + epoch


def test_the_loss_is_the_criterion():
    random = torch.Generator().manual_seed(0)
    logits, features = torch.randn(6, 3, generator=random), torch.randn(6, 5, generator=random)
    targets = torch.arange(6) % 3
    criterion = Seen().criterion(3, 5)
    expected = 2 * F.cross_entropy(logits, targets) + features.square().mean() + 7
    assert criterion(logits, features, targets, 7) == expected
    assert list(criterion.parameters()) == []
    assert criterion.measured() == {}


def test_a_defense_without_a_loss_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Defense overrides none of loss, criterion and fit"):
        miabench.Defense().criterion(3, 5)(torch.zeros(1, 3), torch.zeros(1, 5), torch.zeros(1).long(), 1)


BODIES = {
    "loss": "    def loss(self, logits, features, targets, epoch):\n        return logits.sum()\n",
    "criterion": "    def criterion(self, num_classes, feature_dim):\n        return Criterion()\n",
    "fit": "    def fit(self, task):\n        return task.net()\n",
    "serve": "    def serve(self, net, logits, noise):\n        return logits\n",
}


@pytest.mark.parametrize(
    ("has", "problem"),
    [
        (["serve"], "it has nothing to train with: give it a loss, a criterion or a fit of its own"),
        (
            ["loss", "criterion"],
            "it has a loss and a criterion, and only the latter would be used: give it one of both",
        ),
    ],
)
def test_what_can_not_be_trained_with_is_told_while_planning(tiny, tmp_path, has, problem):
    plugin = tmp_path / "odd.py"
    bodies = "\n".join(BODIES[name] for name in has)
    plugin.write_text(f"from miabench import Criterion, Defense\n\n\nclass Odd(Defense, frozen=True):\n{bodies}")
    with pytest.raises(miabench.UserError) as caught:
        miabench.run(
            tiny(defense=["ce", "odd", {"name": "odd", "schedule": {"lr": 0.5}}]),
            plugins=[plugin],
            store=tmp_path / "store",
            executor="inline",
        )
    assert caught.value.problems == (f"defense odd: {problem}",)


class Counted(miabench.Defense, frozen=True):
    """A criterion of its own."""

    def criterion(self, num_classes, feature_dim):
        return miabench.Criterion()


class Replaced(Seen, frozen=True):
    """A criterion in place of an inherited loss: the later word counts."""

    def criterion(self, num_classes, feature_dim):
        return miabench.Criterion()


class Ignored(Counted, frozen=True):
    """A loss beneath an inherited criterion, which would be trained with."""

    def loss(self, logits, features, targets, epoch):
        return logits.sum()


def test_of_what_is_inherited_the_later_word_counts():
    assert (Seen.oversight(), Counted.oversight(), Replaced.oversight()) == (None, None, None)
    assert type(Replaced().criterion(3, 5)) is miabench.Criterion
    assert Ignored.oversight().startswith("it has a loss and a criterion, and only the latter would be used")


def test_epochs_count_from_one(tiny, tmp_path):
    plugin = tmp_path / "told.py"
    plugin.write_text(
        "from torch.nn import functional as F\nfrom miabench import Defense\n\n\n"
        "class Told(Defense, frozen=True):\n    def loss(self, logits, features, targets, epoch):\n"
        "        return F.cross_entropy(logits, targets) * 0 + epoch\n"
    )
    store = tmp_path / "store"
    miabench.run(tiny(defense=["told"], shadows=1), plugins=[plugin], store=store, executor="inline")
    histories = [path.read_text() for path in store.glob("networks/*/history.json")]
    assert histories
    assert all('"loss": 1.0' in one and '"loss": 3.0' in one and '"loss": 0.0' not in one for one in histories)
