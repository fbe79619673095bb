"""Intervals for these questions, paired rates, detectable differences, flips: against R 4.2.2 and enumeration."""

import math
from itertools import combinations

import numpy as np
import pytest

from relift import stats


def test_mean_over_these_equals_r() -> None:
    # x <- c(2,0,8,5,1)/8; v <- x*(1-x)/7; se <- sqrt(sum(v))/5; a <- mean(x); n <- a*(1-a)/se^2
    # prop.test(a*n, n, correct=FALSE)$conf.int
    rate_Q = np.array([2, 0, 8, 5, 1]) / 8
    found = stats.mean_over_these(rate_Q, rate_Q * (1 - rate_Q) / 7, n_decided=[8] * 5)
    assert found.method == "wilson_effective" and found.value == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(0.0550973165019, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((0.299075002092, 0.510192659517), rel=1e-9)


def test_mean_over_these_never_has_width_zero() -> None:
    # nothing seen of 2 failing and 1 solved question in 8 attempts: sum p <= -ln(.025) / 8 on either side, over 3
    end = -np.log(0.025) / 8 / 3
    found = stats.mean_over_these([0, 0, 1], [0, 0, 0], n_decided=[8, 9, 8])
    assert found.method == "none_seen"
    assert (found.low, found.high) == pytest.approx((1 / 3 - end, 1 / 3 + end))
    # all failed: nothing below 0; pass@4: each p moves it at most 4 times as far
    none = stats.mean_over_these([0, 0], [0, 0], n_decided=[8, 8], k=4)
    assert (none.low, none.high) == pytest.approx((0, 4 * -np.log(0.025) / 8 / 2))
    assert stats.mean_over_these([1.0], [0.0], n_decided=[2]).low == 0  # -ln(.025) / 2 = 1.84: cut at 0


def test_mean_over_these_with_single_attempts() -> None:
    # one attempt: the variance is unknown and counts as 1/4; sqrt(.25 + 2/8*6/8/7) / 2
    found = stats.mean_over_these([1, 0.25], [np.nan, 0.25 * 0.75 / 7], n_decided=[1, 8])
    assert found.standard_error == pytest.approx(np.sqrt(0.25 + 0.1875 / 7) / 2)
    undefined = stats.mean_over_these([1, 0], [np.nan, np.nan], n_decided=[1, 1])
    assert undefined.method == "undefined" and undefined.value == 0.5
    assert np.isnan([undefined.low, undefined.high, undefined.standard_error]).all()


def test_pass_variance_at_one_is_the_unbiased_variance_of_a_rate() -> None:
    # p (1 - p) / (n - 1): 2/8 * 6/8 / 7, 0, nan at one attempt
    found = stats.pass_variance([2, 8, 1], [8, 8, 1], k=1)
    np.testing.assert_allclose(found, [0.1875 / 7, 0, np.nan], atol=1e-15)


def test_pass_variance_equals_r() -> None:
    # j <- 0:8; f <- 1 - choose(8-j,4)/choose(8,4); w <- dbinom(j,8,3/8); sum(w*(f-sum(w*f))^2)*8/7
    assert stats.pass_variance(3, 8, k=4) == pytest.approx(0.045938759434, rel=1e-10)
    # dbinom(0:3, 3, .2)
    np.testing.assert_allclose(stats.shares_of_binomial(3, 0.2), [0.512, 0.384, 0.096, 0.008], rtol=1e-12)
    np.testing.assert_allclose(stats.shares_of_binomial(3, 1.0), [0, 0, 0, 1], atol=1e-15)


def test_paired_rates_is_the_t_interval_where_differences_vary() -> None:
    difference = [0.25, -0.125, 0, 0.5, np.nan]
    assert stats.paired_rates(difference) == stats.paired_t(difference)


def test_paired_rates_of_equal_differences_still_has_an_interval() -> None:
    # upper Wilson end of 0 of 10: z^2 / (10 + z^2) = 3.8415 / 13.8415 = .27753
    share = 3.841458820694124 / 13.841458820694124
    same = stats.paired_rates([0.0] * 10)
    assert (same.low, same.high, same.p_value) == pytest.approx((-share, share, 1))
    # all .25: (1 - s) .25 +- s, and all ten of one sign: 2 / 2^10
    shifted = stats.paired_rates([0.25] * 10)
    assert (shifted.low, shifted.high) == pytest.approx((0.25 * (1 - share) - share, 0.25 * (1 - share) + share))
    assert shifted.p_value == pytest.approx(2 / 1024)
    assert stats.paired_rates([0.5]).p_value == 1  # one question says nothing: 2 / 2
    with pytest.raises(ValueError, match="no shared"):
        stats.paired_rates([np.nan])


def test_paired_these_equals_r() -> None:
    # d <- c(.25, -.125, 0, .5, .125, .375, -.25, .125); s <- sqrt(8*.01)/8
    # mean(d) + c(-1, 1) * qnorm(.975) * s; 2 * pnorm(-mean(d) / s)
    difference = [0.25, -0.125, 0, 0.5, 0.125, 0.375, -0.25, 0.125]
    found = stats.paired_these(difference, [0.01] * 8, n_decided=[8] * 8)
    assert (found.low, found.high) == pytest.approx((0.0557048087825, 0.1942951912175), rel=1e-9)
    assert found.p_value == pytest.approx(0.000406952017445, rel=1e-9)


def test_paired_these_without_noise_or_without_repeats() -> None:
    # nothing seen on both sides, half of the tail for each: 2 * -ln(.0125) / 8 / 4
    still = stats.paired_these([0, 0, 1, 0], [0, 0, 0, 0], n_decided=[8] * 4)
    half = 2 * -np.log(0.0125) / 8 / 4
    assert (still.low, still.high) == pytest.approx((0.25 - half, 0.25 + half)) and np.isnan(still.p_value)
    single = stats.paired_these([1, 0], [np.nan, np.nan], n_decided=[1, 1])
    assert np.isnan([single.low, single.high, single.p_value]).all() and single.value == 0.5


def test_minimum_detectable_difference_by_questions_and_attempts() -> None:
    # the design's table, simulated with logit-normal difficulty, has the same points but for 500 x 4, where it has 3.4
    n, k = [30, 30, 30, 83, 500, 500, 675, 675], [1, 8, 32, 32, 1, 4, 1, 4]
    points = 100 * stats.minimum_detectable_difference(n, k)
    shown = [f"{x:.{digits}f}" for x, digits in zip(points, [0, 0, 0, 1, 0, 1, 0, 1], strict=True)]
    assert shown == ["25", "10", "6", "3.6", "6", "3.2", "5", "2.8"]
    # 2.8 SE, SE = sqrt((2 * .12 / 8 + .08^2) / 30) = .03483; qnorm(.975) + qnorm(.8) = 2.80158521811
    assert points[1] == pytest.approx(100 * 2.80158521811 * np.sqrt((0.24 / 8 + 0.0064) / 30), rel=1e-9)


def test_detectable_is_found_four_times_in_five() -> None:
    # |z| > 1.96 with a true difference of 2.8 SE: 1 - Phi(1.96 - 2.8) = .8, and hardly ever on the wrong side
    rng = np.random.default_rng(0)
    found = np.abs(rng.normal(float(stats.detectable(1.0)), 1, 100_000)) > 1.959963984540054
    assert found.mean() == pytest.approx(0.8, abs=0.005)


def test_benjamini_hochberg_equals_r() -> None:
    # p.adjust(c(.01, .04, .03, .005, .5), "BH")
    np.testing.assert_allclose(
        stats.benjamini_hochberg([0.01, 0.04, 0.03, 0.005, 0.5]), [0.025, 0.05, 0.05, 0.025, 0.5]
    )


def test_shares_of_split_equal_enumeration_and_r() -> None:
    # dhyper(0:4, 4, 6, 5) = C(5, j) C(5, 4 - j) / C(10, 4): 4 right attempts, 5 of A and 5 of B
    share = stats.shares_of_split([4], n_a=[5], n_b=[5])[0]
    np.testing.assert_allclose(
        share[:5], [0.0238095238095, 0.238095238095, 0.47619047619, 0.238095238095, 0.0238095238095]
    )
    # 3 right of 2 + 4 attempts, dealt out: how many land among the first two
    dealt = [sum(i < 2 for i in deal) for deal in combinations(range(6), 3)]
    expected = [dealt.count(j) / len(dealt) for j in range(3)]
    np.testing.assert_allclose(stats.shares_of_split([3], n_a=[2], n_b=[4])[0], expected)


def test_fisher_exact_equals_r() -> None:
    # fisher.test(matrix(c(7,1,2,6),2))$p.value: 7 of 8 against 2 of 8; equal scores: 1
    found = stats.fisher_exact([7, 3], [8, 8], [2, 3], [8, 8])
    np.testing.assert_allclose(found, [0.0405594405594, 1], rtol=1e-9)


def test_few_moved_questions_do_not_exclude_no_difference() -> None:
    """4 against 0 of 100: cells 4.5 and .5, N 102; (4 -+ 1.96 sqrt(5 - 16/102)) / 102 * 100, Student's t (.1, 7.9)."""
    first = np.arange(100) < 4
    half = 1.959964 * math.sqrt(5 - 16 / 102)
    low, high = stats.paired_counts(first, np.zeros(100, bool))
    assert (low, high) == pytest.approx(((4 - half) / 1.02, (4 + half) / 1.02), abs=1e-5)
    assert low < 0 < stats.paired_t(first.astype(float)).low
    assert all(map(math.isnan, stats.paired_counts([True], [False])))


def test_none_of_a_few_that_chance_gives_does_not_exclude_chance() -> None:
    # 100 at .02 each: expected 2, V0 1.96, z sqrt(V0) 2.744. None happened: -2 - 2.744 is cut at -2, -2 + 2.744 > 0, so
    # the root of (1 + z^2/100) x^2 - (2(-2) + z^2) x + 4 - z^2 1.96 = 1.038415 x^2 + .158541 x - 3.529259
    # .. x = (.158541 / -2 + sqrt(.0062838 + 1.038415 x 3.529259)) / 1.038415 = 1.7688
    low, high = stats.count_over_chance(0, np.full(100, 0.02))
    assert (low, high) == pytest.approx((-2, 1.7688), abs=1e-3)
    # 9 happened: e 7, 7 -+ 2.744 are above 0: 1.038415 x^2 - (14 + 3.841459) x + 49 - 7.529259
    low, high = stats.count_over_chance(9, np.full(100, 0.02))
    root = math.sqrt(8.920729**2 - 1.0384146 * 41.470741)
    assert (low, high) == pytest.approx(((8.920729 - root) / 1.0384146, (8.920729 + root) / 1.0384146), abs=1e-4)
    assert all(map(math.isnan, stats.count_over_chance(0, [])))


@pytest.mark.parametrize(("n", "share"), [(100, 0.01), (100, 0.04), (320, 0.02), (620, 0.1)])
def test_intervals_of_paired_counts_cover_no_difference(n: int, share: float) -> None:
    """Two frozen copies: each question is marked by either with the same small probability. 2,000 sets, 95 %."""
    rng = np.random.default_rng(0)
    ends = [stats.paired_counts(rng.random(n) < share, rng.random(n) < share) for _ in range(2000)]
    assert np.mean([low <= 0 <= high for low, high in ends]) >= 0.94
