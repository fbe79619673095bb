"""relift.stats against R 4.2.2 (the command stands beside each number), exact enumeration and simulation."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import betaln

from relift import stats


def test_wilson_equals_r() -> None:
    # prop.test(7, 30, correct=FALSE)$conf.int; prop.test(1, 8, correct=FALSE)$conf.int
    low, high = stats.wilson([7, 1], [30, 8])
    np.testing.assert_allclose(low, [0.117923881445, 0.0224174914501], rtol=1e-9)
    np.testing.assert_allclose(high, [0.409283261581, 0.470888182213], rtol=1e-9)


def test_wilson_at_the_ends_and_without_attempts() -> None:
    low, high = stats.wilson([0, 8, 0], [8, 8, 0])
    assert low[0] == 0 and high[1] == 1
    # at c = 0 the formula is z^2 / (n + z^2) = 3.8415 / 11.8415
    assert high[0] == pytest.approx(3.841458820694124 / 11.841458820694124)
    assert np.isnan(low[2]) and np.isnan(high[2])


def test_clopper_pearson_equals_r() -> None:
    # binom.test(7, 30)$conf.int; binom.test(0, 8)$conf.int; binom.test(8, 8)$conf.int
    low, high = stats.clopper_pearson([7, 0, 8, 0], [30, 8, 8, 0])
    np.testing.assert_allclose(low[:3], [0.099337864958, 0, 0.630583352447], rtol=1e-9)
    np.testing.assert_allclose(high[:3], [0.422836522978, 0.369416647553, 1], rtol=1e-9)
    assert np.isnan(low[3]) and np.isnan(high[3])


def test_mean_over_questions_is_the_logit_t_interval() -> None:
    # y <- c(2,4,8,0,6,1,3,5)/8; w <- .1; n <- 8 + 2*w; m <- (sum(y) + w)/n
    # se <- sqrt((sum((y-m)^2) + w*m^2 + w*(1-m)^2)/(n-1)/n)
    # plogis(qlogis(m) + c(-1, 1) * qt(.975, 7) * se / (m * (1 - m))); sd(y)/sqrt(8)
    found = stats.mean_over_questions([2, 4, 8, 0, 6, 1, 3, 5, 0], [8] * 8 + [0])
    assert found.method == "logit_t" and found.n_questions == 8  # the last one has no decided attempt
    assert found.value == pytest.approx(0.453125)
    assert found.standard_error == pytest.approx(0.117966163051, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((0.211787501144, 0.720572930010), rel=1e-9)
    assert stats.logit_t(np.array([2, 4, 8, 0, 6, 1, 3, 5]) / 8) == found


def test_logit_t_is_cut_at_wilson_where_almost_all_fail() -> None:
    # y <- c(rep(0, 29), 1/8), as above: .000324, .148289; prop.test(.125, 30, correct=FALSE): .000127, .120773
    found = stats.mean_over_questions([0] * 29 + [1], [8] * 30)
    assert (found.low, found.high) == pytest.approx((0.000323510068285, 0.120773349539336), rel=1e-9)
    # never below a question less: 0 of 30 ends at z^2 / (30 + z^2) = .1135
    none = stats.mean_over_questions([0] * 30, [8] * 30)
    assert (none.low, none.high) == pytest.approx((0, 3.841458820694124 / 33.841458820694124))


def test_mean_over_questions_never_has_width_zero() -> None:
    for c, n in ([0, 0, 0], [8, 8, 8]), ([8, 8], [8, 8]), ([1, 0, 1], [1, 1, 1]), ([3], [8]):
        found = stats.mean_over_questions(c, n)
        assert found.method == "wilson" and found.high - found.low > 0.1
    # 7 of 30 questions with one attempt each: Wilson, as prop.test above
    found = stats.mean_over_questions([1] * 7 + [0] * 23, [1] * 30)
    assert (found.low, found.high) == pytest.approx((0.117923881445, 0.409283261581), rel=1e-9)
    with pytest.raises(ValueError, match="no question"):
        stats.mean_over_questions([0], [0])


def test_logit_t_covers_the_mean_of_the_population() -> None:
    # 400 sets of 83 questions x 8 attempts, p ~ Beta(.6, .6), mean .5: 95 % +- 2.2 points (2 sd)
    rng = np.random.default_rng(3)
    p_SQ = rng.beta(0.6, 0.6, size=(400, 83))
    inside = 0
    for correct_Q in rng.binomial(8, p_SQ):
        found = stats.mean_over_questions(correct_Q, [8] * 83)
        inside += found.low <= 0.5 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_paired_t_equals_r() -> None:
    # t.test(c(.25, -.125, 0, .5, .125, .375, -.25, .125))
    found = stats.paired_t([0.25, -0.125, 0, 0.5, 0.125, 0.375, -0.25, 0.125, np.nan])
    assert found.n_questions == 8 and found.value == pytest.approx(0.125)
    assert (found.low, found.high) == pytest.approx((-0.0840052304074, 0.334005230407), rel=1e-9)
    assert found.p_value == pytest.approx(0.200200074166, rel=1e-9)


def test_paired_t_without_variation_claims_nothing() -> None:
    same = stats.paired_t([0.0, 0.0, 0.0])
    assert same.p_value == 1 and np.isnan(same.low)
    shifted = stats.paired_t([0.5, 0.5])
    assert shifted.value == 0.5 and np.isnan(shifted.low) and np.isnan(shifted.p_value)
    with pytest.raises(ValueError, match="two shared"):
        stats.paired_t([0.5])


def test_mcnemar_and_holm_equal_r() -> None:
    # binom.test(3, 15)$p.value; binom.test(5, 10)$p.value
    np.testing.assert_allclose(stats.mcnemar_exact([3, 12, 5, 0], [12, 3, 5, 0]), [0.03515625] * 2 + [1, 1])
    # p.adjust(c(.01, .04, .03, .005, .5), "holm")
    np.testing.assert_allclose(stats.holm([0.01, 0.04, 0.03, 0.005, 0.5]), [0.04, 0.09, 0.09, 0.025, 0.5])


def test_pass_at_k_equals_enumeration() -> None:
    n = 7
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([1] * c + [0] * (n - c), k))
            expected = sum(any(draw) for draw in draws) / len(draws)
            assert stats.pass_at_k([c], [n], k=k)[0] == pytest.approx(expected, abs=1e-14)
    assert stats.pass_at_k(1, 1_000, k=512) == pytest.approx(0.512)  # one right of n: k / n
    with pytest.raises(ValueError, match="k = 8"):
        stats.pass_at_k([3, 4], [8, 7], k=8)


def test_bootstrap_weights_are_multinomial() -> None:
    blocks = list(stats.bootstrap_weights(50, 2_000, seed=1))
    weight_RQ = np.concatenate(blocks)
    assert weight_RQ.shape == (2_000, 50) and (weight_RQ.sum(axis=1) == 50).all()
    # Multinomial(50, 1/50): variance 50 * .02 * .98 = .98, covariance -.02
    assert weight_RQ.var() == pytest.approx(0.98, abs=0.02)
    assert np.cov(weight_RQ, rowvar=False)[np.triu_indices(50, 1)].mean() == pytest.approx(-0.02, abs=0.002)


def test_bootstrap_weights_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(stats.bootstrap_weights(20, 30, seed=5)))
    monkeypatch.setattr(stats.bootstrap, "_CHUNK_WEIGHTS", 140)  # 7 rows at a time
    blocks = list(stats.bootstrap_weights(20, 30, seed=5))
    assert [len(b) for b in blocks] == [7, 7, 7, 7, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_clusters_are_resampled_whole() -> None:
    cluster_N = ["x", "y", "x", "z", "y"]
    for weight_RN in stats.bootstrap_weights(5, 200, seed=2, cluster_N=cluster_N):
        np.testing.assert_array_equal(weight_RN[:, 0], weight_RN[:, 2])
        np.testing.assert_array_equal(weight_RN[:, 1], weight_RN[:, 4])
        np.testing.assert_array_equal(weight_RN[:, [0, 1, 3]].sum(axis=1), 3)  # three clusters drawn


def test_bootstrap_ratios_of_groups_and_their_interval() -> None:
    rng = np.random.default_rng(0)
    numerator_QC = rng.random((400, 2))
    group_Q = np.repeat([0, 1, -1, 0], 100)
    estimates = stats.bootstrap_ratios(numerator_QC, np.ones((400, 2)), group_Q, n_groups=3, resamples=500, seed=4)
    assert estimates.shape == (500, 3, 2)
    assert np.isnan(estimates[:, 2]).all()  # nobody is in group 2
    inside = group_Q == 0
    np.testing.assert_allclose(estimates[:, 0].mean(axis=0), numerator_QC[inside].mean(axis=0), atol=0.005)
    # standard error of a mean of 200 uniforms: sqrt(1/12/200) = .0204
    np.testing.assert_allclose(estimates[:, 0].std(axis=0), 0.0204, atol=0.003)
    low, high = stats.percentile_interval(estimates)
    assert np.isnan(low[2]).all() and (low[0] < high[0]).all()
    np.testing.assert_allclose((high - low)[0], 2 * 1.96 * 0.0204, rtol=0.15)


def test_beta_binomial_fit_equals_r() -> None:
    # c <- c(0,0,0,1,2,3,5,7,8,8,8,0,4); n <- c(rep(8, 12), 16)
    # f <- function(x) -sum(lbeta(exp(x[1])+c, exp(x[2])+n-c) - lbeta(exp(x[1]), exp(x[2])))
    # o <- optim(c(0,0), f, method="BFGS", control=list(reltol=1e-15)); exp(o$par); -o$value
    c, n = [0, 0, 0, 1, 2, 3, 5, 7, 8, 8, 8, 0, 4], [8] * 12 + [16]
    fit = stats.beta_binomial_fit(c, n)
    assert (fit.a, fit.b) == pytest.approx((0.27326225505, 0.344847316248), rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-48.9914207429, rel=1e-9)
    # a question weighted 2 is a question that stands there twice; 0 of 0 says nothing
    doubled = stats.beta_binomial_fit([*c, 4, 0], [*n, 16, 0])
    weighted = stats.beta_binomial_fit(c, n, weights=[1] * 12 + [2], start=fit)
    assert (weighted.a, weighted.b) == pytest.approx((doubled.a, doubled.b), rel=1e-5)


def test_beta_binomial_fit_finds_the_prior_again() -> None:
    rng = np.random.default_rng(8)
    fit = stats.beta_binomial_fit(rng.binomial(8, rng.beta(0.45, 0.9, size=20_000)), [8] * 20_000)
    assert (fit.a, fit.b) == pytest.approx((0.45, 0.9), rel=0.05)
    flat = stats.beta_binomial_fit([0] * 10, [8] * 10)  # no maximum inside: kept within the bounds
    assert np.isfinite([flat.a, flat.b]).all() and flat.a < 0.01


def test_beta_below_equals_r() -> None:
    # pbeta(.0457, .45 + 0, .9 + 64); pbeta(.1, 1 + 1, 1 + 7)
    assert stats.beta_below(0, 64, a=0.45, b=0.9, epsilon=0.0457) == pytest.approx(0.988264318121, rel=1e-9)
    assert stats.beta_below(1, 8, a=1, b=1, epsilon=0.1) == pytest.approx(0.225159022, rel=1e-9)


def test_inflated_fit_is_the_plain_one_without_extra_zeros() -> None:
    correct = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8])
    weights = np.array([1, 8, 10, 11, 11, 10, 8, 5, 2])  # fewer zeros than any beta distribution wants to have
    plain = stats.beta_binomial_fit(correct, np.full(9, 8), weights=weights)
    found = stats.inflated_fit(correct, np.full(9, 8), weights=weights)
    assert found.zero < 1e-4 and (found.a, found.b) == pytest.approx((plain.a, plain.b), rel=1e-3)
    assert found.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-3)


def test_inflated_fit_finds_the_prior_again_and_is_a_maximum() -> None:
    rng = np.random.default_rng(4)
    rate = np.where(rng.random(20_000) < 0.3, 0, rng.beta(1.5, 1.1, 20_000))
    correct = rng.binomial(8, rate)
    found = stats.inflated_fit(correct, np.full(20_000, 8))
    assert (found.zero, found.a, found.b) == pytest.approx((0.3, 1.5, 1.1), rel=0.1)

    def log_likelihood(zero: float, a: float, b: float) -> float:
        beta = np.exp(betaln(a + correct, b + 8 - correct) - betaln(a, b))
        return float(np.log((1 - zero) * beta + zero * (correct == 0)).sum())

    best = log_likelihood(found.zero, found.a, found.b)
    assert best == pytest.approx(found.log_likelihood, abs=1e-6)
    for factor in (0.97, 1.03):
        assert log_likelihood(found.zero * factor, found.a, found.b) < best
        assert log_likelihood(found.zero, found.a * factor, found.b) < best
        assert log_likelihood(found.zero, found.a, found.b * factor) < best
    again = stats.inflated_fit(correct, np.full(20_000, 8), start=found)
    assert (again.zero, again.a) == pytest.approx((found.zero, found.a), rel=1e-3)
    with pytest.raises(ValueError, match="inflated_fit: no question"):
        stats.inflated_fit([0], [0])
