"""What holds for every attack that compares with reference models."""

from dataclasses import replace

import numpy as np
import pytest
from miabench.attacks._references import moments, of_kind
from sklearn.metrics import roc_auc_score

from miabench import LogOdds, UserError, create_attack
from miabench.evaluation.references import count_references
from miabench.plugins.discover import discover

ATTACKS = ["lira", "rmia", "base", "attack-r", "calibrated"]
ONLINE = ["lira", "rmia", "base"]
PHI = LogOdds()


def seen(compare, name, phi, keep, **more):
    """Log odds as what the attack's probe answers."""
    (probe,) = create_attack(name).probes()
    answers = phi if probe == PHI else 1 / (1 + np.exp(-np.asarray(phi) / probe.temperature))
    return compare(probe, answers, keep, **more)


@pytest.mark.parametrize("name", ATTACKS)
def test_members_score_higher_where_references_know_the_difficulty(compare, pool, name):
    phi, keep = pool
    scores = create_attack(name).score(seen(compare, name, phi, keep), {})
    assert roc_auc_score(keep[0], scores) > roc_auc_score(keep[0], phi[0]) + 0.05


@pytest.mark.parametrize("name", ATTACKS)
def test_in_references_do_not_count_offline(compare, pool, name):
    """What models that trained on a record answer is not to be seen in a score that compares with the others."""
    phi, keep = pool
    attack = create_attack(name, **({"mode": "offline"} if name in ONLINE else {}))
    changed = np.where(keep & (np.arange(11) > 0)[:, None], 77.0, phi)
    first, second = (attack.score(seen(compare, name, values, keep), {}) for values in (phi, changed))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_targets_own_answer_is_in_no_average(compare, pool, name):
    """A record's score depends on its own answer alone of the target's, with one reference far away for scale."""
    phi, keep = pool
    attack = create_attack(name)
    known = seen(compare, name, phi[:, :20], np.zeros((11, 20)))
    changed = phi.copy()
    changed[0, 1:] += 5
    first, second = (
        attack.score(seen(compare, name, values, keep, population=known), {})[0] for values in (phi, changed)
    )
    assert first == second


@pytest.mark.parametrize("name", ATTACKS)
def test_withheld_records_are_in_neither_kind(compare, pool, name):
    phi, keep = pool
    withheld = np.zeros_like(keep)
    withheld[4, ::2] = True
    observed = seen(compare, name, phi, keep & ~withheld, withheld=withheld)
    changed = np.where(withheld, -55.0, phi)
    again = seen(compare, name, changed, keep & ~withheld, withheld=withheld)
    attack = create_attack(name)
    np.testing.assert_array_equal(attack.score(observed, {}), attack.score(again, {}))
    asout = seen(compare, name, changed, keep & ~withheld)
    assert (attack.score(asout, {}) != attack.score(again, {})).any(), "taken as OUT they change scores"


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("outside", [True, False])
def test_scores_ignore_the_order_of_records_and_of_references(compare, pool, name, outside):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0], keep[1:, 1] = True, False  # records without a kind too
    random = np.random.default_rng(1)
    records, models, others = random.permutation(60), np.r_[0, 1 + random.permutation(10)], random.permutation(20)
    nobody = np.zeros((11, 20))
    known = seen(compare, name, phi[:, :20] * 0.7, nobody) if outside else None
    again = seen(compare, name, (phi[:, :20] * 0.7)[models][:, others], nobody) if outside else None
    first = seen(compare, name, phi, keep, population=known)
    second = seen(compare, name, phi[models][:, records], keep[models][:, records], population=again)
    attack = create_attack(name)
    np.testing.assert_array_equal(attack.score(second, {}), attack.score(first, {})[records])


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("none", ["empty", "no masks", "no models"])
def test_no_references_is_an_error(compare, pool, name, none):
    observed = seen(compare, name, *pool)
    (probe,) = create_attack(name).probes()
    nobody = None if none == "no masks" else np.zeros((0, 60), dtype=bool)
    answers = {probe: np.zeros((0, 60))} if none == "no models" else {}
    observed = replace(observed, references=answers, reference_in=nobody, reference_out=nobody)
    with pytest.raises(UserError, match="compares a model with reference models, but it was given none"):
        create_attack(name).score(observed, {})


