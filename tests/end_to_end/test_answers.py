"""What is stored of a network's answers is what its stored weights answer in evaluation mode, worked out here anew."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

FIRST = 100


def forward(weights, x, training=False):
    """Logits and features of the recorder network, in float64, from its weights by name; dropout is off."""
    w = {name: value.double() for name, value in weights.items() if value.is_floating_point()}
    linear = F.linear(x[:, 1:].flatten(1).double(), w["encoder.1.weight"], w["encoder.1.bias"])
    moments = w["encoder.2.running_mean"].clone(), w["encoder.2.running_var"].clone()
    features = F.batch_norm(linear, *moments, w["encoder.2.weight"], w["encoder.2.bias"], training).relu()
    return F.linear(features, w["head.weight"], w["head.bias"]), features


@pytest.fixture(params=["spied", "shown_flipped"])
def run(request):
    """Dropout and BatchNorm; on a table, and on images that are augmented while training."""
    return request.getfixturevalue(request.param)


def answered(run):
    """Each network whose answers were stored."""
    keys = {run.spec("observations", path.name)["network"] for path in (run.folder / "observations").iterdir()}
    return sorted(keys)


def test_logits_are_those_of_the_stored_weights_in_evaluation_mode(run):
    x = run.pool().x
    for network in answered(run):
        stored = run.observations(network)["answers"]
        assert (stored.shape, stored.dtype) == ((len(x), 3), np.float32)
        weights = run.weights(network)
        np.testing.assert_allclose(stored, forward(weights, x)[0], rtol=1e-4, atol=1e-5)
        batch = forward(weights, x, training=True)[0]
        assert (torch.from_numpy(stored) - batch).abs().max() > 0.1, "a network in training mode answers the same"


def test_feature_norms_are_those_of_the_stored_weights_in_evaluation_mode(run):
    x = run.pool().x
    for network in answered(run):
        norms = run.observations(network)["feature_norm"]
        np.testing.assert_allclose(norms, forward(run.weights(network), x)[1].norm(dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_a_probe_of_the_network_itself_asks_it_in_evaluation_mode(spied, number):
    seen = spied.scores(defense="ce", run=number, attacker="adaptive", attack="spy-on-own")
    x = spied.pool().x
    for i in range(spied.experiment["shadows"]):
        asked = x[seen[f"state.{i}.Asked"][:, 0].astype(int) - FIRST]
        logits = forward(spied.weights(spied.network("ce", number, f"shadow-{i}")), asked)[0]
        np.testing.assert_allclose(seen[f"state.{i}.Bare"], logits, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, run_in):
    """What a spy learns from two shadows under a defense that answers with noise."""
    run = run_in(tmp_path_factory.mktemp("noisy"), defense=["noisy-server"], attacks=["spy-on-own"], shadows=2)
    return run.scores(defense="noisy-server", attack="spy-on-own")


def test_served_noise_is_a_records_own_whatever_is_asked_before_it(noisy):
    """Asked in the pool's order, and in another order about fewer records."""
    for i in (0, 1):
        noise = noisy[f"state.{i}.Served"] - noisy[f"state.{i}.Bare"]
        assert noise.std() > 0.1
        np.testing.assert_allclose(noisy[f"state.{i}.Served"], noisy[f"state.{i}.Logits"], rtol=1e-4, atol=1e-4)


def test_served_noise_differs_between_records_and_between_models(noisy):
    noise = [noisy[f"state.{i}.Served"] - noisy[f"state.{i}.Bare"] for i in (0, 1)]
    by_number = [dict(zip(noisy[f"state.{i}.Asked"][:, 0], noise[i], strict=True)) for i in (0, 1)]
    assert all(len(np.unique(own.round(3), axis=0)) == len(own) for own in noise)
    for number in by_number[0].keys() & by_number[1].keys():
        first, second = (own[number] / np.abs(own[number]).max() for own in by_number)
        assert not np.allclose(first, second, atol=1e-2)
