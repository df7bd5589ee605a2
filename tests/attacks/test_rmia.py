"""RMIA counts what the reference implementations count, and what plain pairs count; the mistakes differ."""

import numpy as np
import pytest

from miabench import TrueProbability, UserError, create_attack


def softmax(logits, temperature):
    e = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return e / e.sum(-1, keepdims=True)


def counts(attack, observed, n):
    """How many z each record exceeds."""
    return np.floor(attack.score(observed, {}) * (n + 1)).astype(int)


def rmia(temperature, gamma, a=0.3, mode="auto"):
    attack = create_attack("rmia", temperature=temperature, gamma=gamma, offline_a=a, mode=mode)
    return attack, TrueProbability(temperature=temperature)


def average(p, out, inside, a, online):
    """P(x) of one record by the definition, from its references' answers (K,)."""
    p_out = p[out].mean()
    return (p_out + (p[inside].mean() if online else a * p_out + 1 - a)) / 2


def slow(observed, probe, gamma, a, online):
    """Counts by pairs."""
    z = observed if observed.population is None else observed.population
    ratios = []
    for records in (observed, z):
        inside = online and records.reference_in.any()
        arrays = records.references[probe], records.reference_out, records.reference_in
        averages = [average(*(array[:, i] for array in arrays), a, inside) for i in range(len(records))]
        ratios.append(records[probe] / averages)
    x, others = ratios
    return [sum(r / other > gamma for other in others) for r in x]


@pytest.fixture
def sure():
    """Logits (M, N, C) of 9 models on 50 records of the classes (N,), and which trained on which (M, N)."""
    random = np.random.default_rng(1)
    labels, keep = random.integers(4, size=50), random.random((9, 50)) < 0.5
    logits = random.normal(size=(50, 4)) + random.normal(size=(9, 50, 4))
    logits[:, np.arange(50), labels] += 1 + 2 * keep
    return logits, labels, keep


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize(("temperature", "gamma", "a"), [(2.0, 2.0, 0.3), (1.0, 1.0, 0.0), (0.5, 1.3, 1.0)])
def test_equals_pairs(compare, sure, mode, outside, temperature, gamma, a):
    logits, labels, keep = sure
    attack, probe = rmia(temperature, gamma, a, mode)
    p = np.stack([probe.derive(answers, labels) for answers in logits])
    known = compare(probe, p[:, :30] * 0.9, np.zeros((9, 30))) if outside else None
    observed = compare(probe, p, keep, population=known)
    n = 30 if outside else 50
    assert counts(attack, observed, n).tolist() == slow(observed, probe, gamma, a, mode == "online")


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_probabilities_equal_the_references(golden, temperature):
    arrays = golden("k_rmia_base").arrays
    probe = TrueProbability(temperature=temperature)
    for logits, expected in zip(arrays["logits"], arrays[f"sig.softmax_t{temperature:g}"], strict=True):
        np.testing.assert_allclose(probe.derive(logits, arrays["labels"]), expected, rtol=1e-12)


