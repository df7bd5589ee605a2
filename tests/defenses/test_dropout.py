"""Dropout before the last layer."""

import pytest
import torch
from torch import nn

import miabench
from miabench.seeds import global_stream
from miabench.training.classifier import Classifier

FEATURES = 4000


def network(p):
    """Its logits are the sums of the even and of the odd features that its head sees; its features are its inputs."""
    net = Classifier(nn.Identity(), nn.Linear(FEATURES, 2, bias=False), FEATURES)
    net.head.weight.data = torch.stack([torch.arange(FEATURES) % 2 == 0, torch.arange(FEATURES) % 2 == 1]).float()
    return miabench.create_defense("dropout", p=p).architecture(net)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_features_are_hidden_in_training_and_the_rest_scaled(p):
    x = torch.ones(500, FEATURES)
    with global_stream(0, "dropout"), torch.no_grad():
        logits, features = network(p)(x)
    assert torch.equal(features, x), "what losses on features see is whole"
    kept = logits * (1 - p) / (FEATURES / 2)  # the share of each half that was seen
    spread = (p * (1 - p) / (FEATURES / 2)) ** 0.5
    assert kept.mean().item() == pytest.approx(1 - p, abs=4 * spread / 1000**0.5)
    assert kept.std().item() == pytest.approx(spread, rel=0.1)


def test_answers_are_those_of_the_whole_network():
    x = torch.randn(20, FEATURES, generator=torch.Generator().manual_seed(0))
    whole, dropped = network(0.0).eval(), network(0.9).eval()
    assert torch.equal(dropped(x)[0], whole(x)[0])


def test_a_stored_network_has_the_same_weights_whatever_is_dropped():
    assert network(0.2).state_dict().keys() == network(0.7).state_dict().keys()
