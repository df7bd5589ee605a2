"""LiRA equals the reference implementations where they are right, and plain loops everywhere; the mistakes differ."""

import math

import numpy as np
import pytest
from miabench.attacks._variance_prior import Prior, fit_prior, log_likelihood
from miabench.attacks.lira import _log_t
from mpmath import mp
from scipy import stats

from miabench import LogOdds, UserError, create_attack
from miabench.evaluation.references import count_references

PHI = LogOdds()
MODES = ["online", "offline", "offline-refcode"]
VARIANCES = ["pooled", "record", "shrunk"]


def scores(observed, **params):
    return create_attack("lira", **params).score(observed, {})


def split(observed, i):
    """A record's OUT and IN answers."""
    answers = observed.references[PHI][:, i]
    return answers[observed.reference_out[:, i]], answers[observed.reference_in[:, i]]


def slow(observed, mode, variance):
    """The same by the definitions, one record at a time; every record has two references or more of each kind."""
    n = len(observed)
    both = [split(observed, i) for i in range(n)]
    pooled = [
        math.sqrt(sum(((x[k] - x[k].mean()) ** 2).sum() for x in both) / sum(len(x[k]) for x in both)) for k in (0, 1)
    ]
    squares = np.array([[((x[k] - x[k].mean()) ** 2).sum() for k in (0, 1)] for x in both])
    nu = np.array([[len(x[k]) - 1 for k in (0, 1)] for x in both])
    priors = [fit_prior(squares[:, k], nu[:, k]) for k in (0, 1)]
    found = []
    for i, x in enumerate(both):
        predictive = []
        for k, prior in enumerate(priors):
            if variance == "shrunk":
                df = prior.d0 + nu[i, k]
                s2 = (prior.d0 * prior.s0 + squares[i, k]) / df
                predictive.append(stats.t(df, x[k].mean(), math.sqrt(s2 * (1 + 1 / len(x[k])))))
            else:
                predictive.append(stats.norm(x[k].mean(), pooled[k] if variance == "pooled" else x[k].std()))
        phi = observed[PHI][i]
        if mode == "online":
            found.append(predictive[1].logpdf(phi) - predictive[0].logpdf(phi))
        elif mode == "offline":
            found.append(predictive[0].logcdf(phi))
        else:
            found.append(-predictive[0].logpdf(phi))
    return found


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mode", MODES)
def test_equals_plain_loops(compare, pool, mode, variance):
    observed = compare(PHI, *pool)
    np.testing.assert_allclose(
        scores(observed, mode=mode, variance=variance), slow(observed, mode, variance), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("key", "sign", "params"),
    [
        ("pool1.tfp_lira.both.fix.mean", -1, {"mode": "online", "variance": "pooled"}),
        ("pool1.tfp_lira.both.per.mean", -1, {"mode": "online", "variance": "record"}),
        ("pool1.tfp_lira.out.fix.mean", -1, {"mode": "offline-refcode", "variance": "pooled"}),
        ("pool1.tfp_lira.out.per.mean", -1, {"mode": "offline-refcode", "variance": "record"}),
        ("pool.sacro.offline-carlini.per.member_score", 1, {"mode": "offline-refcode", "variance": "record"}),
        ("pool.sacro.online-carlini.per.member_score", 1, {"mode": "online", "variance": "record"}),
        ("own.offline_cdf_fixed_centred", 1, {"mode": "offline", "variance": "pooled"}),
    ],
)
def test_equals_the_reference_implementations(golden, compare, key, sign, params):
    arrays = golden("j_lira").arrays
    observed = compare(PHI, arrays["pool.phi"], arrays["pool.keep"])
    np.testing.assert_allclose(sign * scores(observed, **params), arrays[key], rtol=1e-9, atol=1e-12)


