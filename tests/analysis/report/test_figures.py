"""Figures: what is written, what is drawn, that the same frame gives the same bytes. No pixels are compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from relift import analysis
from relift.analysis import style
from tests.analysis.frames import trajectories
from tests.analysis.training.test_attempts import attempts
from tests.analysis.training.test_demos import EVENTS, USED
from tests.analysis.training.test_dynamics import updates
from tests.analysis.training.test_event_study import EVENTS as WAITED
from tests.analysis.training.test_event_study import SEEN

RUNS = ("base", "rl", "relift", "my own")


def probes() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rate_Q = rng.beta(0.45, 0.9, 80)
    parts = [trajectories(rng.binomial(8, rate_Q), draw=draw) for draw in (0, 1)]
    for run in RUNS[1:]:
        for step in (0, 10, 20):
            later_Q = np.minimum(1, rate_Q + step / 40)
            parts.append(trajectories(rng.binomial(8, later_Q), run=run, step=step, draw=int(step == 0)))
    return pd.concat(parts, ignore_index=True)


Drawn = tuple[pd.DataFrame, Callable[..., Any], Callable[[pd.DataFrame], str]]


def figures() -> dict[str, Drawn]:
    frame = probes()
    bands = analysis.assign_bands(frame, run="base")
    made = pd.concat([updates([(5, "rl"), (6, "sft")], run=run) for run in RUNS[1:]])
    rolled = pd.concat([trajectories([4], run="rl", step=s, origin="rollout") for s in (5, 6)])
    used = pd.concat([USED.assign(step=[10, 20], run_id=f"{run}-1", run=run) for run in RUNS])
    return {
        "f1": (analysis.band_accuracy(frame, bands), analysis.plot_band_accuracy, analysis.caption_bands),
        "f2": (analysis.band_lengths(frame, bands), analysis.plot_band_lengths, analysis.caption_lengths),
        "f3": (analysis.band_transitions(frame, bands), analysis.plot_transitions, analysis.caption_transitions),
        "f4": (
            analysis.training_dynamics(made, pd.concat([rolled, frame])),
            analysis.plot_training_dynamics,
            analysis.caption_training_dynamics,
        ),
        "f9": (
            analysis.demo_efficiency(analysis.probe_scores(frame, measure_draw=1), used),
            analysis.plot_demo_efficiency,
            analysis.caption_demo_efficiency,
        ),
        "f14": (analysis.buffer_health(EVENTS), analysis.plot_buffer_health, analysis.caption_buffer_health),
        **more_figures(frame, rolled),
    }


def more_figures(frame: pd.DataFrame, rolled: pd.DataFrame) -> dict[str, Drawn]:
    ends = frame[frame["step"] != 10]
    classified = analysis.classify_trajectories(frame)
    crossings = analysis.crossover(ends, base="base", resamples=20)
    base = frame[frame["run"] == "base"]
    reached = analysis.reach(base, analysis.fit_prior(base))
    tried = pd.concat([attempts("cwwu" * 5, step=s, n_tokens=range(10, 30)) for s in (1, 2)])
    known = tried.assign(sum_logprob=-3.0, sum_logprob_base=-4.0)
    solved = analysis.solved_sets(ends, base="base")
    by_run, retained = analysis.solved_by(ends, base="base"), analysis.retention(frame)
    drifted = pd.concat([analysis.drift(known.assign(step=s)) for s in (10, 20)])
    around = analysis.around_training(SEEN, WAITED, horizon=16)
    scores = analysis.probe_scores(frame, measure_draw=1)
    counts = np.random.default_rng(1).binomial(8, 0.4, (50, 4)).astype(np.int16)
    cube = analysis.Cube(counts, np.full_like(counts, 8), np.arange(4), np.arange(50))
    a = analysis
    return {
        "f5": (a.scores_of_last_step(scores), a.plot_scores, a.caption_scores),
        "f6": (a.with_crossings(a.pass_at_k(ends, ks=[1, 2, 4]), crossings), a.plot_pass_at_k, a.caption_pass_at_k),
        "f6_gap": (a.sampling_gap(ends, base="base", k=4), a.plot_sampling_gap, a.caption_sampling_gap),
        "f7": (solved, a.plot_support, a.caption_support),
        "f7_by": (by_run, a.plot_solved_by, a.caption_solved_by),
        "f8": (a.turnover(frame), a.plot_turnover, a.caption_turnover),
        "f8_kept": (retained, a.plot_retention, a.caption_retention),
        "f10": (a.question_heat(frame, classified), a.plot_question_heat, a.caption_question_heat),
        "f11": (a.data_map(cube, bins=10), a.plot_data_map, a.caption_data_map),
        "f12": (a.base_perplexity(known), a.plot_base_perplexity, a.caption_base_perplexity),
        "f13": (a.forgetting_drift(retained, drifted), a.plot_forgetting_drift, a.caption_forgetting_drift),
        "f15": (around, a.plot_around_training, a.caption_around_training),
        "f16": (a.cover(ends), a.plot_cover, a.caption_cover),
        "f17": (a.reach_counts(ends, base="base"), a.plot_reach, a.caption_reach),
        "f17_later": (a.reach_accuracy(frame, reached), a.plot_reach_accuracy, a.caption_reach_accuracy),
        "f18": (a.group_signal(tried), a.plot_group_signal, a.caption_group_signal),
        "f19": (a.length_accuracy(tried), a.plot_length_accuracy, a.caption_length_accuracy),
    }


FIGURES = figures()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_each_figure_is_written_twice_alike(name: str, tmp_path: Path) -> None:
    frame, plot, caption = FIGURES[name]
    settings = dict(matplotlib.rcParams)
    before = frame.copy()
    written = []
    for folder in ("first", "second"):
        axes = plot(frame)
        written.append(analysis.save_figure(np.asarray(axes).flat[0].figure, tmp_path / folder, name, frame))
    assert [p.name for p in written[0]] == [f"{name}.{kind}" for kind in ("pdf", "svg", "png", "csv")]
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name
    pd.testing.assert_frame_equal(frame, before)  # plotting adds nothing to the data
    assert dict(matplotlib.rcParams) == settings  # nor to anybody's settings
    pdf, svg, png, csv = written[0]
    assert b"/Type3" not in pdf.read_bytes() and b"/TrueType" not in pdf.read_bytes().replace(b"/FontFile2", b"")
    assert b"<text" in svg.read_bytes()
    width = int.from_bytes(png.read_bytes()[16:20], "big")
    assert width in (1650, 975)  # 5.5 or 3.25 inches at 300 dpi
    read = pd.read_csv(csv)
    assert list(read.columns) == list(frame.columns) and len(read) == len(frame)
    assert len(caption(frame)) > 60 and "nan" not in caption(frame)


def test_band_accuracy_draws_the_numbers_of_its_frame() -> None:
    frame, plot, _ = FIGURES["f1"]
    axes = plot(frame)
    assert [one.get_title().split(",")[0] for one in axes] == list(analysis.BANDS)
    questions = int(frame.loc[frame["band"] == "Hardest", "n_questions"].iloc[0])
    assert axes[0].get_title() == f"Hardest, 0 of 8\n{questions} questions"
    for one, band in zip(axes, analysis.BANDS, strict=True):
        lines = [line.get_ydata() for line in one.get_lines()]
        expected = [g["accuracy"].tolist() for _, g in frame[frame["band"] == band].groupby("run", sort=False)]
        expected[0] = expected[0] * 2  # the base run's level, from edge to edge
        assert [list(line) for line in lines] == expected
    labels = [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert labels == ["base", "RL", "ReLIFT", "my own"]


def test_transition_cells_hold_the_numbers_and_noise_is_grey() -> None:
    frame, plot, _ = FIGURES["f3"]
    axes = plot(frame)
    assert axes.shape == (3, 3)
    one = frame[frame["run"] == "rl"]
    shares = [text.get_text() for text in axes[0, 0].texts]
    assert shares == [f"{100 * share:.0f}" for share in one["share"]]
    grey = to_rgb(style.GREY)
    colours = axes[0, 2].images[0].get_array()[..., :3].reshape(16, 3)
    is_grey = np.isclose(colours, grey, atol=0.01).all(axis=1)
    assert is_grey.tolist() == (~one["significant"]).tolist()
    assert is_grey.any() and not is_grey.all()


def test_axes_given_are_drawn_on() -> None:
    frame, plot, _ = FIGURES["f9"]
    given = style.new_axes(1, 2, height=2)[0]
    assert plot(frame, axes=given)[1] is given[1]
    assert len(given[0].get_lines()) > 0


def test_methods_keep_their_style_and_others_differ() -> None:
    styles = style.run_styles(["x", "relift", "rl", "x", "y"])
    assert list(styles) == ["rl", "relift", "x", "y"]
    assert (styles["rl"].colour, styles["relift"].colour) == ("#0072B2", "#D55E00")
    every = list(
        style.run_styles(["base", "rl", "sft", "sft_matched", "relift", "sft_rl", "a", "b", "c", "d", "e"]).values()
    )
    assert len({str(s.dash) + s.colour for s in every}) == len({s.marker for s in every}) == 11


def test_cell_text_contrasts_with_every_colour_of_the_maps() -> None:
    def luminance(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for name in ("Blues", "RdBu"):
        for colour in matplotlib.colormaps[name](np.linspace(0, 1, 64)):
            light, dark = sorted([luminance(colour[:3]), luminance(style.text_colour(colour[:3]))], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5
