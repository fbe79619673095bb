"""Loading from local files and from the embedded world: what is taken, what is refused, and in which words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relift.arith.world import make_questions
from relift.benchmarks.load import content_hash_of, load_benchmark, permuted
from relift.benchmarks.table import BENCHMARKS, GROUPS
from relift.errors import InputError
from relift.schema import Question, question_id_of
from tests.benchmarks.rows import ROWS, lay, sums


def test_a_file_a_folder_and_every_format_give_the_same(tmp_path: Path) -> None:
    file = lay(tmp_path / "a" / "sums.jsonl", ROWS)
    (tmp_path / "b").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "b" / "sums.parquet")
    loads = [load_benchmark(sums(), data=data) for data in (file, tmp_path / "a", tmp_path / "b")]
    assert loads[0].questions == loads[1].questions == loads[2].questions
    assert len({each.content_hash for each in loads}) == 1
    assert [each.origin for each in loads] == [str(file), str(file), str(tmp_path / "b" / "sums.parquet")]
    question = loads[0].questions[0]
    assert (question.problem, question.answer, question.answer_kind) == ("1+1?", "2", "math")
    assert (question.source, question.split) == ("me/sums", "sums")
    assert loads[0].revision is None and not loads[0].pinned


def test_published_names_of_columns_come_first_then_ours(tmp_path: Path) -> None:
    benchmark = sums(columns={"problem": "question", "answer": "final"})
    published = [{"question": row["problem"], "final": row["answer"], "answer": "0"} for row in ROWS]
    theirs = load_benchmark(benchmark, data=lay(tmp_path / "a.jsonl", published))
    ours = load_benchmark(benchmark, data=lay(tmp_path / "b.jsonl", ROWS))
    assert theirs.questions == ours.questions and [q.answer for q in ours.questions] == ["2", "3", "4"]


def test_the_hash_is_of_questions_and_golds_and_nothing_else(tmp_path: Path) -> None:
    def hash_of(rows: list[dict[str, Any]]) -> str:
        return load_benchmark(sums(), data=lay(tmp_path / "sums.jsonl", rows)).content_hash

    plain = hash_of(ROWS)
    assert hash_of(ROWS[::-1]) == plain  # rows in another order
    assert hash_of([{"level": 1, "answer": row["answer"], "problem": row["problem"]} for row in ROWS]) == plain
    assert hash_of([{**row, "problem": f" {row['problem']}\n"} for row in ROWS]) == plain  # white space
    assert hash_of([{**row, "answer": int(row["answer"])} for row in ROWS]) == plain  # 2, not "2"
    assert hash_of([{**row, "answer": f"0{row['answer']}.0"} for row in ROWS]) == plain  # 02.0
    assert hash_of(ROWS * 2) == plain  # each row twice
    assert hash_of([ROWS[0], ROWS[1], {**ROWS[2], "answer": "5"}]) != plain
    assert hash_of([ROWS[0], ROWS[1], {**ROWS[2], "problem": "3+1 ?"}]) != plain


def test_golds_that_differ_hash_differently() -> None:
    golds = ["1", "-1", "10", "1.5", "01.5", "x", "X", "0.0", "1/2"]
    assert len({content_hash_of([Question("q", "p", gold)]) for gold in golds}) == len(golds)
    assert content_hash_of([Question("q", "p", "-0")]) == content_hash_of([Question("q", "p", "0")])


def test_a_declared_hash_must_be_found(tmp_path: Path) -> None:
    file = lay(tmp_path / "sums.jsonl", ROWS)
    right = load_benchmark(sums(), data=file).content_hash
    assert load_benchmark(sums(content_hash=right), data=file).pinned
    with pytest.raises(InputError) as error:
        load_benchmark(sums(content_hash="0" * 32), data=file)
    assert str(error.value) == (
        f"sums: {file} has other questions or golds than declared (hash {right}, declared {'0' * 32}). "
        "If this is meant: relift eval --pin sums"
    )
    taken = load_benchmark(sums(content_hash="0" * 32), data=file, any_content=True)
    assert not taken.pinned and taken.content_hash == right


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:2], "sums: 2 questions in FILE, 3 declared. If this is meant: relift eval --pin sums"),
        ([*ROWS, {"problem": "", "answer": "2"}], "sums: FILE: row 4: problem is empty"),
        ([*ROWS[:2], {"problem": "3+1?", "answer": None}], "sums: FILE: row 3: answer is missing"),
        ([*ROWS[:2], {"problem": "3+1?"}], "sums: FILE: row 3: answer is missing"),
        ([*ROWS, ROWS[0]], "sums: FILE: row 4: the same question as in row 1"),
        (
            [*ROWS, {"problem": "1+1?", "answer": "3"}],
            "sums: FILE: row 4: another answer to the question of row 1; row 4: the same question as in row 1 "
            "(2 problems)",
        ),
        ([{"problem": "1+1?", "answers": "2"}], "sums: FILE: it has no column 'answer'; nearest: 'answers'"),
        ([], "sums: FILE: it holds no rows"),
        ([{"problem": "1+1?", "answer": []}], "sums: FILE: row 1: the list of answers is empty"),
        ([{"problem": "1+1?", "answer": float("nan")}], "sums: FILE: row 1: the answer is nan"),
        (
            [*ROWS[:2], {"problem": "3+1?", "answer": "$ $"}],
            "sums: FILE: row 3: the gold answer '$ $' is empty",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_in_one_line_with_rows(tmp_path: Path, rows: list[Any], message: str) -> None:
    file = lay(tmp_path / "sums.jsonl", rows)
    with pytest.raises(InputError) as error:
        load_benchmark(sums(), data=file)
    assert str(error.value) == message.replace("FILE", str(file))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_benchmark(sums(), data=tmp_path)
    assert str(error.value) == f"sums: {tmp_path} holds no sums.jsonl, sums.parquet or folder sums"
    with pytest.raises(InputError, match=r"sums: .*gone.jsonl: cannot be read: No such file"):
        load_benchmark(sums(), data=tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match=r"sums: .*x.csv: questions are read from .jsonl, .parquet"):
        load_benchmark(sums(), data=tmp_path / "x.csv")


def test_rows_that_stand_k_times_are_taken_once(tmp_path: Path) -> None:
    loaded = load_benchmark(sums(), data=lay(tmp_path / "sums.jsonl", ROWS * 32))
    assert len(loaded.questions) == 3
    assert loaded.notes == (
        "sums: each of its 3 questions stands there 32 times: taken once; --samples says how often it is asked",
    )


def test_golds_are_spelt_as_the_grader_reads_them_and_repairs_go_before(tmp_path: Path) -> None:
    rows = [{"problem": p, "answer": a} for p, a in (("a", "142.0"), ("b", "4.5e33"), ("c", r"$\frac{1}{2}$"))]
    file = lay(tmp_path / "sums.jsonl", rows)
    golds = [q.answer for q in load_benchmark(sums(), data=file).questions]
    assert golds == ["142", r"4.5\times 10^{33}", r"\frac{1}{2}"]
    repaired = sums(gold_repairs={question_id_of("b"): "4.6e33"})
    again = load_benchmark(repaired, data=file)
    assert [q.answer for q in again.questions] == ["142", "4.6e33", r"\frac{1}{2}"]
    assert again.content_hash == load_benchmark(sums(), data=file).content_hash, "the hash is of what was published"


def test_declared_unreadable_golds_are_kept(tmp_path: Path) -> None:
    rows = [*ROWS[:2], {"problem": "3+1?", "answer": "$ $"}]
    benchmark = sums(unreadable_golds=(question_id_of("3+1?"),))
    assert len(load_benchmark(benchmark, data=lay(tmp_path / "sums.jsonl", rows)).questions) == 3


@pytest.mark.parametrize("name", GROUPS["arith"])
def test_the_embedded_sets_are_what_is_declared(name: str) -> None:
    benchmark = BENCHMARKS[name]
    loaded = load_benchmark(benchmark, data=Path("ignored for what is embedded"))
    assert loaded.pinned and loaded.origin == "embedded" and loaded.revision is None
    assert len(loaded.questions) == benchmark.rows
    assert {(q.answer_kind, q.source, q.split) for q in loaded.questions} == {("exact", "arith", name)}


def test_no_embedded_question_can_be_trained_on() -> None:
    asked = {q.question_id for name in GROUPS["arith"] for q in load_benchmark(BENCHMARKS[name]).questions}
    for seed in (0, 1, 2):
        assert not asked & {q.question_id for q in make_questions("train", 768, seed=seed)}


def gpqa_row(n: int) -> dict[str, str]:
    return {
        "Question": f"Which is {n}?\n", "Correct Answer": f"{n}\n", "Incorrect Answer 1": f"{n + 1}",
        "Incorrect Answer 2": f"{n + 2}", "Incorrect Answer 3": f"{n + 3}",
    }  # fmt: skip


def test_options_of_gpqa_are_permuted_by_the_question_alone(tmp_path: Path) -> None:
    rows = [gpqa_row(10 * n) for n in range(40)]
    benchmark = replace(BENCHMARKS["gpqa_diamond"], rows=40)
    forth = load_benchmark(benchmark, data=lay(tmp_path / "a.jsonl", rows)).questions
    back = load_benchmark(benchmark, data=lay(tmp_path / "b.jsonl", rows[::-1])).questions
    assert forth == back[::-1], "the order of the rows changes nothing"
    alone = load_benchmark(replace(benchmark, rows=1), data=lay(tmp_path / "c.jsonl", rows[7:8])).questions
    assert alone == forth[7:8], "nor does the company"
    for n, question in enumerate(forth):
        assert question.options["ABCD".index(question.answer)] == str(10 * n), "the letter follows the right option"
        assert sorted(question.options, key=int) == [str(10 * n + k) for k in range(4)]
        source_order = [str(10 * n + k) for k in range(4)]
        assert question.question_id == question_id_of(f"Which is {10 * n}?", source_order)
    assert {question.answer for question in forth} == set("ABCD")


def test_permuting_knows_nothing_but_the_id() -> None:
    one = Question("q1", "p", "A", options=("a", "b", "c", "d"))
    assert permuted(one).options == permuted(replace(one, problem="another")).options
    orders = {permuted(replace(one, question_id=f"q{n}")).options for n in range(200)}
    assert len(orders) == 24  # all of 4!


def test_a_gpqa_row_without_an_option_is_refused(tmp_path: Path) -> None:
    row = {**gpqa_row(10), "Incorrect Answer 2": None}
    with pytest.raises(InputError, match="gpqa_diamond: .*row 1: options is no list of texts"):
        load_benchmark(replace(BENCHMARKS["gpqa_diamond"], rows=1), data=lay(tmp_path / "a.jsonl", [row]))


def arc_row(labels: str, key: str) -> dict[str, Any]:
    texts = [f"option {label}" for label in labels]
    return {"question": f"Which of {labels}?", "choices": {"text": texts, "label": list(labels)}, "answerKey": key}


def test_labels_of_arc_become_letters(tmp_path: Path) -> None:
    benchmark = replace(BENCHMARKS["arc_c"], rows=3)
    rows = [arc_row("ABCD", "C"), arc_row("1234", "3"), arc_row("ABCDE", "E")]
    questions = load_benchmark(benchmark, data=lay(tmp_path / "a.jsonl", rows)).questions
    assert [q.answer for q in questions] == ["C", "C", "E"]
    assert questions[1].options == ("option 1", "option 2", "option 3", "option 4")
    assert all(q.answer_kind == "choice" for q in questions)
    (tmp_path / "b.parquet").write_bytes(b"")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    assert load_benchmark(benchmark, data=tmp_path / "b.parquet").questions == questions


def test_an_unknown_label_is_an_error_with_its_row(tmp_path: Path) -> None:
    rows = [arc_row("ABCD", "C"), arc_row("1234", "5")]
    with pytest.raises(InputError, match=r"arc_c: .*row 2: answerKey '5' is none of the labels 1, 2, 3, 4$"):
        load_benchmark(replace(BENCHMARKS["arc_c"], rows=2), data=lay(tmp_path / "a.jsonl", rows))


def test_mmlu_pro_has_letters_to_j(tmp_path: Path) -> None:
    row = {"question": "Which?", "options": list("abcdefghij"), "answer": "J", "answer_index": 9, "category": "law"}
    benchmark = replace(BENCHMARKS["mmlu_pro"], rows=1)
    question = load_benchmark(benchmark, data=lay(tmp_path / "a.jsonl", [row])).questions[0]
    assert (question.answer, len(question.options), question.subject) == ("J", 10, "law")
    with pytest.raises(InputError, match="row 1: answer 'K' is no letter of A to J"):
        load_benchmark(benchmark, data=lay(tmp_path / "b.jsonl", [{**row, "answer": "K"}]))
    with pytest.raises(InputError, match="mmlu_pro: .*row 1: it has no options"):
        load_benchmark(benchmark, data=lay(tmp_path / "c.jsonl", [{"question": "Which?", "answer": "J"}]))


def test_golds_of_other_types_are_read(tmp_path: Path) -> None:
    golds: list[Any] = [27.0, ["2"], ["$x=1$", "2"]]
    rows = [{"problem": f"p{n}", "answer": gold} for n, gold in enumerate(golds)]
    questions = load_benchmark(sums(), data=lay(tmp_path / "a.jsonl", rows)).questions
    assert [q.answer for q in questions] == ["27", "2", "x=1,2"]