def test_offline_is_the_logarithm_of_sacros_distribution_function(golden, compare):
    arrays = golden("j_lira").arrays
    observed = compare(PHI, arrays["pool.phi"], arrays["pool.keep"])
    found = np.exp(scores(observed, mode="offline", variance="record"))
    np.testing.assert_allclose(found, arrays["pool.sacro.offline.per.member_score"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("key", "mode"), [("lp_lira0", "online"), ("lp_lira5", "offline")])
def test_equals_leakpro_with_a_variance_per_record(golden, compare, key, mode):
    arrays = golden("f_rmia_lira").arrays
    order = arrays["audit_order"]
    phi = np.concatenate([arrays["rescaled_target"][None], arrays["rescaled_shadow"]])
    observed = compare(PHI, phi, arrays["memberships2"][:, order])
    np.testing.assert_allclose(scores(observed, mode=mode, variance="record"), arrays[f"{key}.scores"], rtol=1e-9)


def test_phi_is_exact_where_others_clip(golden):
    arrays = golden("j_lira").arrays
    phi = PHI.derive(arrays["sig.logits"], arrays["sig.labels"])
    assert phi.dtype == np.float64
    np.testing.assert_allclose(phi, arrays["sig.log_odds_exact"], rtol=1e-12)
    assert np.abs(arrays["sig.tfp.logit"] - phi).max() > 100, "a clipped logit stops at 103.6"


def test_uneven_numbers_of_references_are_all_used(golden, compare):
    arrays = golden("j_lira").arrays
    keep = arrays["uneven.keep"]
    columns = (keep[1:].sum(0) > 1) & (keep[1:].sum(0) < 8)
    observed = compare(PHI, arrays["uneven.phi"][:, columns], keep[:, columns])
    assert len(set(observed.reference_out.sum(0))) > 3
    for mode in MODES:
        expected = slow(observed, mode, "record")
        np.testing.assert_allclose(scores(observed, mode=mode, variance="record"), expected, rtol=1e-9, atol=1e-12)


def test_auto_is_online_where_references_trained_on_the_records(compare, pool):
    phi, keep = pool
    both, outside = compare(PHI, phi, keep), compare(PHI, phi, np.zeros_like(keep))
    np.testing.assert_array_equal(scores(both), scores(both, mode="online"))
    np.testing.assert_array_equal(scores(outside), scores(outside, mode="offline"))


def test_asks_for_the_references_that_its_mode_needs():
    asked = {mode: create_attack("lira", mode=mode).references for mode in ("auto", *MODES)}
    assert asked == {"auto": "any", "online": "in+out", "offline": "out", "offline-refcode": "out"}


def test_online_without_in_references_is_an_error(compare, pool):
    phi, keep = pool
    with pytest.raises(UserError, match="trained on a record, but none trained on any of them"):
        scores(compare(PHI, phi, np.zeros_like(keep)), mode="online")


def test_offline_is_one_sided(compare):
    """A record far below its OUT references is no member: the reference code's two-sided density says it is."""
    phi = np.array([[-9.0, 0.0, 9.0]] + [[d, d, d] for d in (-1.0, 0.5, -0.5, 1.0)])
    observed = compare(PHI, phi, np.zeros_like(phi))
    for variance in VARIANCES:
        low, middle, high = scores(observed, mode="offline", variance=variance)
        assert low < middle < high
        low, middle, high = scores(observed, mode="offline-refcode", variance=variance)
        assert middle < low == pytest.approx(high)


def test_ranks_on_where_the_distribution_function_rounds_to_one(compare):
    target = [-50.0, 0, 8, 20, 37, 39, 60, 800, 801]
    phi = np.array([target] + [[d] * 9 for d in (-1.0, 1.0, -1.0, 1.0)])
    observed = compare(PHI, phi, np.zeros_like(phi))
    for variance in VARIANCES:
        found = scores(observed, mode="offline", variance=variance)
        assert (np.diff(found) > 0).all()
        assert np.isfinite(found).all()


def test_deviations_are_around_each_records_own_mean(compare, pool):
    """The uncentred deviation of all answers, which four tools take, is about twice as large."""
    phi, keep = pool
    observed = compare(PHI, phi, keep)
    found = scores(observed, mode="offline-refcode", variance="pooled")
    answers = observed.references[PHI][observed.reference_out]
    means = np.array([split(observed, i)[0].mean() for i in range(60)])
    uncentred = -stats.norm(means, answers.std()).logpdf(observed[PHI])
    assert np.abs(found - uncentred).max() > 0.5
    assert answers.std() > 1.7 * np.sqrt(np.mean([split(observed, i)[0].var() for i in range(60)]))


def test_in_and_out_are_not_confused(compare):
    """IN references answer 5 with little spread, OUT references 0 with much: 5 is a member, 0 is not, -9 is not."""
    random = np.random.default_rng(0)
    keep = np.repeat([[False], *[[True]] * 8, *[[False]] * 8], 30, axis=1)
    phi = np.where(keep, 5 + random.normal(size=keep.shape) * 0.5, random.normal(size=keep.shape) * 2)
    phi[0] = np.repeat([5.0, 0.0, -9.0], 10)
    for variance in VARIANCES:
        member, other, far = scores(compare(PHI, phi, keep), variance=variance).reshape(3, 10)
        assert member.min() > 0 > max(other.max(), far.max())


def test_withheld_records_are_in_neither_kind(compare, pool):
    phi, keep = pool
    withheld = np.zeros_like(keep)
    withheld[3] = True
    for mode in MODES:
        found = scores(compare(PHI, phi, keep & ~withheld, withheld=withheld), mode=mode)
        without = compare(PHI, np.delete(phi, 3, 0), np.delete(keep, 3, 0))
        np.testing.assert_array_equal(found, scores(without, mode=mode))


def test_records_without_a_kind_take_all_records_mean_and_deviation(compare, pool):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0], keep[1:, 1] = True, False  # record 0 has no OUT reference, record 1 no IN reference
    observed = compare(PHI, phi, keep)
    answers = observed.references[PHI]
    for mode, i, fallen in (("offline", 0, 1), ("online", 1, 2)):
        attack = create_attack("lira", mode=mode, variance="pooled")
        assert count_references(attack, observed, []).lacking == fallen
        mask = observed.reference_out if i == 0 else observed.reference_in
        together = stats.norm(answers[mask].mean(), answers[mask].std())
        expected = together.logcdf(phi[0, 0]) if i == 0 else together.logpdf(phi[0, 1])
        found = attack.score(observed, {})[i]
        if i == 1:
            residuals = np.concatenate([x - x.mean() for x, _ in (split(observed, j) for j in range(60)) if len(x)])
            found += stats.norm(split(observed, 1)[0].mean(), np.sqrt((residuals**2).mean())).logpdf(phi[0, 1])
        assert found == pytest.approx(expected, rel=1e-9)


