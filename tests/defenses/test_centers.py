"""CRL's centers: whose gradient moves them; and levels that are never reached, of them and of the cross entropy."""

import math

import pytest
import torch
from miabench.defenses._levels import lowest_center_loss
from miabench.defenses._relaxation import RelaxedCenterLoss, normalise
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.store.hashed import hashed
from miabench.training.classifier import Classifier

WITH_CENTERS = ["crl", "relaxed-center-loss"]


# --- gradients ---


def gradients(criterion, epoch):
    """The loss of one batch, and its gradients in logits, features and centers."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 4, generator=random, dtype=torch.float64).requires_grad_()
    features = torch.randn(8, 6, generator=random, dtype=torch.float64).relu().requires_grad_()
    loss = criterion(logits, features, torch.arange(8) % 4, epoch)
    return loss, *torch.autograd.grad(loss, [logits, features, criterion.centers], materialize_grads=True)


def criterion(name, **params):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return miabench.create_defense(name, **params).criterion(4, 6).double()


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("weight", [0.02, 3.0])
@pytest.mark.parametrize("name", WITH_CENTERS)
def test_centers_may_follow_their_own_loss_alone(name, weight, epoch):
    """Algorithm 1, line 24: the gradient of L_rcl. Loss, and what the network learns, stay."""
    params = {"lambda_rcl": weight, "alpha_rcl": 0.3}
    loss, logits, features, centers = gradients(criterion(name, **params), epoch)
    ours = gradients(criterion(name, **params, center_gradient="rcl"), epoch)
    assert torch.equal(ours[0], loss)
    assert torch.equal(ours[1], logits)
    assert torch.equal(ours[2], features)
    torch.testing.assert_close(ours[3], centers / weight, rtol=1e-12, atol=1e-15)
    part = RelaxedCenterLoss(0.3, 1.0 if name == "crl" else 0.0, 1.0, (4, 6)).double()
    part.centers.data = criterion(name, **params).centers.data
    torch.testing.assert_close(ours[3], gradients(part, epoch)[3], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", WITH_CENTERS)
def test_without_weight_centers_rest(name):
    assert not gradients(criterion(name, lambda_rcl=0, center_gradient="rcl"), 1)[3].any()


@pytest.mark.parametrize("name", WITH_CENTERS)
def test_the_default_is_in_no_key(name):
    """What was stored before there was a choice is found again."""
    assert "center_gradient" not in hashed(miabench.create_defense(name))
    assert hashed(miabench.create_defense(name, center_gradient="rcl"))["center_gradient"] == "rcl"


# --- levels ---


class Features(miabench.Model, frozen=True):
    """D features that are never negative, or are."""

    dim: int = 256
    negative: bool = False

    def build(self, domain):
        encoder = [nn.Linear(domain.shape[0], self.dim), nn.Identity() if self.negative else nn.ReLU()]
        return Classifier(nn.Sequential(*encoder), nn.Linear(self.dim, domain.num_classes), self.dim)


def data(num_classes):
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    return Data(x, torch.arange(40) % num_classes, tuple(map(str, range(num_classes))))


def advice(name, num_classes=20, model=None, **params):
    return list(miabench.create_defense(name, **params).advice(data(num_classes), model or Features()))


@pytest.mark.parametrize(
    ("dim", "tau", "floor"), [(100, 1, 0.208), (256, 1, 0.223), (1024, 1, 0.235), (100, 0.1, 6.3), (1024, 0, 256)]
)
def test_the_floor_of_the_center_loss(dim, tau, floor):
    """As it was measured, and as found here: the nearest that features can come to centers from N(0, I)."""
    assert lowest_center_loss(dim, tau) == pytest.approx(floor, rel=0.02)
    u = normalise(torch.randn(4000, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64), tau)
    nearest = u.clamp(min=0)  # a normalised feature vector may be any within the ball, so this one
    assert ((nearest - u).square().sum(1) / 2).mean().item() == pytest.approx(lowest_center_loss(dim, tau), rel=0.02)


@pytest.mark.parametrize(("name", "tau"), [("crl", 1), ("crl", 0.3), ("relaxed-center-loss", 0)])
def test_a_center_part_whose_level_is_not_given_lies_above_the_floor(name, tau):
    """In multiples of what normalised features of 256 numbers can reach at best."""
    params = {"tau_rcl": tau} if tau else {}
    floor = 256 / 4 / (1 + 16 * tau) ** 2
    for floors in (1.5, 7.0):
        losses = miabench.create_defense(name, floors=floors, **params).criterion(10, 256)
        assert losses.rcl.alpha == pytest.approx(floors * floor)
        assert advice(name, floors=floors, **params) == []
    assert miabench.create_defense(name, floors=7, alpha_rcl=0.4, **params).criterion(10, 256).rcl.alpha == 0.4
    (warning,) = advice(name, floors=0.9, **params)
    assert "the center part never relaxes" in warning


def test_a_center_part_that_never_relaxes():
    assert advice("crl", alpha_rcl=0.1) == [
        "crl: alpha_rcl = 0.1 is at or below 0.22, about the lowest value that L_ct can take with tau_rcl = 1 and 256 "
        "features that are never negative: the center part never relaxes. Raise alpha_rcl or tau_rcl, for example "
        "--set crl.alpha_rcl=0.66"
    ]
    assert advice("relaxed-center-loss", alpha_rcl=1) == [
        "relaxed-center-loss: alpha_rcl = 1 is at or below 64, about the lowest value that L_ct can take with 256 "
        "features that are never negative: the center part never relaxes. Raise alpha_rcl, for example "
        "--set relaxed-center-loss.alpha_rcl=190"
    ]
    assert advice("crl", alpha_rcl=0.66) == advice("crl", alpha_rcl=0.1, tau_rcl=3) == []
    assert advice("crl", alpha_rcl=0.1, lambda_rcl=0) == []
    assert advice("crl", alpha_rcl=0.1, model=Features(negative=True)) == [], "such features reach every center"
    assert "at or below 0.21" in advice("crl", alpha_rcl=0.1, model=Features(dim=100))[0]


CE_LEVELS = {"crl": "alpha_rce", "imp-relaxloss": "alpha_rce", "relaxed-center-loss": "alpha_rce", "relaxloss": "alpha"}


@pytest.mark.parametrize(("name", "parameter"), CE_LEVELS.items())
def test_a_level_above_guessing(name, parameter):
    """On two classes 1 nat is above ln 2."""
    (warning,) = (line for line in advice(name, 2, **{parameter: 1.0}) if f"{parameter} = 1 " in line)
    assert "is at or above 0.69, the cross entropy of guessing among 2 classes" in warning
    value = float(warning.rpartition(f"--set {name}.{parameter}=")[2])
    assert 0 < value < math.log(2)
    assert not any("guessing" in line for line in advice(name, 2, **{parameter: value}))
    assert not any("guessing" in line for line in advice(name, 3, **{parameter: 1.0}))


@pytest.mark.parametrize(("name", "parameter"), CE_LEVELS.items())
@pytest.mark.parametrize(("num_classes", "level"), [(2, math.log(2) / 2), (7, math.log(7) / 2), (8, 1.0), (100, 1.0)])
def test_a_level_that_is_not_given_lies_below_guessing(name, parameter, num_classes, level):
    """The first loss of an untrained network, in an even epoch: |L - alpha|, read off at two given levels."""
    assert advice(name, num_classes) == []
    logits, targets = torch.zeros(4, num_classes), torch.zeros(4, dtype=torch.long)

    def loss(**params):
        torch.manual_seed(0)
        criterion = miabench.create_defense(name, **params).criterion(num_classes, 6)
        return criterion(logits, torch.zeros(4, 6), targets, 2).item()

    assert loss() == pytest.approx(loss(**{parameter: level}))
    assert loss() != pytest.approx(loss(**{parameter: 0.9 * level}))


@pytest.mark.parametrize("name", ["crl", "imp-relaxloss"])
def test_a_cross_entropy_part_that_never_relaxes(name):
    (warning,) = (line for line in advice(name, alpha_rce=0.7, tau_rce=0.5) if "L_lce" in line)
    assert warning.startswith(
        f"{name}: alpha_rce = 0.7 is at or below 1.24, the lowest value that L_lce can take with "
    )
    assert warning.endswith(
        f"tau_rce = 0.5 and 20 classes: the CE part never relaxes. Raise alpha_rce (for example --set "
        f"{name}.alpha_rce=2.1) or lower tau_rce"
    )
