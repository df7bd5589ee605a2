"""Attack R counts OUT references alone, strictly, smoothed; equal shares are ranked on."""

import numpy as np
import pytest

from miabench import LogOdds, UserError, create_attack
from miabench.evaluation.references import count_references

PHI = LogOdds()


def scores(observed):
    return create_attack("attack-r").score(observed, {})


def shares(observed):
    """The smoothed shares without what ranks them on."""
    n = observed.reference_out.sum(0)
    return np.floor(scores(observed) * (2 + n) + 1e-9) / (2 + n)


def test_equals_the_definition(golden, compare):
    arrays = golden("l_population_reference").arrays
    found = shares(compare(PHI, arrays["phi"], arrays["keep"]))
    np.testing.assert_allclose(found, arrays["attack_r.own_smoothed"], rtol=1e-9, atol=1e-12)


def test_by_hand_with_ties_and_in_references(compare):
    """OUT references answer 0, 1, 1 and 3, an IN reference 9: one lies below 1, three below 2, none below 0."""
    answers = np.array([[0.0] * 3, [1.0] * 3, [1.0] * 3, [3.0] * 3, [9.0] * 3])
    observed = compare(PHI, np.vstack([[0.0, 1.0, 2.0], answers]), [[0] * 3] * 5 + [[1] * 3])
    np.testing.assert_allclose(shares(observed), np.array([1, 2, 4]) / 6)


def test_equal_shares_are_ranked_on_and_different_ones_never_swapped(compare, pool):
    phi, keep = pool
    observed = compare(PHI, phi, keep)
    found, plain = scores(observed), shares(observed)
    assert len(set(found)) == 60 > len(set(plain))
    for share in set(plain):
        rows = plain == share
        np.testing.assert_array_equal(np.argsort(found[rows]), np.argsort(phi[0, rows]))
    order = np.argsort(found)
    assert (np.diff(plain[order]) >= 0).all()


def test_shares_of_few_references_do_not_reach_zero_or_one(compare):
    found = scores(compare(PHI, [[-800.0, 800.0], [0.0, 0.0]], np.zeros((2, 2))))
    np.testing.assert_allclose(found, [1 / 3, 2 / 3 + 1 / 9], atol=1e-3)


def test_records_without_out_references_are_compared_with_the_population(compare):
    keep = np.array([[0, 0], [1, 0], [1, 0]])
    known = compare(PHI, [[0.0, 0, 0], [1.0, 2, 3], [4.0, 5, 6]], np.zeros((3, 3)))
    observed = compare(PHI, [[3.5, 0.0], [9.0, 1.0], [9.0, 2.0]], keep, population=known)
    found = scores(observed)
    assert found[0] == pytest.approx((1 + 3) / (2 + 6), abs=1 / 64)
    assert found[1] == pytest.approx(1 / 4, abs=1 / 64)
    assert count_references(create_attack("attack-r"), observed, []).lacking == 1
    alone = compare(PHI, [[3.5, 0.0], [9.0, 1.0], [9.0, 2.0]], keep)
    assert scores(alone)[0] == pytest.approx((1 + 2) / (2 + 2), abs=1 / 16)


def test_without_any_out_reference_is_an_error(compare):
    with pytest.raises(UserError, match="did not train on a record"):
        scores(compare(PHI, [[0.0], [1.0]], [[0], [1]]))
