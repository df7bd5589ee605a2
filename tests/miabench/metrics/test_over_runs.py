"""Means over runs and paired differences: against the formulas written out, R's pROC, and simulated truth."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, t

from miabench import metrics
from miabench.metrics.spread import spread

PAIRS = ("smooth", "second", "rounded", "binary", "worse", "separated", "chance")


def runs_on_shared_records(rng, runs=5, records=120, spread=0.0, shift=1.0):
    """Scores (R, N) whose records keep half of their variance in every run, and membership (N,)."""
    members = np.arange(records) < records // 2
    shifts = shift + spread * rng.normal(size=(runs, 1))
    record = math.sqrt(1 / 2) * rng.normal(size=records)
    return shifts * members + record + math.sqrt(1 / 2) * rng.normal(size=(runs, records)), members


def written_out(influences):
    """Theta, h, p of STATISTICS' own letters, one record after the other."""
    values, records, members = influences.values, influences.records, influences.members
    runs = len(values)

    def delong(column):
        parts = []
        for kind in (True, False):
            one = [v for v, member in zip(column, members, strict=True) if member == kind]
            if one:
                mean = sum(one) / len(one)
                parts.append(sum((v - mean) ** 2 for v in one) / (len(one) - 1) / len(one))
        return sum(parts)

    theta = sum(values) / runs
    d = delong([sum(column) / runs for column in records.T])
    q = sum((value - theta) ** 2 for value in values) / (runs - 1) / runs
    i = max(0.0, (sum(delong(run) for run in records) / runs - d) / (runs - 1))
    v = d + max(0.0, q - i)
    kinds = [n for n in (sum(members), len(members) - sum(members)) if n]
    nu = max(runs - 1, v**2 / (q**2 / (runs - 1) + d**2 / (min(kinds) - 1)))
    h = max(t.ppf(0.975, nu) * math.sqrt(v), t.ppf(0.975, runs - 1) * math.sqrt(q))
    p = max(2 * t.sf(abs(theta) / math.sqrt(v), nu), 2 * t.sf(abs(theta) / math.sqrt(q), runs - 1))
    return theta, h, p


# --- against the formulas ---


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_mean_auc_is_what_is_written(runs, spread):
    scores, members = runs_on_shared_records(np.random.default_rng(runs), runs, spread=spread)
    influences = metrics.auc_influences(scores, members[np.random.default_rng(0).permutation(120)])
    theta, h, _ = written_out(influences)
    step = h / (theta * (1 - theta))
    expected = [1 / (1 + math.exp(-(math.log(theta / (1 - theta)) + sign * step))) for sign in (0, -1, 1)]
    assert metrics.mean_over_runs(influences) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_difference_is_what_is_written(runs, spread):
    rng = np.random.default_rng(10 + runs)
    scores, members = runs_on_shared_records(rng, runs, 90, spread)
    members = np.arange(90) < 30
    other = scores - 0.3 * members + 0.4 * rng.normal(size=scores.shape)
    a, b = (metrics.auc_influences(one, members) for one in (scores, other))
    theta, h, p = written_out(a.minus(b))
    assert metrics.difference(a, b)[:4] == pytest.approx((theta, theta - h, theta + h, p), rel=1e-9)


def test_a_difference_of_accuracies_is_what_is_written():
    rng = np.random.default_rng(3)
    first = rng.random((4, 80)) < 0.8
    second = first ^ (rng.random((4, 80)) < 0.1)
    a, b = metrics.accuracy_influences(first), metrics.accuracy_influences(second)
    theta, h, p = written_out(a.minus(b))
    assert metrics.difference(a, b)[:4] == pytest.approx((theta, theta - h, theta + h, p), rel=1e-9)
    assert theta == pytest.approx(first.mean() - second.mean())


def test_a_tpr_moves_its_ends_by_what_it_may_be_off():
    scores, members = runs_on_shared_records(np.random.default_rng(4), records=400, spread=0.2)
    influences = metrics.tpr_influences(scores, members, 0.01)
    theta, h, _ = written_out(influences)
    least = theta - influences.over.mean()
    assert influences.over.mean() > 0.005
    _, low, high = metrics.mean_over_runs(influences)
    on_logits = 1 / (1 + math.exp(-(math.log(least / (1 - least)) - h / (least * (1 - least)))))
    assert low == pytest.approx(max(0, min(least - h, on_logits)), abs=1e-12)
    assert high == pytest.approx(1 / (1 + math.exp(-(math.log(theta / (1 - theta)) + h / (theta * (1 - theta))))))


# --- one run is DeLong ---


@pytest.fixture(scope="module")
def proc(golden):
    """R's pROC: cases by key, scores by name, membership."""
    vectors = golden("p_metrics")
    cases = {case["key"]: case for case in vectors.json["cases"]}
    return cases, {name: vectors.arrays[f"score.{name}"] for name in PAIRS}, vectors.arrays["member"]


