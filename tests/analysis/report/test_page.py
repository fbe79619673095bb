import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift.analysis.report import html as h
from relift.analysis.report.content import make_report, without_folders
from relift.analysis.report.examples import examples_of_run
from relift.analysis.report.page import PROBLEM_LIMIT, render, write_report
from relift.errors import InputError
from relift.run_record import RunRecord
from relift.schema import RunStatus, question_id_of
from relift.store import RunWriter, trajectories_of
from tests.analysis.evaluated import write_evaluation
from tests.analysis.hostile_text import HOSTILE
from tests.synthetic import write_run

TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "nav", "a", "ul", "li", "table",
    "caption", "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption", "strong", "pre", "span",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "src", "width", "height", "alt", "dir",
    "scope", "tabindex",
}  # fmt: skip


UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


class Page(HTMLParser):
    """Collect what a browser would make of the page: tags, attributes, text of each element, and what it would load."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.others: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in h.VOID:
            if tag != "span":
                self.texts.setdefault(tag, []).append("")
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag  # what is opened is closed, in order

    def handle_data(self, data: str) -> None:
        for tag in set(self._open) - {"span"}:
            self.texts[tag][-1] += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    def of(self, attribute: str) -> list[str]:
        return [value for name, value in self.attributes if name == attribute]


def check_inert(text: str) -> Page:
    """The page has our tags alone, loads nothing but its own images, and they load nothing."""
    page = Page(text)
    assert set(page.tags) <= TAGS and page.others == []
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert page.tags.count("style") == page.tags.count("title") == page.tags.count("body") == 1
    (style,) = page.texts["style"]
    assert "url(" not in style and "@import" not in style
    assert all(value.startswith("#s") for value in page.of("href"))
    for source in page.of("src"):
        prefix = "data:image/svg+xml;base64,"
        assert source.startswith(prefix)
        svg = base64.b64decode(source.removeprefix(prefix)).decode()
        assert "<script" not in svg and not re.search(r"\son\w+=", svg)
        assert all(link.startswith(("#", "data:image/png")) for link in re.findall(r'href="([^"]*)"', svg))
        assert re.findall(r"url\((?!#)", svg) == []
    (policy,) = [value for value in page.of("content") if value.startswith("default-src")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-") and "unsafe" not in policy
    return page


def write_texts(folder: Path, problems: list[str], answers: list[str], *, name: str) -> None:
    """A run whose questions are all wrong at step 0 and all right at step 4, with a text for every attempt."""
    n = len(problems)
    ids = [question_id_of(f"{i} {problem!r}") for i, problem in enumerate(problems)]
    questions = pd.DataFrame(
        {
            "question_id": ids, "question_ix": np.arange(n), "source": "hostile", "split": "probe",
            "problem": problems, "answer": answers, "answer_kind": "exact", "prompt_tokens": 3, "has_demo": False,
        }
    )  # fmt: skip
    record = RunRecord(run_id="texts-1", name=name, recipe=name, status=RunStatus.done)
    with RunWriter(folder) as writer:
        writer.start(record, config_toml="", questions=questions, demonstrations=None)
        for step, draws in ((0, 2), (4, 1)):
            for draw in range(draws):
                row = np.repeat(np.arange(n), 8)
                frame = pd.DataFrame(
                    {
                        "run_id": "texts-1", "origin": "probe", "draw": draw, "step": step, "question_ix": row,
                        "attempt": np.tile(np.arange(8), n), "verdict": "correct" if step else "wrong",
                        "verdict_rule": "box.text", "reward": float(step > 0), "finish": "stop", "n_tokens": 5,
                        "answer": [answers[i] for i in row], "policy_version": step, "decoding_id": "probe", "seed": 0,
                        "response_id": np.arange(len(row)),
                    }
                )  # fmt: skip
                texts = frame[["response_id", "run_id", "origin", "draw", "question_ix", "step", "attempt"]]
                texts = texts.assign(text=[answers[i] for i in row])
                writer.write("attempts", frame, step=step, origin="probe", draw=draw)
                writer.write("responses", texts, step=step, origin="probe", draw=draw)
                nothing = np.zeros(n, int)
                rows = trajectories_of(frame, rl_exposures=nothing, sft_exposures=nothing, in_buffer=nothing > 0)
                writer.write("trajectories", rows, step=step, origin="probe", draw=draw)
            writer.commit(step)


def without_surrogates(text: str) -> str:
    return "".join("?" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)  # Parquet holds UTF-8


def test_hostile_texts_are_text(tmp_path: Path) -> None:
    stored = [without_surrogates(text) for text in HOSTILE]
    write_texts(tmp_path / "run", stored, stored, name="<img src=x onerror=alert(1)>\u202e")
    out = tmp_path / "report.html"
    write_report(
        [tmp_path / "run"],
        out,
        only=["reach", "classes"],
        examples=50,
        resamples=20,
        title="</title><script>\u202e",
    )
    page = check_inert(out.read_bytes().decode())
    shown = page.texts["pre"]
    assert len(shown) == 3 * len(HOSTILE)  # the problem, an answer before, one after
    for text in stored:
        expected = Page(f"<pre>{h.visible(text[:PROBLEM_LIMIT])}</pre>").texts["pre"][0]
        assert expected in shown
        for mark in set(UNSEEN.findall(text)):
            assert f"U+{ord(mark):04X}" in expected and mark not in expected
    assert page.texts["title"] == ["</title><script>U+202E"]
    assert out.stat().st_size < 1_000_000


def test_text_is_faithful_and_what_cannot_be_seen_is_said() -> None:
    assert h.visible("a<b>&\"'\n\té 数 🙂") == "a&lt;b&gt;&amp;&quot;&#x27;\n\té 数 🙂"
    assert h.visible("a\u202e\u202cb") == 'a<span class="odd">U+202E U+202C</span>b'
    assert h.visible("\ud800") == '<span class="odd">U+D800</span>'
    assert h.visible("e\u0301") == "e\u0301" and h.visible("") == ""
    assert "U+0300" in h.visible("e" + "\u0300" * 9) and "U+0300" not in h.visible("e" + "\u0300" * 8)
    assert h.element("p", "<b>", h.element("b", "<"), class_="x") == '<p class="x">&lt;b&gt;<b>&lt;</b></p>'
    assert h.element("img", alt='"><script>') == '<img alt="&quot;&gt;&lt;script&gt;">'
    assert h.clipped("abcd", 3) == ("abc", "The first 3 of 4 characters.") and h.clipped("abc", 3) == ("abc", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    sizes = {"n_questions": 60, "n_steps": 12, "learn": 0.4, "probe_every": 6}
    write_run(root / "base", n_steps=0, n_questions=60, learn=0.0, seed=1, name="base")
    write_run(root / "rl", **sizes, seed=2)
    write_run(root / "relift", **sizes, seed=3, name="relift", demos_per_step=16)
    write_run(root / "one_draw", **sizes, seed=5, name="one_draw", base_draws=1)
    write_run(root / "running", **sizes, seed=6, name="running", status="running")
    write_run(root / "other", **sizes, seed=7, name="other", first_question=1_000)
    write_evaluation(root / "before", {"math500": ["ccww", "wwww", "cccc"] * 4}, model={"name": "before"})
    write_evaluation(root / "after", {"math500": ["cccc", "cccw", "wwww"] * 4}, model={"name": "after"})
    return {path.name: path for path in root.iterdir()}


def test_everything_that_the_runs_allow_is_in_one_file(folders: dict[str, Path], tmp_path: Path) -> None:
    told: list[str] = []
    runs = [folders["base"], folders["rl"], folders["relift"]]
    report = write_report(runs, tmp_path / "report.html", resamples=20, tell=told.append)
    text = (tmp_path / "report.html").read_bytes()
    page = check_inert(text.decode())
    assert len(text) < 5_000_000 and len(page.of("src")) == len(report.figures) == 30
    topics = [topic for topic, _ in report.findings()]
    assert topics[:3] == ["Accuracy", "By what the base model could do", "Moves between bands, beside those of chance"]
    assert "Runs against each other" in topics and "Demonstrations" in topics
    said = page.texts["body"][0]
    assert all(sentence in said for _, sentences in report.findings() for sentence in sentences)
    assert "Perplexity under the base model: attempts.sum_logprob_base was not recorded" in said
    assert "Training curves" in told and sum("left out" in line for line in told) == len(report.left_out)


def test_the_same_runs_give_the_same_bytes_without_a_path_of_this_machine(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    runs, only = [folders["base"], folders["rl"]], ["bands", "classes", "difference_from_base", "band_accuracy"]
    for name in ("one", "two"):
        write_report(runs, tmp_path / f"{name}.html", only=only, resamples=20)
    one, two = ((tmp_path / f"{name}.html").read_bytes() for name in ("one", "two"))
    assert one == two
    svgs = [base64.b64decode(source.partition(",")[2]) for source in Page(one.decode()).of("src")]
    assert svgs and not any(str(folders["base"].parent).encode() in part for part in (one, *svgs))
    gone = make_report([folders["base"]], only=["scores", "reach"], examples=0, resamples=20)
    assert without_folders(f"{folders['base'].absolute()}: not there", gone.loaded) == "base: not there"


def sentences(runs: list[Path], only: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    report = make_report(runs, only=only, examples=0, resamples=20)
    check_inert(render(report))
    return dict(report.findings()), report.cautions


def test_a_run_with_one_draw_still_says_what_it_learnt_overall(folders: dict[str, Path]) -> None:
    only = ["bands", "difference_from_base", "band_accuracy", "transitions"]
    report = make_report([folders["one_draw"]], only=only, examples=0, resamples=20)
    found = dict(report.findings())
    assert re.fullmatch(
        r"one_draw: [\d.]+ % at step 12, the base [\d.]+ %: \+[\d.]+ points \[[\d.]+, [\d.]+\], paired over 60 "
        r"questions\.",
        found["Accuracy"][0],
    )
    assert "By what the base model could do" not in found  # one draw cannot both choose and measure
    assert "(fitted null)" in found["Moves between bands, beside those of chance"][0]
    assert any("cannot measure them too" in why for _, why in report.left_out)


def test_a_running_run_and_a_base_alone_are_reported(folders: dict[str, Path]) -> None:
    found, cautions = sentences([folders["running"]], ["reach", "difference_from_base"])
    assert cautions == ["Not finished: running; figures show the steps that are committed."]
    assert found["Accuracy"][0].startswith("running: ")
    found, _ = sentences([folders["base"]], ["reach", "difference_from_base"])
    assert len(found["Accuracy"]) == 1 and found["Accuracy"][0].startswith("base at step 0: ")
    assert any(s.startswith("Too few attempts to call any question beyond reach") for s in found["Reach"])


def test_runs_with_other_questions_are_not_compared(folders: dict[str, Path]) -> None:
    report = make_report([folders["rl"], folders["other"]], only=["dynamics", "classes"], resamples=20)
    assert report.findings() == [] and [one.name for one in report.figures] == ["dynamics"]
    assert {why for _, why in report.left_out} == {
        "no question was probed in every run and at every step: select runs, steps or splits"
    }


def test_few_shared_questions_are_said_at_the_top(folders: dict[str, Path], tmp_path: Path) -> None:
    # questions 40 to 99 beside 0 to 59: 20 of 100 shared
    write_run(
        tmp_path / "late", n_questions=60, n_steps=6, learn=0.4, probe_every=6, seed=8, name="late", first_question=40
    )
    write_run(tmp_path / "early", n_questions=60, n_steps=6, learn=0.4, probe_every=6, seed=9, name="early")
    report = make_report([tmp_path / "early", tmp_path / "late"], only=["reach"], examples=0, resamples=20)
    assert report.cautions == [
        "Only 20 of 100 questions were probed in every run and at every step: all that is said here is about these."
    ]


def test_evaluated_runs_are_compared_with_the_first(folders: dict[str, Path]) -> None:
    report = make_report([folders["before"], folders["after"]], only=["scores"], resamples=20)
    found = dict(report.findings())
    # 4 of each kind of question: after (1 + .75 + 0) / 3 = .583, before (.5 + 0 + 1) / 3 = .5
    assert found["after against before"][0].startswith("math500: 58.3 % against 50.0 %, +8.3 points [")
    assert "paired over 12 questions, not told from chance." in found["after against before"][0]
    assert found["Benchmarks"][0].startswith("before, in percent: math500 50.0 [")
    assert [one.name for one in report.figures] == ["scores"]  # scored anew: no table of scores was written
    assert report.left_out[0][0] == "What changed, question by question"
    assert [example.change for example in report.examples] == ["gained", "gained", "lost", "lost"]
    page = check_inert(render(report))
    assert "Its text was not kept." in page.texts["body"][0]
    assert not any("different models" in caution for caution in report.cautions)


def test_what_is_asked_for_wrongly_is_said_at_once(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a report has no f99"):
        write_report([folders["rl"]], tmp_path / "x.html", only=["f99"])
    with pytest.raises(InputError, match="is a folder: name a file"):
        write_report([folders["rl"]], tmp_path)
    with pytest.raises(InputError, match="no run is called 'sft'"):
        write_report([folders["rl"]], tmp_path / "x.html", base="sft")
    write_run(tmp_path / "empty", n_questions=4, n_steps=0, learn=0.0, seed=1, base_draws=0)
    with pytest.raises(InputError, match="nothing to report on these runs: no run holds a probe, the same questions"):
        make_report([tmp_path / "empty"])


def test_run_json_is_not_trusted(folders: dict[str, Path], tmp_path: Path) -> None:
    write_run(
        tmp_path / "odd", n_questions=8, n_steps=0, learn=0.0, seed=1,
        more={
            "name": "<b>$\\frac{$\u202e" * 9, "model": {"name": "<script>"}, "engine": {"name": ["<i>"]},
            "recipe": "\u202e",
        },
    )  # fmt: skip
    report = make_report([tmp_path / "odd"], only=["reach"], resamples=20)
    page = check_inert(render(report))
    cells = page.texts["td"]
    assert "<script>" in cells and "U+202E" in cells and json.dumps(["<i>"]).replace('"', "'") in cells
    assert max(map(len, cells)) <= 80 + len("U+202E") * 9


def test_examples_are_the_surest_and_show_the_answer_that_changed(tmp_path: Path) -> None:
    write_texts(tmp_path / "run", [f"q{i}" for i in range(4)], [f"a{i}" for i in range(4)], name="run")
    ids = [question_id_of(f"{i} {f'q{i}'!r}") for i in range(4)]
    classified = pd.DataFrame(
        {"question_id": ids, "class": ["gained", "gained", "lost", "lost"], "p_gain": [0.96, 0.999, 0.04, 0.001]}
    )
    expected = pd.Series({"gained": 9.3, "lost": 8.1})
    gained, lost = examples_of_run(tmp_path / "run", classified, origin="probe", each=1, expected=expected)
    assert (gained.problem, gained.found, gained.expected) == ("q1", 2, 9.3) and lost.problem == "q3"
    assert (gained.before.verdict, gained.before.n_correct, gained.before.n_decided) == ("wrong", 0, 8)
    assert (gained.after.verdict, gained.after.n_correct, gained.after.text) == ("correct", 8, "a1")
    assert gained.after.where == "run, step 4" and gained.after.final == "a1"
    assert lost.before.verdict is None  # it was never right before, whatever the frame says
    assert examples_of_run(tmp_path / "run", classified.iloc[:0], origin="probe", each=1) == []
