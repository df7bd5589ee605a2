import numpy as np
import pytest

from miabench import LogOdds, create_attack


def test_equals_the_definition(golden, compare):
    arrays = golden("l_population_reference").arrays
    observed = compare(LogOdds(), arrays["phi"], arrays["keep"])
    found = create_attack("calibrated").score(observed, {})
    np.testing.assert_allclose(found, arrays["calibrated.own_mean_out"], rtol=1e-9, atol=1e-12)


def test_by_hand(compare):
    """Losses log 2 and log 4 under OUT references, log 8 under an IN one, log(4/3) under the target."""
    phi = -np.log(np.array([[1 / 3], [1.0], [3.0], [7.0]]))
    found = create_attack("calibrated").score(compare(LogOdds(), phi, [[0], [0], [0], [1]]), {})
    assert found == pytest.approx((np.log(2) + np.log(4)) / 2 - np.log(4 / 3))


def test_saturated_losses_are_exact(compare):
    phi = np.array([[800.0, -800.0], [-800.0, 800.0]])
    found = create_attack("calibrated").score(compare(LogOdds(), phi, np.zeros((2, 2))), {})
    np.testing.assert_allclose(found, [800, -800])
