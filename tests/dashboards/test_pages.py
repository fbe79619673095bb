"""Overview, Dynamics, Transitions, Training and Data in every state of a run: no exception, and the right sentence."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import pytest

from tests.dashboards.app import open_page, text_of
from tests.dashboards.states import write_states

PAGES = ("overview", "dynamics", "transitions", "training", "figures", "data")
# what each state must say, on every page that shows figures and on Data
SAYS = {
    "no run": ("No run was named", "No run was named"),
    "empty": ("nothing is committed yet", "What was recorded"),
    "newer schema": ("this relift reads up to", "this relift reads up to"),
    "one of two unreadable": ("newer cannot be read", "this relift reads up to"),
}
USUAL = ["no run", "empty", "base only", "two runs", "evaluation", "corrupt", "one of two unreadable"]
MORE = ["running", "one draw", "done", "imported", "newer schema"]  # these are looked at below, or much like the others


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return write_states(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("state", [*USUAL, *(pytest.param(state, marks=pytest.mark.slow) for state in MORE)])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_stands_in_every_state(
    page: str, state: str, states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(monkeypatch, page, states[state], seconds=120)
    assert not app.exception, app.exception[0].value
    text = text_of(app)
    if state in SAYS:
        assert SAYS[state][page == "data"] in text
    elif page != "data":
        assert len(app.subheader) >= (1 if page == "figures" else 2)


def test_the_headline_names_change_and_interval(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(open_page(monkeypatch, "overview", states["done"]))
    assert "points over 24 questions" in text
    assert "What training changed" in text


def test_one_draw_at_step_0_is_said_and_not_measured(
    states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(open_page(monkeypatch, "overview", states["one draw"]))
    assert "has one draw at step 0" in text
    assert "one draw at step 0" in text_of(open_page(monkeypatch, "data", states["one draw"]))


def test_a_damaged_probe_is_named_and_left_out(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    # probes at 0, 4 and 8; that of step 4 is damaged
    app = open_page(monkeypatch, "overview", states["corrupt"])
    assert "at step 8" in text_of(app)
    said = text_of(open_page(monkeypatch, "data", states["corrupt"]))
    assert "the probe at step 4 is left out" in said


def test_what_no_run_recorded_is_named(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "training", states["done"])
    assert "Not shown" in text_of(app)  # the run had no demonstrations
    assert "no run has demonstrations" in text_of(app)


def test_the_check_finds_the_damage(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "data", states["corrupt"])
    app.button(key="check").click().run()
    assert any("problem" in element.value for element in app.error)
    assert any("step-000004.probe.d0.parquet" in element.value for element in app.code)
    sound = open_page(monkeypatch, "data", states["done"])
    sound.button(key="check").click().run()
    assert any("Sound" in element.value for element in sound.success)


def test_runs_and_step_of_the_address_are_kept(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [*states["done"], *states["two runs"]]
    app = open_page(monkeypatch, "transitions", runs, query={"run": "relift", "step": "4"})
    assert [m.value for m in app.markdown if m.value.startswith("#### ")] == ["#### relift"]
    assert app.selectbox(key="step").value == "4"


def test_nonsense_in_the_address_is_dropped(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "overview", states["two runs"], query={"run": "../../etc", "base": "x", "split": "?"})
    assert not app.exception
    assert "relift" in text_of(app)


def test_names_of_two_runs_alike_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.synthetic import write_run

    for seed in (1, 2):
        write_run(tmp_path / f"seed-{seed}" / "rl", n_questions=12, n_steps=4, learn=0.5, seed=seed, probe_every=4)
    runs = [tmp_path / f"seed-{seed}" / "rl" for seed in (1, 2)]
    text = text_of(open_page(monkeypatch, "overview", runs))
    assert "**rl (seed-1)**" in text and "**rl (seed-2)**" in text


def test_a_run_named_twice_is_shown_once_and_said(states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch,
                                                  tmp_path: Path) -> None:  # fmt: skip
    (run,) = states["done"]
    again = tmp_path / "again"
    shutil.copytree(run, again)
    app = open_page(monkeypatch, "overview", [run, again])
    assert not app.exception
    assert [error.value for error in app.error if "the same run as" in html.unescape(str(error.value))]


def test_titles_of_figures_are_unique() -> None:
    from relift.analysis.report.catalogue import FIGURES

    assert len({figure.title for figure in FIGURES.values()}) == len(FIGURES)  # they stand in addresses


def test_any_figure_of_the_catalogue_is_shown_with_its_numbers(
    states: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(monkeypatch, "figures", states["two runs"], query={"figure": "Gain against what the base could do"})
    assert not app.exception and app.subheader[0].value == "Gain against what the base could do"
    assert {"difference", "base_rate"} <= set(app.dataframe[0].value.columns)
    assert "a frozen model is at 0 everywhere" in text_of(app)
    refused = open_page(
        monkeypatch, "figures", states["done"], query={"figure": "What each method changed, over its training seeds"}
    )
    assert "every method here has one seed" in text_of(refused)
