"""Macro averages: which there are, their standard errors, questions that two benchmarks share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit, stdtrit

from relift import stats
from relift.analysis.scores.macro import PAPER, macro_groups, macro_like_these, macro_these


def test_which_macro_averages_there_are() -> None:
    assert macro_groups({"aime24": False}) == {}
    assert macro_groups({"aime24": False, "amc": False}) == {"macro_all": ["aime24", "amc"]}
    assert macro_groups({"aime24": False, "amc": False, "arc_c": True}) == {
        "macro_in_distribution": ["aime24", "amc"],
        "macro_all": ["aime24", "amc", "arc_c"],
    }
    six = {name: name == "mmlu_pro" for name in PAPER}
    assert macro_groups(six)["macro_paper"] == list(PAPER)
    assert set(macro_groups(six)) == {"macro_paper", "macro_in_distribution", "macro_all"}


RATES = (np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.25, 0.75]))
IXS = (np.array([0, 1, 2, 3]), np.array([4, 5]))


def test_standard_error_without_shared_questions() -> None:
    # SE^2 of the benchmarks: (1/6)/4 = 1/24, (1/8)/2 = 1/16; of their mean: (1/24 + 1/16) / 4 = 5/192
    estimates = [stats.logit_t(rate) for rate in RATES]
    found = macro_like_these(list(zip(IXS, RATES, strict=True)), estimates, level=0.95)
    assert found.value == 0.5 and found.n_questions == 6
    assert found.standard_error == pytest.approx(np.sqrt(5 / 192))
    # Satterthwaite: (1/24 + 1/16)^2 / ((1/24)^2 / 3 + (1/16)^2 / 1)
    freedom = (5 / 48) ** 2 / (1 / 24**2 / 3 + 1 / 16**2)
    # .04 to .96, but the two benchmarks' own ends have the means
    half = stdtrit(freedom, 0.975) * np.sqrt(5 / 192) / 0.25
    ends = [np.mean([e.low for e in estimates]), np.mean([e.high for e in estimates])]
    expected = max(expit(logit(0.5) - half), ends[0]), min(expit(logit(0.5) + half), ends[1])
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_benchmark_against_itself_is_that_benchmark() -> None:
    # the same questions twice: no new information, so SE stays, instead of falling by sqrt(2)
    estimate = stats.logit_t(RATES[0])
    found = macro_like_these([(IXS[0], RATES[0])] * 2, [estimate] * 2, level=0.95)
    assert found.standard_error == pytest.approx(estimate.standard_error) and found.n_questions == 4
    variance = RATES[0] * (1 - RATES[0]) / 7
    these = stats.mean_over_these(RATES[0], variance, n_decided=[8] * 4)
    doubled = macro_these([(IXS[0], variance)] * 2, [these] * 2, level=0.95)
    assert doubled.standard_error == pytest.approx(these.standard_error)


def test_these_questions_add_their_noise() -> None:
    # (1/2) sqrt(SE_1^2 + SE_2^2) of sampling noise alone
    variances = [rate * (1 - rate) / 7 for rate in RATES]
    estimates = [
        stats.mean_over_these(rate, v, n_decided=np.full(len(rate), 8))
        for rate, v in zip(RATES, variances, strict=True)
    ]
    found = macro_these(list(zip(IXS, variances, strict=True)), estimates, level=0.95)
    assert found.standard_error == pytest.approx(np.hypot(*(e.standard_error for e in estimates)) / 2)
    single = stats.mean_over_these([1, 0], [np.nan] * 2, n_decided=[1, 1])
    undefined = macro_these([(IXS[0], variances[0]), (IXS[1], np.full(2, np.nan))], [estimates[0], single], level=0.95)
    assert np.isnan([undefined.low, undefined.high]).all() and undefined.value == 0.5


def test_equal_questions_enter_with_the_arm_of_their_interval() -> None:
    # 0 of 30 in one benchmark: Wilson [0, .1135], so .1135 / 1.96 instead of 0
    none = stats.logit_t(np.zeros(30))
    other = stats.logit_t(RATES[0])
    found = macro_like_these([(np.arange(10, 40), np.zeros(30)), (IXS[0], RATES[0])], [none, other], level=0.95)
    substitute = none.high / 1.959963984540054
    assert found.standard_error == pytest.approx(np.hypot(substitute, other.standard_error) / 2)
    both = macro_like_these([(np.arange(30), np.zeros(30))] * 2, [none] * 2, level=0.95)
    assert both.low == 0 and both.high > 0.05


def test_never_wider_than_the_means_of_the_ends() -> None:
    # one question in 613 solved once: the logit scale would end at 100 %; (.1135 + .0442 + high) / 3 is at most there
    few = np.zeros(500)
    few[0] = 0.5
    rates = [np.zeros(30), np.zeros(83), few]
    ixs = [np.arange(30), np.arange(100, 183), np.arange(200, 700)]
    estimates = [stats.logit_t(rate) for rate in rates]
    found = macro_like_these(list(zip(ixs, rates, strict=True)), estimates, level=0.95)
    assert found.value == pytest.approx(0.001 / 3) and found.high == pytest.approx(np.mean([e.high for e in estimates]))
    assert found.low == pytest.approx(np.mean([e.low for e in estimates])) and found.high < 0.06
