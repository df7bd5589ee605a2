"""The quantile attack: its regressor, what it is fitted on, and what happens where it is fitted on what it scores."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from miabench.attacks.quantile import features, quantiles
from sklearn.metrics import roc_auc_score

from miabench import Data, LogOdds, Observed, UserError, create_attack

PHI = LogOdds()


def observed(phi, inputs, labels=None, population=None, num_classes=2):
    labels = np.zeros(len(phi), dtype=int) if labels is None else np.asarray(labels)
    return Observed(
        labels, None, num_classes, {PHI: np.asarray(phi, dtype=float)}, {}, population=population, inputs=inputs
    )


@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_equals_the_stored_thresholds(golden, alpha):
    """SACRO's regressor, on features and the class as a number, fitted on the first half."""
    arrays = golden("q_quantile").arrays
    x = np.column_stack([arrays["hgb.features"], arrays["hgb.labels"]])
    found = quantiles(x[:300], arrays["hgb.hinge"][:300], x, 1 - alpha)
    np.testing.assert_allclose(found, arrays[f"hgb.threshold.a{alpha}"], rtol=1e-6)
    np.testing.assert_allclose(arrays["hgb.hinge"] - found, arrays[f"hgb.margin.a{alpha}"], rtol=1e-6, atol=1e-12)


def world(random, n):
    """Records whose phi without membership is 3 x_0 + noise."""
    x = random.normal(size=(n, 5))
    return 3 * x[:, 0] + random.normal(size=n) * (0.5 + (x[:, 1] > 0)), x


def test_is_the_distance_above_the_quantile_of_records_alike():
    random = np.random.default_rng(0)
    known = observed(*world(random, 4000))
    phi, x = world(random, 4000)
    member = np.arange(4000) < 2000
    target = observed(phi + 2 * member, x, population=known)
    found = create_attack("quantile").score(target, {})
    assert roc_auc_score(member, found) > roc_auc_score(member, target[PHI]) + 0.1
    assert (found[~member] > 0).mean() == pytest.approx(0.1, abs=0.06)
    strict = create_attack("quantile", alpha=0.5).score(target, {})
    assert (strict[~member] > 0).mean() == pytest.approx(0.5, abs=0.06)


def test_fitted_on_what_it_scores_it_would_follow_those_scores():
    """The known mistake: among the very non-members of the fit alpha lie above, among others many more."""
    random = np.random.default_rng(0)
    phi, x = world(random, 300)
    others = world(random, 300)
    known = observed(phi, x)
    share = {
        name: (create_attack("quantile").score(observed(*records, population=known), {}) > 0).mean()
        for name, records in (("scored", (phi, x)), ("fresh", others))
    }
    assert share["scored"] < 0.15
    assert share["fresh"] > share["scored"] + 0.05


def test_looks_at_the_population_alone():
    """What is scored beside a record, and whether it was a member, moves no threshold."""
    random = np.random.default_rng(0)
    known = observed(*world(random, 300))
    phi, x = world(random, 200)
    attack = create_attack("quantile")
    whole = attack.score(observed(phi, x, population=known), {})
    few = attack.score(observed(phi[:9], x[:9], population=known), {})
    np.testing.assert_array_equal(whole[:9], few)


def test_ignores_the_order_of_the_population():
    random = np.random.default_rng(0)
    phi, x = world(random, 300)
    order = random.permutation(300)
    target = world(random, 50)
    attack = create_attack("quantile")
    first = attack.score(observed(*target, population=observed(phi, x)), {})
    second = attack.score(observed(*target, population=observed(phi[order], x[order])), {})
    np.testing.assert_array_equal(first, second)


def test_images_are_seen_as_tiles_and_classes_as_columns():
    images = np.arange(2 * 3 * 16 * 20, dtype=np.uint8).reshape(2, 3, 16, 20)
    seen = features(observed([0, 0], images, labels=[1, 0]))
    assert seen.shape == (2, 3 * 8 * 8 + 2)
    np.testing.assert_array_equal(seen[:, -2:], [[0, 1], [1, 0]])
    tiles = images.astype(float).reshape(2, 3, 8, 2, 20).mean(3)
    starts = [i * 20 // 8 for i in range(9)]
    expected = np.stack([tiles[..., a:b].mean(-1) for a, b in pairwise(starts)], -1)
    np.testing.assert_allclose(seen[:, :-2], expected.reshape(2, -1))
    small = features(observed([0, 0], np.ones((2, 1, 5, 5)), labels=[0, 0]))
    assert small.shape == (2, 5 * 5 + 2)


def test_tables_are_seen_as_they_are():
    x = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    np.testing.assert_array_equal(features(observed(np.zeros(4), x, labels=[0, 1, 0, 1]))[:, :7], x)


@pytest.mark.parametrize("population", [None, observed([], np.zeros((0, 5)))])
def test_without_population_is_an_error(population):
    with pytest.raises(UserError, match="known to be outside the training, but there are none"):
        create_attack("quantile").score(observed([0.0], np.zeros((1, 5)), population=population), {})


def test_asks_for_population_and_inputs_and_refuses_tokens():
    attack = create_attack("quantile")
    assert attack.population
    assert attack.inputs
    tokens = Data(torch.zeros(4, 7, dtype=torch.int64), torch.arange(4) % 2, ("a", "b"))
    reals = Data(torch.zeros(4, 7), torch.arange(4) % 2, ("a", "b"))
    assert "integer tokens" in attack.unsupported("pool", tokens, SimpleNamespace())
    assert attack.unsupported("pool", reals, SimpleNamespace()) is None
