"""Do what a researcher comes for, each task from the Overview on, in at most four clicks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SECONDS, Server, Visit, settle
from tests.synthetic import write_run

pytestmark = pytest.mark.browser
WAIT = 1000 * SECONDS
MOST = 4


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """base, rl, relift and sft on 60 questions, in one folder."""
    made = tmp_path_factory.mktemp("tasks")
    for name, steps, learn, demos in (
        ("base", 0, 0.0, 0),
        ("rl", 6, 0.4, 0),
        ("relift", 6, 0.7, 4),
        ("sft", 6, 0.5, 4),
    ):
        write_run(
            made / name, n_questions=60, n_steps=steps, learn=learn, seed=len(name) + demos, name=name, probe_every=2,
            demos_per_step=demos, status="done",
        )  # fmt: skip
    return serve(made)


class Clicks:
    """A page, with the number of clicks made on it."""

    def __init__(self, visit: Visit, server: Server):
        self.page: Page = visit.open(server)
        self.count = 0

    def click(self, target: Locator) -> None:
        target.first.scroll_into_view_if_needed()
        target.first.click()
        self.count += 1
        settle(self.page)

    def go(self, title: str) -> None:
        self.click(self.page.get_by_test_id("stTopNavLink").filter(has_text=title))
        expect(self.page.locator("h1").first).to_contain_text(title, timeout=WAIT)

    def row(self, at: int = 0) -> None:
        """Choose the first row of a table, by the mark before it: tables are drawn on a canvas."""
        tables = self.page.get_by_test_id("stDataFrame")
        expect(tables.first).to_be_visible(timeout=WAIT)
        table = tables.nth(at if at >= 0 else tables.count() + at)
        table.evaluate("element => element.scrollIntoView({block: 'center'})")  # not below the bar on top
        self.page.wait_for_timeout(600)  # until it has stopped moving
        box = table.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + 20, box["y"] + 52)
        self.count += 1
        settle(self.page)

    def done(self) -> None:
        assert self.page.get_by_test_id("stException").count() == 0
        assert self.count <= MOST


@pytest.fixture
def clicks(visit: Visit, server: Server) -> Clicks:
    return Clicks(visit, server)


def test_a_what_training_changed_and_d_is_it_healthy_and_f_what_differs(clicks: Clicks) -> None:
    page = clicks.page
    for heading in ("What training changed", "What differs between these runs"):
        expect(page.get_by_text(heading).first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("checks passed in every run")).to_be_visible(timeout=WAIT)
    clicks.click(page.get_by_text("In words"))
    expect(page.get_by_text("points over 60 questions").first).to_be_visible(timeout=WAIT)
    clicks.done()
    assert clicks.count == 1


def test_b_questions_that_one_combination_of_runs_solves(clicks: Clicks) -> None:
    clicks.go("Compare")
    expect(clicks.page.get_by_text("What differs between these runs")).to_be_visible(timeout=WAIT)
    tables = clicks.page.get_by_test_id("stDataFrame")
    before = tables.count()
    clicks.row(at=-2)  # of all runs at once: the settings follow it
    expect(clicks.page.get_by_text("questions solved by")).to_be_visible(timeout=WAIT)
    expect(tables).to_have_count(before + 1, timeout=WAIT)
    clicks.done()


def test_c_what_a_demonstration_changed(clicks: Clicks) -> None:
    clicks.go("Training")
    clicks.click(clicks.page.get_by_role("link", name="The questions whose demonstration was trained on"))
    expect(clicks.page.locator("h1").first).to_contain_text("Questions", timeout=WAIT)
    clicks.row()
    expect(clicks.page.get_by_text("The question chosen")).to_be_visible(timeout=WAIT)
    clicks.done()


def test_e_answers_that_are_wrong_in_one_way(clicks: Clicks) -> None:
    clicks.go("Attempts")
    clicks.click(clicks.page.locator("button", has_text="wrong"))
    assert "verdict=wrong" in clicks.page.url
    clicks.row()
    expect(clicks.page.get_by_role("link", name="Open its question")).to_be_visible(timeout=WAIT)
    assert "attempt=" in clicks.page.url
    clicks.done()


def test_g_a_question_by_its_text_and_filters_that_come_back(clicks: Clicks) -> None:
    page = clicks.page
    clicks.go("Questions")
    field = page.get_by_placeholder("problem or gold answer")
    clicks.click(field)
    field.fill("question 7?")
    field.press("Enter")
    expect(page.get_by_text("of 60 questions, sorted")).to_be_visible(timeout=WAIT)
    clicks.done()
    clicks.go("Compare")
    clicks.go("Questions")
    expect(page.get_by_text("of 60 questions, sorted")).to_be_visible(timeout=WAIT)
    assert page.get_by_placeholder("problem or gold answer").input_value() == "question 7?"
    assert page.title() == "Questions - relift"


def test_h_a_view_to_share(clicks: Clicks) -> None:
    clicks.click(clicks.page.get_by_test_id("stPopover").first.locator("button"))
    expect(clicks.page.get_by_text("This address opens the page as it is")).to_be_visible(timeout=WAIT)
    clicks.done()


def test_i_a_figure_to_take_away(clicks: Clicks) -> None:
    page = clicks.page
    clicks.click(page.get_by_role("button", name="Download"))
    with page.expect_download(timeout=WAIT) as waiting:
        page.get_by_role("button", name="Figure, PNG").first.click()
    clicks.count += 1
    assert waiting.value.suggested_filename == "relift-change-rl-sft-relift.png"
    assert waiting.value.path().read_bytes().startswith(b"\x89PNG")
    clicks.done()