@pytest.mark.parametrize("name", PAIRS)
def test_one_run_has_delongs_variance(proc, name):
    cases, scores, members = proc
    influences = metrics.auc_influences(scores[name][None], members)
    assert influences.values[0] == pytest.approx(cases[f"score.{name}"]["auc"], abs=1e-12)
    assert metrics.auc(scores[name], members).value == pytest.approx(cases[f"score.{name}"]["auc"], abs=1e-12)
    assert float(spread(influences).variance) == pytest.approx(cases[f"score.{name}"]["variance"], rel=1e-8)


@pytest.mark.parametrize("pair", list(combinations(PAIRS, 2)))
def test_one_run_is_delongs_paired_test(proc, pair):
    cases, scores, members = proc
    expected = cases[f"paired {pair[0]}/{pair[1]}"]
    a, b = (metrics.auc_influences(scores[name][None], members) for name in pair)
    apart, alone, other = (float(spread(one).variance) for one in (a.minus(b), a, b))
    assert (alone + other - apart) / 2 == pytest.approx(expected["covariance"], rel=1e-8, abs=1e-16)
    found = metrics.difference(a, b)
    assert found.value / math.sqrt(apart) == pytest.approx(expected["z"], rel=1e-8)
    assert found.p == pytest.approx(expected["p"], rel=1e-7)


# --- what must hold ---


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(5)
    scores, members = runs_on_shared_records(rng, spread=0.2)
    better = scores + 0.2 * members + 0.1 * rng.normal(size=scores.shape)
    a, b = (metrics.auc_influences(one, members) for one in (better, scores))
    paired = metrics.difference(a, b)
    order = rng.permutation(60)
    apart = metrics.difference(a, metrics.auc_influences(scores[:, np.concatenate([order, 60 + order])], members))
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)


def test_a_difference_turned_round_is_its_negative():
    scores, members = runs_on_shared_records(np.random.default_rng(6), records=400)
    a, b = (metrics.tpr_influences(np.round(one, 1), members, 0.05) for one in (scores, scores[::-1] - 0.5 * members))
    ab, ba = metrics.difference(a, b), metrics.difference(b, a)
    assert (ba.value, ba.low, ba.high) == pytest.approx((-ab.value, -ab.high, -ab.low), abs=1e-15)
    assert ab.p == pytest.approx(ba.p, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_p_is_below_5_percent_where_the_interval_leaves_out_0(seed):
    rng = np.random.default_rng(seed)
    scores, members = runs_on_shared_records(rng, runs=1 + seed % 5, records=200)
    other = scores + 0.15 * members + 0.5 * rng.normal(size=scores.shape)
    for of in (metrics.auc_influences, lambda s, m: metrics.tpr_influences(np.round(s, 1), m, 0.05)):
        found = metrics.difference(of(other, members), of(scores, members))
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


@pytest.mark.parametrize(("over", "under", "distance"), [(0.02, 0.5, 0.03), (0.0, 0.5, 0.05), (0.06, 0.0, 0.0)])
def test_p_leaves_room_for_what_a_value_may_be_too_high(over, under, distance):
    rng = np.random.default_rng(15)
    scores, members = runs_on_shared_records(rng)
    a, b = (metrics.auc_influences(one, members) for one in (scores + 0.3 * rng.normal(size=scores.shape), scores))
    a = a._replace(values=a.values - a.values.mean() + b.values.mean() + 0.05)  # so that the difference is .05
    room = a._replace(over=np.full(5, over), under=np.full(5, under))
    exact = metrics.difference(a._replace(values=a.values - 0.05 + distance), b)
    assert metrics.difference(room, b).p == pytest.approx(exact.p, abs=1e-12)
    assert metrics.difference(b, room).p == pytest.approx(exact.p, abs=1e-12)  # turned round


def test_what_is_identical_does_not_differ():
    scores, members = runs_on_shared_records(np.random.default_rng(7))
    one = metrics.auc_influences(scores, members)
    assert metrics.difference(one, metrics.auc_influences(scores.copy(), members))[:4] == (0, 0, 0, 1)


@pytest.mark.parametrize("runs", [1, 3])
def test_several_at_once_are_one_by_one(runs):
    rng = np.random.default_rng(16)
    scores = np.stack([runs_on_shared_records(rng, runs)[0] for _ in range(3)])
    members = np.arange(120) < 60
    scores[2] = members  # an AUC of 1, without variance
    a, b = metrics.auc_influences(scores, members), metrics.auc_influences(scores[::-1] ** 3 - 1, members)
    means, apart = metrics.means_over_runs(a), metrics.differences(a, b)
    for k in range(3):
        assert means[k] == pytest.approx(metrics.mean_over_runs(a.pick(k)), rel=1e-12)
        alone = metrics.difference(a.pick(k), b.pick(k))
        assert apart[k][:4] == pytest.approx(alone[:4], rel=1e-9)
        assert apart[k].spread == pytest.approx(alone.spread, rel=1e-9)


def test_runs_that_agree_add_little_certainty():
    """Five times the same run is about one run: its records vary all the same."""
    scores, members = runs_on_shared_records(np.random.default_rng(8), runs=1)
    once = metrics.mean_over_runs(metrics.auc_influences(scores, members))
    often = metrics.mean_over_runs(metrics.auc_influences(scores.repeat(5, axis=0), members))
    assert often == pytest.approx(once, abs=0.004)


def test_two_runs_that_differ_say_little():
    scores, members = runs_on_shared_records(np.random.default_rng(9), runs=2, spread=0.5)
    _, low, high = metrics.mean_over_runs(metrics.auc_influences(scores, members))
    assert high - low > 0.4


# --- where no variance is left ---


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_perfection_is_not_certain(runs):
    members = np.arange(300) < 100
    perfect = np.tile(members, (runs, 1))
    least = 0.025 ** (1 / 100)
    assert metrics.mean_over_runs(metrics.auc_influences(perfect, members)) == pytest.approx((1, least, 1))
    assert metrics.mean_over_runs(metrics.auc_influences(~perfect, members)) == pytest.approx((0, 0, 1 - least))
    assert metrics.mean_over_runs(metrics.accuracy_influences(np.ones((runs, 50)))) == pytest.approx(
        (1, 0.025**0.02, 1)
    )


@pytest.mark.parametrize("runs", [1, 3])
def test_a_difference_on_which_all_agree_is_not_certain(runs):
    """AUC 1 against ½, whatever the record: of 20 members and 20 non-members none was seen to disagree."""
    members = np.arange(40) < 20
    a, b = (metrics.auc_influences(np.tile(one, (runs, 1)), members) for one in (members, np.zeros(40)))
    found = metrics.difference(a, b)
    seen = 0.025 ** (1 / 20)
    assert found[:3] == pytest.approx((0.5, 1.5 * seen - 1, 1 - 0.5 * seen))
    assert found.p == pytest.approx(2 * 1.5**-20)


def test_a_unanimous_difference_has_p_and_interval_that_agree():
    members = np.arange(8) < 4
    a, b = (metrics.auc_influences(one[None], members) for one in (members, np.zeros(8)))
    found = metrics.difference(a, b)
    assert found.p > 0.05
    assert found.low < 0


def test_one_member_leaves_all_open():
    members = np.arange(9) < 1
    a, b = (metrics.auc_influences(rng.normal(size=(3, 9)), members) for rng in map(np.random.default_rng, (0, 1)))
    assert metrics.mean_over_runs(a)[1:] == (0, 1)
    assert metrics.difference(a, b)[1:] == (-1, 1, 1, None)
    assert metrics.mean_over_runs(metrics.accuracy_influences([[1.0], [0.0]])) == (0.5, 0, 1)


# --- simulated truth ---

TRIALS = 300
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / TRIALS)