@pytest.mark.parametrize("name", ATTACKS)
def test_saturated_answers_give_finite_scores(compare, name):
    random = np.random.default_rng(0)
    phi = np.where(random.random((7, 40)) < 0.5, 800.0, -800.0)
    keep = random.random((7, 40)) < 0.5
    for values in (phi, np.full((7, 40), 800.0), np.full((7, 40), -800.0)):
        with np.errstate(over="ignore"):
            observed = seen(compare, name, values, keep)
        assert np.isfinite(create_attack(name).score(observed, {})).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_records_without_a_kind_are_counted_and_get_a_finite_score(compare, pool, name):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0], keep[1:, 1] = True, False
    observed = seen(compare, name, phi, keep)
    attack = create_attack(name)
    assert count_references(attack, observed, []).lacking == (2 if name in ONLINE else 1)
    scores = attack.score(observed, {})
    assert np.isfinite(scores).all()
    assert count_references(attack, seen(compare, name, *pool), []).lacking == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_all_references_in_is_an_error(compare, pool, name):
    phi, _ = pool
    with pytest.raises(UserError, match="did not train on"):
        create_attack(name).score(seen(compare, name, phi, np.ones(phi.shape)), {})


@pytest.mark.parametrize("name", ONLINE)
def test_mode_decides_which_references_are_asked_for(name):
    asked = {mode: create_attack(name, mode=mode).references for mode in ("auto", "online", "offline")}
    assert asked == {"auto": "any", "online": "in+out", "offline": "out"}


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - set(ONLINE)))
def test_the_others_ask_for_out_references(name):
    assert create_attack(name).references == "out"


@pytest.mark.parametrize("name", ATTACKS)
def test_they_ask_for_small_derived_arrays_alone(name):
    """Never for the references' logits."""
    (probe,) = create_attack(name).probes()
    assert probe.of is not None
    answers = probe.derive(np.random.default_rng(0).normal(size=(5, 100)), np.arange(5))
    assert answers.shape == (5,)
    assert answers.dtype == np.float64


def test_moments_are_those_of_each_columns_values():
    random = np.random.default_rng(0)
    values, mask = random.normal(size=(8, 30)) * 1e3, random.random((8, 30)) < 0.6
    mask[:, 0] = False
    count, mean, squares = moments(values, mask)
    for i in range(30):
        x = values[mask[:, i], i]
        assert count[i] == len(x)
        assert mean[i] == pytest.approx(x.mean() if len(x) else 0, rel=1e-12)
        assert squares[i] == pytest.approx(((x - x.mean()) ** 2).sum() if len(x) else 0, rel=1e-12)


def test_what_stands_in_for_a_missing_kind_is_the_distribution_of_all_answers(compare, pool):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0] = True
    observed = compare(PHI, phi, keep)
    out = of_kind(observed, PHI, "out")
    answers = phi[1:][observed.reference_out]
    assert out.number[0] == out.squares[0] == 0
    assert out.mean[0] == pytest.approx(answers.mean(), rel=1e-12)
    assert out.spread == pytest.approx(answers.std(), rel=1e-12)


def test_what_stands_in_for_in_references_never_comes_from_the_population(compare, pool):
    """No reference trained on the population: its answers are those of OUT references."""
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0] = False
    observed = compare(PHI, phi, keep, population=compare(PHI, phi - 50, np.zeros_like(keep)))
    assert of_kind(observed, PHI, "in").mean[0] == pytest.approx(phi[1:][observed.reference_in].mean(), rel=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_empty_population_is_none(compare, pool, name):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0] = True
    empty = seen(compare, name, phi[:, :0], keep[:, :0])
    attack = create_attack(name)
    expected = attack.score(seen(compare, name, phi, keep), {})
    np.testing.assert_array_equal(attack.score(seen(compare, name, phi, keep, population=empty), {}), expected)


def test_every_attack_with_references_is_tested_here():
    names = {found.name for found in discover().all("attack")}
    assert {name for name in names if create_attack(name).references != "none"} == set(ATTACKS)
