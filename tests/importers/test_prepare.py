"""`relift data prepare`: published layouts as questions, what is left out and why, and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relift.data.questions import QuestionSet, read_questions
from relift.errors import InputError
from relift.importers.prepare import PHRASE, Counts, Settings, prepare
from relift.schema import question_id_of

LONG = "A train leaves the town of Ada at nine and another one leaves Bree at ten; when do they meet on the line?"


class Golds:
    """A reader of golds for which those that begin with `bad` are unreadable."""

    def unreadable_golds(self, golds: Sequence[str]) -> list[bool]:
        return [gold.startswith("bad") for gold in golds]


def turns(user: str, *, system: str | None = "Think.") -> list[dict[str, str]]:
    before = [] if system is None else [{"role": "system", "content": system}]
    return [*before, {"role": "user", "content": user}]


def luffy_row(problem: str, gold: str, target: str = "<think>\n1+1\n</think> \\boxed{2}") -> dict[str, Any]:
    return {
        "data_source": "openr1", "prompt": turns(problem), "target": [{"role": "assistant", "content": target}],
        "ability": "math", "reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": {"index": 1},
    }  # fmt: skip


def parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return str(path)


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def prepared(layout: str, source: str, out: Path, **settings: Any) -> tuple[Counts, QuestionSet]:
    counts = prepare(layout, source, out, settings=Settings(**settings), grader=Golds())
    return counts, read_questions(out)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_luffys_file_is_read(tmp_path: Path, suffix: str) -> None:
    source = parquet(
        tmp_path / "train.parquet", [luffy_row("What is 1+1?", "2"), luffy_row("What is 5*5?", "25", "25")]
    )
    counts, read = prepared("luffy", source, tmp_path / f"questions.{suffix}")
    assert [(q.problem, q.answer, q.source) for q in read.questions] == [
        ("What is 1+1?", "2", "openr1"), ("What is 5*5?", "25", "openr1"),
    ]  # fmt: skip
    assert [d.text for d in read.demonstrations] == ["<think>\n1+1\n</think> \\boxed{2}", "25"]
    assert (counts.rows, counts.questions, counts.solutions) == (2, 2, 2)


def test_verls_instruction_is_no_part_of_the_question(tmp_path: Path) -> None:
    end = " Let's think step by step and output the final answer within \\boxed{}."
    rows = [
        {"prompt": turns("What is 1+1?" + end, system=None), "reward_model": {"ground_truth": "2"}, "extra_info": {}},
        # the question is told beside the prompt, under an instruction that nobody knows
        {"prompt": turns("Now: What is 5*5? Go!"), "reward_model": {"ground_truth": '["25"]'},
         "extra_info": {"question": "What is 5*5?"}},
        {"prompt": turns("Mine: What is 7-1?"), "reward_model": {"ground_truth": "6"}, "extra_info": {}},
    ]  # fmt: skip
    _, read = prepared("verl", jsonl(tmp_path / "train.jsonl", rows), tmp_path / "out.jsonl", instructions=("Mine:",))
    assert [(q.question_id, q.answer) for q in read.questions] == [
        (question_id_of("What is 1+1?"), "2"), (question_id_of("What is 5*5?"), "25"),
        (question_id_of("What is 7-1?"), "6"),
    ]  # fmt: skip


def test_openr1s_generations_are_chosen_by_their_checks(tmp_path: Path) -> None:
    row = {
        "problem": "What is 1+1?", "answer": "2", "question_type": "math-word-problem", "source": "amc",
        "generations": ["right", "wrong", "right, cut off", "right"],
        "is_reasoning_complete": [True, True, False, True],
        "correctness_math_verify": [True, False, True, True], "correctness_llama": [False, True, True, False],
    }  # fmt: skip
    by_llama = row | {
        "problem": "What is 2+2?", "answer": "4", "generations": ["a", "b"], "is_reasoning_complete": [True, True],
        "correctness_math_verify": [False, False], "correctness_llama": [False, True],
    }  # fmt: skip
    proof = row | {"problem": "Show that 1+1=2.", "answer": "proof", "question_type": "proof"}
    source = parquet(tmp_path / "openr1.parquet", [row, by_llama, proof])
    counts, read = prepared("openr1", source, tmp_path / "out.jsonl")
    assert [d.text for d in read.demonstrations] == ["right", "b"]  # the second "right" says the same as the first
    assert counts.solutions_left_out == {
        "judged wrong by its publishers": 2, "cut off": 1, "empty or twice": 1,
    }  # fmt: skip
    assert counts.dropped == {"a proof, which has no final answer": 1}


def test_columns_are_named_by_paths(tmp_path: Path) -> None:
    rows = [{"meta": {"q": [{"text": "What is 1+1?"}], "gold": 2}, "work": ["one", "two", "one", " "]}]
    counts, read = prepared(
        "jsonl", jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl",
        columns={"problem": "meta.q.0.text", "answer": "meta.gold", "demonstration": "work"}, per_question=1,
    )  # fmt: skip
    assert (read.questions[0].problem, read.questions[0].answer) == ("What is 1+1?", "2")
    assert [d.text for d in read.demonstrations] == ["one"]
    assert counts.solutions_left_out == {"empty or twice": 2, "beyond the number asked for": 1}


def test_what_is_dropped_is_counted_with_its_reason(tmp_path: Path) -> None:
    rows = [
        {"problem": "Find $\\frac{1}{2} + x$ for the smallest positive x.", "answer": "1"},
        {"problem": "find \\dfrac{1}{2}+x for the  smallest positive x.", "answer": "1"},  # set otherwise
        {"problem": "Find $\\frac{1}{2} + x$ for the smallest positive x.", "answer": "2"},
        # the same numbers, signs and gold, and of 11 different pairs of words 8 in common: 0.73
        {"problem": "Determine $\\frac{1}{2} + x$ for the smallest positive x.", "answer": "1"},
        {"problem": "Find $\\frac{1}{2} - x$ for the smallest positive x.", "answer": "1"},  # another sign: kept
        {"problem": "Find $\\frac{1}{3} + x$ for the smallest positive x.", "answer": "1"},  # another number: kept
        {"problem": " ", "answer": "1"},
        {"problem": "What is 8+8?", "answer": ""},
        {"problem": "What is 9+9?", "answer": "bad gold"},
        {"answer": "1"},
    ]
    source, dropped = jsonl(tmp_path / "in.jsonl", rows), tmp_path / "dropped.jsonl"
    counts, read = prepared("jsonl", source, tmp_path / "out.jsonl", dropped=dropped)
    assert counts.dropped == {
        "the same question again": 1, "the same question again, with another gold answer": 1,
        "nearly the same question again": 1, "the question is empty": 1, "the gold answer is empty": 1,
        "no rule reads the gold answer": 1, "problem is missing or no text": 1,
    }  # fmt: skip
    assert len(read.questions) == 3 and counts.unreadable_golds == 1
    told = [json.loads(line) for line in dropped.read_text().splitlines()]
    assert [row["where"].rpartition(" ")[2] for row in told] == ["2", "3", "4", "7", "8", "9", "10"]
    counts, read = prepared("jsonl", source, tmp_path / "all.jsonl", near="keep", unreadable="keep")
    assert len(read.questions) == 5 and counts.unreadable_golds == 1


def test_questions_of_benchmarks_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    phrase = "where m and n are relatively prime positive integers and the sum m plus n is asked"
    own = "A hexagon of side 7 is cut along its three long diagonals into six parts; the area of one is m over n, "
    long = own + own.replace("7", "11") + own.replace("7", "13") + phrase
    mine = [{"problem": LONG, "answer": "1"}, {"problem": "What is 1+1?", "answer": "2"}]
    jsonl(folder / "mine.jsonl", [*mine, {"problem": long, "answer": "3"}])
    rows = [
        {"problem": "Consider this. " + LONG.upper() + " Give the time.", "answer": "1"},
        {"problem": "what is $1 + 1$?", "answer": "2"},  # short: found by its tokens
        # 13 words in a row are contest prose (9 of the benchmark question's 58 sequences: 0.16): kept, and noted
        {"problem": "The radius of a circle in a square of side 5 is m over n, " + phrase + ".", "answer": "9"},
    ]
    source = jsonl(tmp_path / "in.jsonl", rows)
    counts, read = prepared("jsonl", source, tmp_path / "out.jsonl", benchmarks=folder)
    assert counts.dropped == {"a question of the benchmark mine": 2}
    assert counts.notes[PHRASE] == 1 and [q.answer for q in read.questions] == ["9"]
    assert counts.benchmarks == {"mine": 3}


def test_damaged_texts_are_mended_and_counted(tmp_path: Path) -> None:
    rows = [{"problem": "What is 5\times 3?", "answer": "\x0crac{1}{2}", "demonstration": "a\r\nb \boxed{5}"}]
    counts, read = prepared("jsonl", jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    assert read.questions[0].problem == "What is 5\\times 3?" and read.questions[0].answer == "\\frac{1}{2}"
    assert read.demonstrations[0].text == "a\nb \\boxed{5}"
    assert counts.repairs == {"damaged escapes": 3, "crlf": 1}


@pytest.mark.parametrize(
    ("layout", "settings", "said"),
    [
        ("lufy", {}, r"no layout 'lufy'; nearest: luffy; known: luffy, openr1, verl, jsonl"),
        ("verl", {"columns": {"problem": "x"}}, "the layout verl knows its columns"),
        ("jsonl", {"columns": {"problm": "x"}}, "no column 'problm'; nearest: problem"),
        ("jsonl", {}, r"row 1: problem is missing or no text; no question is left of 1 rows; .* has the layout luffy"),
        ("openr1", {}, r"row 1: problem is missing; no question is left"),
        ("luffy", {"benchmarks": Path("nowhere")}, "nowhere: cannot be read: No such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, layout: str, settings: dict[str, Any], said: str
) -> None:
    source = parquet(tmp_path / "train.parquet", [luffy_row("What is 1+1?", "2")])
    with pytest.raises(InputError, match=said):
        prepared(layout, source, tmp_path / "out" / "questions.jsonl", **settings)
    assert not list((tmp_path / "out").glob("*"))


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    source = parquet(tmp_path / "train.parquet", [luffy_row("What is 1+1?", "2")])
    out = tmp_path / "mine.jsonl"
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        prepared("luffy", source, out)
    with pytest.raises(InputError, match="is the source itself"):
        prepared("luffy", source, tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"questions are written as \.jsonl or \.parquet"):
        prepared("luffy", source, tmp_path / "out.csv")
    assert out.read_text() == "mine"


def test_a_folder_is_read_file_by_file_and_a_broken_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2):
        parquet(folder / f"train-{number}.parquet", [luffy_row(f"What is {number}+1?", "2")])
    counts, _ = prepared("luffy", str(folder), tmp_path / "out.jsonl")
    assert counts.questions == 2
    (folder / "train-2.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"train-2\.parquet: no parquet file"):
        prepared("luffy", str(folder), tmp_path / "again.jsonl")
    assert not (tmp_path / "again.jsonl").exists()
