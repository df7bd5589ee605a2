"""BASE equals LeakPro's code, and ranks as RMIA with the same temperature and a."""

import numpy as np
import pytest

from miabench import TrueProbability, create_attack


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(("key", "mode", "a"), [
    ("on", "online", 0.33), ("off", "offline", 0.0), ("off", "offline", 0.33), ("off", "offline", 1.0),
])  # fmt: skip
def test_equals_leakpro(golden, compare, key, mode, a, temperature):
    arrays = golden("k_rmia_base").arrays
    probe = TrueProbability(temperature=temperature)
    p = [probe.derive(logits, arrays["labels"]) for logits in arrays["logits"][:9]]
    observed = compare(probe, p, np.concatenate([np.zeros((1, 90)), arrays["base.keep"]]))
    found = create_attack("base", temperature=temperature, offline_a=a, mode=mode).score(observed, {})
    np.testing.assert_allclose(found, arrays[f"base.{key}.t{temperature}.a{a}"], rtol=1e-9, atol=1e-12)


def test_ranks_as_rmia(golden, compare):
    arrays = golden("k_rmia_base").arrays
    probe = TrueProbability(temperature=2.0)
    observed = compare(probe, arrays["sig.softmax_t2"], arrays["keep"])
    ours = create_attack("base", temperature=2.0).score(observed, {})
    theirs = create_attack("rmia").score(observed, {})
    np.testing.assert_array_equal(np.argsort(ours), np.argsort(theirs))


def test_the_target_is_not_among_its_references(compare):
    """Target 0.9, OUT reference 0.1, a = 1: log 9, not log(0.9 / 0.5)."""
    probe = TrueProbability()
    observed = compare(probe, [[0.9], [0.1]], np.zeros((2, 1)))
    found = create_attack("base", offline_a=1).score(observed, {})
    assert found == pytest.approx(np.log(9))


def test_saturated_records_are_ranked(compare):
    probe = TrueProbability()
    logits = np.zeros((3, 3, 2))
    logits[0, :, 0], logits[1:, :, 0] = [800, 0, -800], [0, 800, 800]
    p = [probe.derive(answers, np.zeros(3, dtype=int)) for answers in logits]
    found = create_attack("base").score(compare(probe, p, np.zeros((3, 3))), {})
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
