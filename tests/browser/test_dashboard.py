"""The dashboard in headless Chromium: what only a browser can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from relift.dashboards.pages import PAGES
from tests.browser.conftest import SECONDS, Server, Visit, settle, websocket_status
from tests.dashboards.hostile import HOSTILE
from tests.dashboards.written import WrittenRun
from tests.synthetic import write_run

pytestmark = pytest.mark.browser
WAIT = 1000 * SECONDS


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """base, rl and relift on 80 questions."""
    made = tmp_path_factory.mktemp("runs")
    for name, steps, learn, demos in (("base", 0, 0.0, 0), ("rl", 6, 0.4, 0), ("relift", 6, 0.7, 4)):
        write_run(
            made / name, n_questions=80, n_steps=steps, learn=learn, seed=len(name), name=name, probe_every=2,
            demos_per_step=demos, status="done",
        )  # fmt: skip
    return [made / name for name in ("base", "rl", "relift")]


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], runs: list[Path]) -> Server:
    return serve(*runs)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrittenRun]:
    """Every hostile text as an answer to a question of its own."""
    folder = tmp_path_factory.mktemp("hostile") / "hostile"
    problems = [f"question about {name}?" for name in HOSTILE]
    run = WrittenRun(folder, problems, list(HOSTILE.values()), name="hostile")
    run.step(0, ["ww"] * len(problems), draws=2)
    run.step(10, ["cc"] * len(problems))
    yield run
    run.close()


@pytest.fixture(scope="module")
def hostile_server(serve: Callable[..., Server], hostile: WrittenRun) -> Server:
    return serve(hostile.folder)


def no_failure(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_every_page_by_its_address_asks_nothing_of_the_world(name: str, server: Server, visit: Visit) -> None:
    page = visit.open(server, "" if name == "overview" else name)
    no_failure(page)
    title = next(one.title for one in PAGES if one.name == name)
    expect(page.locator("h1").first).to_contain_text(title)
    expect(page.get_by_test_id("stTopNavLink").first).to_be_visible()  # the app was run, not the page's file alone
    assert visit.asked


def test_a_copied_address_is_the_first_that_a_new_server_hears(
    serve: Callable[..., Server], runs: list[Path], visit: Visit
) -> None:
    page = visit.open(serve(*runs), "questions?sort=most+gained")
    no_failure(page)
    expect(page.get_by_test_id("stTopNavLink").first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("sorted by what they gained")).to_be_visible(timeout=WAIT)
    assert page.get_by_test_id("stSidebarNav").count() == 0


def test_an_address_brings_back_what_was_chosen(server: Server, visit: Visit) -> None:
    page = visit.open(server, "questions?shape=relift&class=gained&sort=most+gained&run=rl&run=relift")
    no_failure(page)
    for label in ("gained", "relift"):
        assert page.locator("button[data-selected=true]", has_text=label).count() >= 1
    expect(page.get_by_text("sorted by what they gained")).to_be_visible()
    charts = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg")
    expect(charts.first).to_be_visible(timeout=WAIT)


def test_a_row_of_the_table_opens_its_question(server: Server, visit: Visit) -> None:
    page = visit.open(server, "questions?sort=most+gained")
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + 52)  # a canvas: the first row's mark, below the header
    expect(page.get_by_text("The question chosen")).to_be_visible(timeout=WAIT)
    settle(page)
    page.get_by_role("link", name="Open this question").click()
    expect(page.get_by_text("moved most")).to_be_visible(timeout=WAIT)
    settle(page)
    assert "q=" in page.url
    assert "within=" in page.url
    no_failure(page)


def test_n_and_p_walk_through_the_list_and_j_through_steps(server: Server, visit: Visit) -> None:
    page = visit.open(server, "question?of=rl&step=4")
    expect(page.get_by_text("1 of 80 questions")).to_be_visible(timeout=WAIT)
    press(page, "n", "2 of 80 questions")
    press(page, "p", "1 of 80 questions")
    press(page, "k", "on the right: step")
    assert "of=rl" in page.url
    no_failure(page)


def press(page: Page, key: str, shown: str) -> None:
    """Presses a key until it is heard: a page that is still being drawn does not listen."""
    for seconds in (8, 8, SECONDS):
        page.keyboard.press(key)
        try:
            expect(page.get_by_text(shown, exact=False).first).to_be_visible(timeout=1000 * seconds)
        except AssertionError:
            if seconds == SECONDS:
                raise
        else:
            settle(page)
            return


def test_a_live_step_appears_and_the_place_is_kept(serve: Callable[..., Server], visit: Visit, tmp_path: Path) -> None:
    problems = [f"{i}+1?" for i in range(12)]
    run = WrittenRun(tmp_path / "live", problems, problems, name="live", status="running")
    run.step(0, ["wwww"] * 12, draws=2)
    run.step(5, ["wwcc"] * 12)
    server = serve(run.folder)
    page = visit.open(server, f"question?q={run.ids[3]}")
    expect(page.get_by_text("on the right: step 5")).to_be_visible(timeout=WAIT)
    run.step(10, ["cccc"] * 12)
    later = page.get_by_role("button", name="Later step")  # offered without loading the page again
    expect(later).to_be_enabled(timeout=WAIT)
    page.wait_for_timeout(500)
    later.click()
    expect(page.get_by_text("on the right: step 10")).to_be_visible(timeout=WAIT)
    assert run.ids[3] in page.url
    expect(page.get_by_text("3+1?").first).to_be_visible()
    no_failure(page)
    run.close()


def in_order(server: Server, visit: Visit) -> Page:
    """The first question of the hostile run, the others following by N."""
    page = visit.open(server, "question?within=sort%3Dorder%2Bof%2Bthe%2Bdata")
    expect(page.get_by_text(f"1 of {len(HOSTILE)} questions")).to_be_visible(timeout=WAIT)
    return page


def test_hostile_answers_are_shown_byte_for_byte_and_do_nothing(hostile_server: Server, visit: Visit) -> None:
    page, dialogs = in_order(hostile_server, visit), []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for i, (name, text) in enumerate(HOSTILE.items()):
        if i:
            press(page, "n", f"{i + 1} of {len(HOSTILE)} questions")
        # a document's text has \n for every line break
        wanted = text[:20_000].replace("\r\n", "\n").replace("\r", "\n")
        page.wait_for_function(SHOWN, arg=wanted, timeout=WAIT)
        no_failure(page)
        assert page.evaluate("window.acted === undefined"), name
        assert page.locator("[data-testid=stCode] :is(a, img, iframe, script, b)").count() == 0, name
    assert dialogs == []


SHOWN = """wanted => [...document.querySelectorAll('[data-testid=stCode] code')].some(
  code => code.textContent.replaceAll('\\r\\n', '\\n').replaceAll('\\r', '\\n') === wanted)"""


def test_hostile_answers_with_mathematics_drawn_do_nothing(hostile_server: Server, visit: Visit) -> None:
    page, formulas = in_order(hostile_server, visit), 0
    press(page, "m", "Raw text")
    for i, name in enumerate(HOSTILE):
        if i:
            press(page, "n", f"{i + 1} of {len(HOSTILE)} questions")
        no_failure(page)
        assert page.evaluate("window.acted === undefined"), name
        body = page.get_by_test_id("stMain")
        drawn = body.locator("[data-testid=stMarkdownContainer]")
        assert drawn.locator("img, iframe, script, [data-testid=stIconMaterial]").count() == 0, name
        assert drawn.locator("a:not([href^='questions'])").count() == 0, name
        formulas += drawn.locator(".katex").count()
    assert formulas > 0


def test_data_and_figure_come_down(server: Server, visit: Visit) -> None:
    page = visit.open(server, "question")
    page.get_by_role("button", name="Download").first.click()
    for label, suffix, start in (("Data, CSV", ".csv", b"run_id,"), ("Figure, PNG", ".png", b"\x89PNG")):
        with page.expect_download(timeout=WAIT) as waiting:
            page.get_by_role("button", name=label).click()
        file = waiting.value.path()
        assert waiting.value.suggested_filename.endswith(suffix)
        assert file.read_bytes().startswith(start)


def test_dark_is_dark(server: Server, dark_visit: Visit) -> None:
    page = dark_visit.open(server, "questions")
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    red, green, blue = (int(part) for part in colour[colour.index("(") + 1 :].rstrip(")").split(",")[:3])
    assert max(red, green, blue) < 60
    no_failure(page)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", 101),
        ("evil.example", "http://evil.example", 403),  # a name that resolves to this machine
        ("127.0.0.1:{port}", "http://evil.example", 403),  # a page elsewhere that opens our socket
    ],
)
def test_a_foreign_host_or_origin_is_refused(host: str, origin: str, status: int, server: Server) -> None:
    fill = {"port": server.port}
    assert websocket_status(server.port, host=host.format(**fill), origin=origin.format(**fill)) == status
