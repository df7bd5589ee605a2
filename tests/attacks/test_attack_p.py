"""Attack P: a record's loss among those of its class that are known to be outside."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from miabench import LogOdds, Observed, UserError, create_attack

PHI = LogOdds()


def observed(phi, labels, population=None):
    labels = np.asarray(labels)
    return Observed(labels, None, 3, {PHI: np.asarray(phi, dtype=float)}, {}, population=population)


def counts(found, n):
    return np.floor(found * (2 + n) + 1e-9) - 1


def scores(*args):
    return create_attack("attack-p").score(observed(*args), {})


def test_equals_privacy_meter(golden):
    """Its score is the share of losses strictly below; a record that is in the population is not below itself."""
    arrays = golden("l_population_reference").arrays
    phi, z = arrays["phi"][0], arrays["pm_old.population"]
    found = scores(phi, np.zeros(90, dtype=int), observed(phi[z], np.zeros(36, dtype=int)))
    below = np.round(arrays["attack_p.pm_old"] * 36)
    np.testing.assert_array_equal(counts(found, 36), 36 - below - np.isin(np.arange(90), z))
    members = arrays["keep"][0]
    assert roc_auc_score(members, counts(found, 36)) == pytest.approx(roc_auc_score(members, -below), abs=0.01)


def test_rates_at_leakpros_thresholds(golden):
    """Records whose loss is at most the alpha-quantile of the population's: those with a p-value of about alpha."""
    arrays = golden("l_population_reference").arrays
    loss, outside = arrays["loss"][0], arrays["population.loss"]
    found = scores(-loss, np.zeros(90, dtype=int), observed(-outside, np.zeros(51, dtype=int)))
    at_most = 51 - counts(found, 51)  # population losses at most the record's
    for threshold, tpr in zip(arrays["attack_p.lp.thresholds"], arrays["attack_p.lp.tpr"], strict=True):
        members = arrays["keep"][0]
        assert (at_most[members] <= (outside <= threshold).sum()).mean() >= tpr
        assert (loss[members] <= threshold).mean() == pytest.approx(tpr)


def test_each_class_has_its_own_population():
    known = observed([0.0, 1, 2, 10, 20], [0, 0, 0, 1, 1])
    found = scores([1.5, 1.5, 15.0, 15.0], [0, 1, 0, 1], known)
    np.testing.assert_array_equal(counts(found, np.array([3, 2, 3, 2])), [2, 0, 3, 1])


def test_a_class_without_population_takes_everyone():
    known = observed([0.0, 1, 2, 10, 20], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(counts(scores([5.0], [2], known), 5), [3])


def test_equal_losses_do_not_count_and_are_ranked_on():
    known = observed([1.0, 1.0, 2.0], [0, 0, 0])
    found = scores([1.0, 1.5, 1.7, 2.0, 900.0], [0] * 5, known)
    np.testing.assert_array_equal(counts(found, 3), [0, 2, 2, 2, 3])
    assert (np.diff(found) > 0).all()


def test_is_a_p_value():
    """Among non-members the share of scores above 1 - alpha is at most alpha, about."""
    random = np.random.default_rng(0)
    known = observed(random.normal(size=60000), random.integers(3, size=60000))
    found = scores(random.normal(size=20000), random.integers(3, size=20000), known)
    for alpha in (0.01, 0.1, 0.5):
        assert (found > 1 - alpha).mean() == pytest.approx(alpha, abs=0.01)


@pytest.mark.parametrize("population", [None, observed([], np.array([], dtype=int))])
def test_without_population_is_an_error(population):
    with pytest.raises(UserError, match="known to be outside the training, but there are none"):
        scores([0.0], [0], population)
