"""Check what is printed: one row per benchmark, one column per run, and the lines below."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relift.analysis import render_scores, scored_run
from relift.analysis.scores.text_table import TextTable, draw
from relift.errors import InputError
from tests.analysis.evaluated import PROTOCOL, write_evaluation


def test_a_row_per_benchmark_and_a_column_per_run(tmp_path: Path) -> None:
    a = write_evaluation(tmp_path / "base", {"aime24": ["cw", "ww"], "amc": ["cc", "cw"]})
    b = write_evaluation(tmp_path / "trained", {"aime24": ["cccc", "cwww"]})
    lines = render_scores([scored_run(a), scored_run(b)]).splitlines()
    assert lines[0].split() == ["benchmark", "score", "questions", "base", "trained"]
    # .25 of two attempts, .625 of four: the row is that of the larger k, the other says its own
    assert lines[2].startswith("aime24     avg@4          2  25.0 [")
    assert lines[2].index("(k = 2)") < lines[2].index("62.5 [")
    assert lines[3].split()[:4] == ["amc", "avg@2", "2", "75.0"] and lines[3].count("[") == 1
    assert set(lines[4]) == {"-"} and lines[5].startswith("macro_all  avg ") and "50.0 [" in lines[5]
    assert "95 % interval for questions like these" in "\n".join(lines)


def test_provenance_is_said_once_where_it_is_the_same(tmp_path: Path) -> None:
    a = write_evaluation(tmp_path / "a", {"aime24": ["cw"]})
    b = write_evaluation(tmp_path / "b", {"aime24": ["cw"]})
    c = write_evaluation(tmp_path / "c", {"aime24": ["cw"]}, protocol={**PROTOCOL, "name": "qwen"})
    text = render_scores([scored_run(a), scored_run(b)])
    assert text.count("protocol relift (temperature 0.6, top p 1.0, max tokens 8192); graded by relift 1 (math)") == 1
    assert "a, b: protocol relift" in (three := render_scores([scored_run(run) for run in (a, b, c)]))
    assert "\nc: protocol qwen" in three and "unpinned: aime24" in three


def test_shares_above_one_percent_have_their_bounds(tmp_path: Path) -> None:
    # 1 undecided and 1 cut off of 60: 1.7 %; low 20/60, high 21/60, budget 22/60
    questions = ["c" * 20 + "w" * 38 + "ut"]
    text = render_scores([scored_run(write_evaluation(tmp_path / "run", {"aime24": questions}))])
    assert "aime24, run: 1.7 % undecided, which leaves 33.3 to 35.0" in text and "WARNING" not in text
    assert "aime24, run: 1.7 % truncated; a larger budget could reach 36.7" in text
    # 1 of 101 is under 1 %
    quiet = render_scores([scored_run(write_evaluation(tmp_path / "quiet", {"aime24": ["c" * 100 + "u"]}))])
    assert "undecided" not in quiet
    loud = render_scores([scored_run(write_evaluation(tmp_path / "loud", {"aime24": ["c" * 20 + "u"]}))])
    assert "aime24, loud: WARNING: 4.8 % undecided" in loud


def test_missing_questions_unfinished_runs_and_small_single_attempts_are_named(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": [*("c" * 29), "u"]}, status="interrupted")
    text = render_scores([scored_run(folder)])
    assert "aime24, run: 29 of 30 questions have a decided attempt" in text
    assert "run: so far; the run is interrupted" in text
    assert "one attempt at 29 questions detects a difference of 26 points" in text  # 2.8 sqrt(.2464 / 29)


def test_other_metrics_and_the_other_interval_on_request(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["ccwwccww", "wwwwcccc"], "mmlu_pro": ["c", "w"]})
    text = render_scores([scored_run(folder)], metrics=("avg", "pass", "maj", "cover"), these=True)
    names = [line.split()[1] for line in text.splitlines() if line.startswith("aime24 ")]
    assert names == ["avg@8", "pass@1", "pass@2", "pass@4", "maj@4", "maj@8", "cover_0.50"]
    (avg,) = (line for line in text.splitlines() if "avg@8" in line)
    (single,) = (line for line in text.splitlines() if line.startswith("mmlu_pro "))
    assert avg.count("[") == 2 and single.count("[") == 1  # one attempt each: nothing about these alone


def test_markdown_and_latex_escape_names(tmp_path: Path) -> None:
    name = "a|b_c\\d 50% $x$ {y} #1\x1b[31m"
    folder = write_evaluation(tmp_path / "run", {"mmlu_pro": ["cw", "cc"]}, model={"name": name})
    markdown = render_scores([scored_run(folder)], format="markdown").splitlines()
    assert markdown[0] == "| benchmark | score | questions | a\\|b_c\\\\d 50% $x$ {y} #1\\\\x1b[31m |"
    assert markdown[1] == "|---|---|---:|---:|"
    latex = render_scores([scored_run(folder)], format="latex")
    assert r"a|b\_c\textbackslash{}d 50\% \$x\$ \{y\} \#1 [31m \\" in latex and r"mmlu\_pro & avg@2 &" in latex
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{tabular}{llrr}" and body[1].strip() == r"\toprule" and body[-1] == r"\end{tabular}"
    assert all(line.count("&") - line.count(r"\&") == 3 for line in body if line.endswith(r"\\"))
    assert "\x1b" not in render_scores([scored_run(folder)])


def test_latex_minus_and_rules() -> None:
    table = TextTable(["a", "b"], [["x-y", "-1.5"], ["z", "[-2, 3-4]"]], rules={1})
    lines = draw(table, format="latex").splitlines()
    assert lines[4:7] == [r"  x-y & $-$1.5 \\", r"  \midrule", r"  z & [$-$2, 3-4] \\"]
    with pytest.raises(ValueError, match="json"):
        draw(table, format="json")


def test_json_holds_everything_with_null_for_the_undefined(tmp_path: Path) -> None:
    folder = write_evaluation(
        tmp_path / "run", {"mmlu_pro": ["c", "w"]}, identity={"seed": 3, "engine": {"name": "vllm"}}
    )
    found = json.loads(render_scores([scored_run(folder)], format="json"))
    assert found["version"] == 1
    (run,) = found["runs"]
    assert (run["run"], run["seed"], run["engine"], run["status"]) == ("run", 3, {"name": "vllm"}, "done")
    these, like = run["scores"]
    assert list(these) == ["step", "benchmark", "metric", "parameter", "estimand", "value", "ci_low", "ci_high",
                           "n_questions", "n_attempts"]  # fmt: skip
    assert these["ci_low"] is None and like["ci_low"] > 0 and like["value"] == 0.5 and like["n_attempts"] == 2
    assert run["health"][0]["n_undecided"] == 0


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [
        scored_run(write_evaluation(tmp_path / name, {"aime24": ["cw"]}, model={"name": "qwen"})) for name in ("x", "y")
    ]
    assert "qwen (x)" in (text := render_scores(runs)) and "qwen (y)" in text
    with pytest.raises(InputError, match="no scores"):
        render_scores([])