def covered(estimates, truth):
    return np.mean([one.low <= truth <= one.high for one in estimates])


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_of_a_mean_auc_covers(runs, spread):
    rng = np.random.default_rng(11)
    drawn = (runs_on_shared_records(rng, runs, spread=spread) for _ in range(TRIALS))
    estimates = [metrics.mean_over_runs(metrics.auc_influences(*one)) for one in drawn]
    assert covered(estimates, norm.cdf(1 / math.sqrt(2 + spread**2))) > LEAST


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_of_a_mean_tpr_covers(runs, spread):
    rng = np.random.default_rng(12)
    drawn = (runs_on_shared_records(rng, runs, 600, spread, shift=2.5) for _ in range(TRIALS))
    estimates = [metrics.mean_over_runs(metrics.tpr_influences(*one, 0.01)) for one in drawn]
    assert covered(estimates, norm.cdf((2.5 - norm.isf(0.01)) / math.sqrt(1 + spread**2))) > LEAST


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_interval_of_a_difference_covers_and_is_not_found_by_chance(spread):
    rng = np.random.default_rng(13)
    found = []
    for _ in range(TRIALS):
        scores, members = runs_on_shared_records(rng, 3, spread=spread)
        own = spread * rng.normal(size=(3, 1)) * members  # as if the other defense's runs varied as much
        other = scores + own + 0.5 * rng.normal(size=scores.shape)
        a, b = (metrics.auc_influences(one, members) for one in (scores / 1, other))
        found.append(metrics.difference(a, b))
    truth = norm.cdf(1 / math.sqrt(2 + spread**2)) - norm.cdf(1 / math.sqrt(2 + 2 * 0.25 + 2 * spread**2))
    assert covered(found, truth) > LEAST


def test_the_interval_of_a_mean_accuracy_covers():
    rng = np.random.default_rng(14)
    estimates = []
    for _ in range(TRIALS):
        noise = math.sqrt(1 / 2) * (rng.normal(size=150) + rng.normal(size=(3, 150)))
        estimates.append(metrics.mean_over_runs(metrics.accuracy_influences(noise < norm.ppf(0.8))))
    assert covered(estimates, 0.8) > LEAST