def test_what_stands_in_for_out_references_comes_from_the_population(compare, pool):
    phi, keep = pool
    keep = keep.copy()
    keep[1:, 0] = True
    known = compare(PHI, phi * 3 + 7, np.zeros_like(keep))
    found = scores(compare(PHI, phi, keep, population=known), mode="offline", variance="pooled")[0]
    answers = known.references[PHI]
    assert found == pytest.approx(stats.norm(answers.mean(), answers.std()).logcdf(phi[0, 0]), rel=1e-9)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mode", MODES)
def test_one_reference_of_a_kind_still_ranks(compare, mode, variance):
    """Without residuals the deviation is 1: a constant, which ranks by phi against the reference."""
    phi = np.array([[0.0, 1.0, 2.0], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0]])
    keep = np.array([[0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)
    found = scores(compare(PHI, phi, keep), mode=mode, variance=variance)
    assert np.isfinite(found).all()
    if mode != "offline-refcode":
        assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mode", MODES)
def test_references_that_answer_alike_give_finite_scores(compare, mode, variance):
    phi = np.array([[-800.0, 1.0, 800.0], *[[800.0, 1.0, 800.0]] * 6])
    keep = np.repeat(np.arange(7)[:, None] % 2 == 0, 3, axis=1)
    assert np.isfinite(scores(compare(PHI, phi, keep), mode=mode, variance=variance)).all()


def test_far_tails_of_the_normal_are_exact(compare):
    """Log distribution functions down to -80,000, against 50 digits."""
    target = np.array([-400.0, -60.0, -38.0, -9.0, -1.0, 0.0, 3.0])
    phi = np.array([target] + [[d] * 7 for d in (-1.0, 1.0, -1.0, 1.0)])
    observed = compare(PHI, phi, np.zeros_like(phi))
    with mp.workdps(50):
        expected = [float(mp.log(mp.ncdf(z))) for z in target]
    np.testing.assert_allclose(scores(observed, mode="offline", variance="pooled"), expected, rtol=1e-10)


@pytest.mark.parametrize("df", [2.5, 40.0, 3e3, 1e6])
def test_far_tails_of_student_are_exact(df):
    z = np.array([-1e5, -900.0, -60.0, -38.0, -9.0, -1.0, 0.0, 3.0, 30.0])
    with mp.workdps(50):
        tails = [mp.betainc(df / 2, 0.5, 0, df / (df + mp.mpf(t) ** 2), regularized=True) / 2 for t in z]
        expected = [float(mp.log1p(-tail) if t > 0 else mp.log(tail)) for t, tail in zip(z, tails, strict=True)]
    np.testing.assert_allclose(_log_t(z, np.full(len(z), df)), expected, rtol=2e-6)


def test_students_underflow_is_continuous():
    """Where the distribution function leaves float64, its expansion goes on without a step."""
    for df in (3.0, 50.0, 1e4):
        z = -np.geomspace(1, 1e120 if df < 10 else 1e9, 4000)
        found = _log_t(z, np.full(len(z), df))
        assert (np.diff(found) < 0).all()
        assert np.isfinite(found).all()


def test_the_prior_of_variances_is_the_likeliest():
    random = np.random.default_rng(0)
    nu = random.integers(1, 9, 400).astype(float)
    variance = 2.0 * 6 / random.chisquare(6, 400)
    squares = variance * random.chisquare(nu)
    found = fit_prior(squares, nu)
    s2 = squares / nu
    best = log_likelihood(found.d0, found.s0, s2, nu)
    plain = sum(stats.f(v, found.d0).logpdf(s / found.s0) - math.log(found.s0) for s, v in zip(s2, nu, strict=True))
    assert best == pytest.approx(plain, rel=1e-9), "it is the density of s0^2 F(nu, d0)"
    grid = [log_likelihood(d0, s0, s2, nu) for d0 in np.geomspace(0.5, 100, 120) for s0 in np.geomspace(0.2, 20, 120)]
    assert best >= max(grid)
    assert best < max(grid) + 0.2
    assert 3 < found.d0 < 12
    assert 1.5 < found.s0 < 2.7


def test_the_prior_of_variances_ignores_the_order_of_records():
    random = np.random.default_rng(0)
    nu = random.integers(1, 9, 100).astype(float)
    squares = random.chisquare(nu) * random.gamma(2, 1, 100)
    for _ in range(3):
        order = random.permutation(100)
        assert fit_prior(squares[order], nu[order]) == fit_prior(squares, nu)


def test_the_prior_of_equal_variances_is_narrow_and_of_none_is_none():
    random = np.random.default_rng(0)
    alike = fit_prior(3 * random.chisquare(5, 5000), np.full(5000, 5.0))
    assert alike.d0 > 100
    assert alike.s0 == pytest.approx(3, rel=0.05)
    assert fit_prior(np.zeros(3), np.zeros(3)) is None
    assert fit_prior(np.zeros(3), np.ones(3)) is None


def test_shrinking_weighs_prior_and_record_by_their_degrees_of_freedom():
    df, variance = Prior(4.0, 3.0).shrink(np.array([8.0, 0.0]), np.array([2.0, 0.0]))
    np.testing.assert_allclose(df, [6, 4])
    np.testing.assert_allclose(variance, [(4 * 3 + 8) / 6, 3])
