from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from relift.analysis import Cuts, assign_bands, counts_of_bands
from relift.analysis.questions.bands import BANDS, PAPER, band_codes, sure_band_codes
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_cuts_equal_the_papers_at_8_attempts() -> None:
    # arXiv 2506.07527, section 2: Hardest 0, Hard 1-2, Medium 3-5, Easy 6-8 of 8
    assert band_codes(np.arange(9), 8).tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3]
    assert counts_of_bands(8) == {"Hardest": "0", "Hard": "1–2", "Medium": "3–5", "Easy": "6–8"}


def test_every_count_up_to_64_attempts_has_the_band_its_share_says() -> None:
    for n in range(1, 65):
        for c in range(n + 1):
            share = Fraction(c, n)
            holds = [
                share == 0,
                0 < share < Fraction(5, 16),
                Fraction(5, 16) <= share < Fraction(11, 16),
                Fraction(11, 16) <= share,
            ]
            assert sum(holds) == 1
            assert band_codes(c, n) == holds.index(True), (c, n)
    assert band_codes(0, 0) == -1


def test_other_cuts() -> None:
    cuts = Cuts(hardest=Fraction(1, 8))  # acc <= 1/8 counts as Hardest
    assert band_codes(np.arange(9), 8, cuts=cuts).tolist() == [0, 0, 1, 2, 2, 2, 3, 3, 3]
    assert Cuts.parse(str(cuts)) == cuts and Cuts.parse(str(PAPER)) == PAPER
    assert counts_of_bands(1) == {"Hardest": "0", "Hard": "none", "Medium": "none", "Easy": "1"}
    with pytest.raises(InputError, match="rise"):
        Cuts(hardest=Fraction(1, 2))


def test_undecided_attempts_never_make_a_hardest() -> None:
    for n in range(1, 17):
        for u in range(1, n + 1):
            for c in range(n - u + 1):
                code = sure_band_codes(c, n, u)
                fallen = set(band_codes(np.arange(c, c + u + 1), n).tolist())
                assert code == (fallen.pop() if len(fallen) == 1 else -1)
                assert code != 0


def test_assign_bands_uses_one_draw_of_one_run_at_step_0() -> None:
    frame = pd.concat(
        [
            trajectories([0, 1, 4, 8]),
            trajectories([8, 8, 8, 8], draw=1),
            trajectories([8, 8, 8, 8], step=10),
            trajectories([8, 8, 8, 8], run="rl"),
        ]
    )
    by_label, by_id = assign_bands(frame, run="base"), assign_bands(frame, run="base-1")
    pd.testing.assert_frame_equal(by_label, by_id)
    assert by_label["band"].tolist() == list(BANDS)
    assert by_label["n_correct"].tolist() == [0, 1, 4, 8]
    assert (by_label["draw"] == 0).all() and (by_label["run_id"] == "base-1").all()
    assert assign_bands(frame, run="rl")["band"].tolist() == ["Easy"] * 4


def test_assign_bands_leaves_the_unsure_unmeasured() -> None:
    # 0 right and 1 undecided of 8: Hardest or Hard; 7 right and 1 undecided: Easy either way; nothing decided
    bands = assign_bands(trajectories([0, 7, 0, 2], n_undecided=[1, 1, 8, 0]))
    assert bands["band"].isna().tolist() == [True, False, True, False]
    assert bands["band"].tolist()[1::2] == ["Easy", "Hard"]
    assert bands["n_decided"].tolist() == [7, 7, 0, 8]


def test_assign_bands_refuses_what_cannot_be_meant() -> None:
    base = trajectories([0, 1])
    with pytest.raises(InputError, match="no probe of draw 1 at step 0"):
        assign_bands(base, draw=1)
    with pytest.raises(InputError, match="must be named"):
        assign_bands(pd.concat([base.assign(run="start"), trajectories([0, 1], run="rl")]))
    assert set(assign_bands(pd.concat([base, trajectories([0, 1], run="rl")]))["run_id"]) == {"base-1"}
    with pytest.raises(InputError, match="no run is called 'sft'"):
        assign_bands(base, run="sft")
    with pytest.raises(InputError, match="one origin"):
        assign_bands(pd.concat([base, trajectories([0], origin="rollout")]), run="base")
    with pytest.raises(InputError, match="twice"):
        assign_bands(pd.concat([base, base]))