@pytest.mark.parametrize("case", range(24))
def test_equals_privacy_meter(golden, compare, case):
    """Its z, the population, are compared with the largest of twice as many references: as many are given here."""
    f = golden("f_rmia_lira")
    made = f.json["privacy_meter_rmia"]["cases"][case]
    target, num = made["target_model"], made["num_reference_models"]
    others = [m for m in range(10) if m // 2 != target // 2][: 2 * num]
    attack, probe = rmia(1.0, 1.0, made["offline_a"], "offline")
    largest = np.sort(f.arrays["pop_signals"][others], axis=0)[num:]
    population = np.concatenate([f.arrays["pop_signals"][[target]], largest])
    known = compare(probe, population, np.zeros(population.shape))
    models = [target, *others]
    observed = compare(probe, f.arrays["signals"][models], f.arrays["memberships"][models], population=known)
    found = counts(attack, observed, 60)
    assert observed.reference_out.sum(0).tolist() == [num] * 120
    np.testing.assert_array_equal(found / 60, f.arrays[f"{made['key']}.scores"])


@pytest.mark.parametrize(
    ("key", "temperature", "gamma", "a", "mode"),
    [
        ("pm_old.off_a03_g2", 2.0, 2.0, 0.3, "offline"),
        ("pm_old.off_a0_g1", 1.0, 1.0, 0.0, "offline"),
        ("pm_old.on_g2", 2.0, 2.0, 0.3, "online"),
    ],
)
def test_equals_the_papers_code(golden, compare, key, temperature, gamma, a, mode):
    """The first two IN and OUT references of each record; z are records of the pool with references of their own.

    That code adds one to the count of a record that is itself in z, and divides by one less: undone here.
    """
    arrays = golden("k_rmia_base").arrays
    keep, z = arrays["keep"], arrays["pm_old.population"]
    first_in = keep & (keep[1:].cumsum(0) <= 2)[np.r_[0, :9]]
    first_out = ~keep & ((~keep[1:]).cumsum(0) <= 2)[np.r_[0, :9]]
    attack, probe = rmia(temperature, gamma, a, mode)
    p = arrays[f"sig.softmax_t{temperature:g}"]
    withheld = ~(first_in | first_out)
    known = compare(probe, p[:, z], first_in[:, z], withheld=withheld[:, z])
    observed = compare(probe, p, first_in, withheld=withheld, population=known)
    assert set(observed.reference_in.sum(0)) == set(observed.reference_out.sum(0)) == {2}
    found = counts(attack, observed, len(z))
    own = np.isin(np.arange(90), z)
    expected = np.where(own, arrays[key] * (len(z) - 1) - 1, arrays[key] * len(z))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_equals_privacy_guard(golden, compare, a):
    """It compares with the two largest OUT answers; its z are taken to be OUT of all models."""
    arrays = golden("k_rmia_base").arrays
    attack, probe = rmia(1.0, 1.0, a, "offline")
    p, keep = arrays["sig.softmax_t1"], arrays["keep"]

    def largest(p, out):
        return np.concatenate([p[:1], np.sort(np.where(out, p, 0)[1:], axis=0)[-2:]])

    known = compare(probe, largest(p, np.ones_like(keep))[:, 54:], np.zeros((3, 36)))
    observed = compare(probe, largest(p, ~keep)[:, :54], np.zeros((3, 54)), population=known)
    np.testing.assert_array_equal(counts(attack, observed, 36) / 36, arrays[f"pg.off.k2.a{a}"])


def test_equality_does_not_count(compare):
    """Gamma 1 and z the records themselves: a record is not above itself, nor above its equals."""
    attack, probe = rmia(1.0, 1.0)
    p = np.array([[0.2, 0.4, 0.4, 0.8], [0.5, 0.5, 0.5, 0.5]])
    observed = compare(probe, p, np.zeros_like(p))
    assert counts(attack, observed, 4).tolist() == [0, 1, 1, 3]


def test_gamma_is_on_the_side_of_z(compare):
    """One record three times as likely as z: above it at gamma 2, not at gamma 4."""
    for gamma, above in ((2.0, 1), (4.0, 0)):
        attack, probe = rmia(1.0, gamma)
        known = compare(probe, [[0.2], [0.5]], np.zeros((2, 1)))
        observed = compare(probe, [[0.6], [0.5]], np.zeros((2, 1)), population=known)
        assert counts(attack, observed, 1).tolist() == [above]


def test_same_counts_are_ranked_on_by_the_ratio(compare, sure):
    logits, labels, keep = sure
    attack, probe = rmia(2.0, 2.0)
    p = np.stack([probe.derive(answers, labels) for answers in logits])
    observed = compare(probe, p, keep, population=compare(probe, p[:, :3], np.zeros((9, 3))))
    found = attack.score(observed, {})
    assert len(set(found)) == 50
    assert len(set(np.floor(found * 4))) <= 4
    ratio = create_attack("base", temperature=2.0).score(observed, {})
    np.testing.assert_array_equal(np.argsort(found), np.argsort(ratio))


def test_temperature_divides_the_logits_of_records_and_population_alike(compare, sure):
    logits, labels, keep = sure
    by_temperature = []
    for temperature in (1.0, 2.0, 4.0):
        attack, probe = rmia(temperature, 1.2)
        p = np.stack([probe.derive(answers * temperature, labels) for answers in logits])
        known = compare(probe, p[:, :25], np.zeros((9, 25)))
        by_temperature.append(attack.score(compare(probe, p, keep, population=known), {}))
        assert attack.probes() == (probe,)
    np.testing.assert_allclose(by_temperature[1], by_temperature[0], rtol=1e-9)
    np.testing.assert_allclose(by_temperature[2], by_temperature[0], rtol=1e-9)


def test_both_kinds_of_references_weigh_one_half(compare):
    """Seven OUT references at 0.2 and one IN at 0.8: P(x) is 0.5, not the mean 0.275 of all eight."""
    attack, probe = rmia(1.0, 1.0)
    keep = np.array([[0]] * 8 + [[1]])
    known = compare(probe, [[0.9], [1.0]], np.zeros((2, 1)))  # a ratio of 0.9 with a = 0.3: 0.9 / 1
    for p, above in ((0.44, 0), (0.46, 1)):
        observed = compare(probe, [[p]] + [[0.2]] * 7 + [[0.8]], keep, population=known)
        assert counts(attack, observed, 1).tolist() == [above], p


def test_the_largest_answers_are_not_preferred(compare):
    """One reference of two is sure: the mean counts, not the largest (PrivacyGuard's bias)."""
    attack, probe = rmia(1.0, 1.0, a=1.0)
    known = compare(probe, [[0.5], [0.5]], np.zeros((2, 1)))
    observed = compare(probe, [[0.6], [0.1], [0.9]], np.zeros((3, 1)), population=known)
    assert counts(attack, observed, 1).tolist() == [1]


def test_saturated_records_give_finite_scores(compare):
    labels = np.zeros(4, dtype=int)
    logits = np.zeros((5, 4, 2))
    logits[0, :, 0] = [800, -800, 0, 800]
    logits[1:, :, 0] = [800, -800, 800, -800]
    attack, probe = rmia(1.0, 2.0)
    p = np.stack([probe.derive(answers, labels) for answers in logits])
    for a in (0.0, 1.0):
        attack, _ = rmia(1.0, 2.0, a)
        found = attack.score(compare(probe, p, np.zeros((5, 4))), {})
        assert np.isfinite(found).all()
    assert found.argmax() == 3, "sure where all references are sure of another class"


def test_shares_are_between_zero_and_one(compare, sure):
    logits, labels, keep = sure
    attack, probe = rmia(2.0, 1.0)
    p = np.stack([probe.derive(answers, labels) for answers in logits])
    for known in (None, compare(probe, p[:, :3], np.zeros((9, 3)))):
        found = attack.score(compare(probe, p, keep, population=known), {})
        assert 0 < found.min() < found.max() < 1


def test_without_references_is_an_error(compare):
    attack, probe = rmia(2.0, 2.0)
    with pytest.raises(UserError, match="it was given none"):
        attack.score(compare(probe, [[0.5, 0.5]], np.zeros((1, 2))), {})
