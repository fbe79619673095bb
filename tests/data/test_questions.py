import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.arith.world import make_demonstrations, make_questions
from relift.data.files import HubData, HubFault, Reshape
from relift.data.questions import QuestionSet, read_questions, write_questions
from relift.errors import InputError, StoreError
from relift.grading.extract import last_box
from relift.schema import Question, question_id_of


def lay(path: Path, *rows: Any) -> Path:
    """A jsonl file; a row given as bytes is written as it is."""
    path.write_bytes(b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows) + b"\n")
    return path


def row(problem: Any = "1+1?", answer: Any = "2", **more: Any) -> dict[str, Any]:
    return {"problem": problem, "answer": answer, **more}


def fake_hub(monkeypatch: pytest.MonkeyPatch, load_dataset: Any) -> None:
    """`datasets` with another way to load; its exceptions are the real ones."""
    import datasets.exceptions

    fake = SimpleNamespace(load_dataset=load_dataset, exceptions=datasets.exceptions)
    monkeypatch.setitem(sys.modules, "datasets", fake)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    questions = make_questions("train", 40, seed=0)
    demonstrations = make_demonstrations(questions, limit=30)
    write_questions(tmp_path / "q.jsonl", questions, demonstrations)
    read = read_questions(tmp_path / "q.jsonl", final_answer=last_box)
    assert list(read.questions) == questions and list(read.demonstrations) == demonstrations
    assert read.repairs == {} and read.fingerprint.startswith("40:")
    assert [p.name for p in tmp_path.iterdir()] == ["q.jsonl"]


def test_all_formats_give_the_same_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("1+1?", "2", demonstration=r"\boxed{2}"), row("1+2?", "3", demonstration=None)]
    as_jsonl = read_questions(lay(tmp_path / "a.jsonl", *rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")

    class FakeHub(list[dict[str, Any]]):
        column_names = list(rows[0])
        info = SimpleNamespace(download_checksums={f"hf://datasets/me/sums@{'0a' * 20}/data/train.parquet": {}})

    calls = []

    def load_dataset(*args: Any, **kwargs: Any) -> FakeHub:
        calls.append((args, kwargs))
        return FakeHub(rows)

    fake_hub(monkeypatch, load_dataset)
    from_hub = read_questions("hf:me/sums:main/train")
    assert as_jsonl == read_questions(tmp_path / "a.parquet") == replace(from_hub, revision=None)
    assert from_hub.revision == "0a" * 20
    assert calls == [(("me/sums", "main"), {"split": "train", "revision": None})]
    assert len(as_jsonl.questions) == 2 and len(as_jsonl.demonstrations) == 1


def test_columns_with_other_names_and_a_file_of_demonstrations(tmp_path: Path) -> None:
    data = lay(tmp_path / "q.jsonl", {"question": "1+1?", "gold": 2}, {"question": "1+2?", "gold": "3"})
    by_problem = {"question": "1+2?", "demonstration": ["a \\boxed{3}", "b \\boxed{3}"]}
    by_id = {"question_id": question_id_of("1+1?"), "demonstration": "\\boxed{2}"}
    demos = lay(tmp_path / "d.jsonl", by_problem, by_id)
    read = read_questions(data, demonstrations=demos, columns={"problem": "question", "answer": "gold"})
    assert [q.answer for q in read.questions] == ["2", "3"]
    assert [(d.question_id, d.text) for d in read.demonstrations] == [
        (question_id_of("1+2?"), "a \\boxed{3}"),
        (question_id_of("1+2?"), "b \\boxed{3}"),
        (question_id_of("1+1?"), "\\boxed{2}"),
    ]


def test_the_fingerprint_is_of_contents_in_order(tmp_path: Path) -> None:
    one, two = row("1+1?", "2"), row("1+2?", "3")
    prints = [
        read_questions(lay(tmp_path / "q.jsonl", *rows)).fingerprint
        for rows in ([one, two], [two, one], [one], [one, {**two, "answer": "4"}], [one, {**two, "demonstration": "x"}])
    ]
    assert len(set(prints)) == 5
    assert QuestionSet.empty().fingerprint.startswith("0:")


BAD = [
    ([], "it holds no rows"),
    ([b"", b"  "], "it holds no rows"),
    ([{"problem": "1+1?", "anser": "2"}], "it has no column 'answer'; nearest: 'anser'"),
    ([row(), row("")], "row 2: problem is empty"),
    ([row(), row("  \n")], "row 2: problem is empty"),
    ([row(), row("1+2?", "")], "row 2: answer is empty"),
    ([row(), row("1+2?", None)], "row 2: answer is missing"),
    ([row(), {"problem": "1+2?"}], "row 2: answer is missing"),
    ([row(), row("1+2?", 3.0)], "row 2: answer is of type float, not text"),
    ([row(), row("1+2?", bool(1))], "row 2: answer is of type bool, not text"),
    ([row(), row(["1+2?"])], "row 2: problem is of type list, not text"),
    ([row(), row("1+2?"), row("1+1?")], "row 3: the same question as in row 1"),
    ([row("a b"), row(" a  b\n")], "row 2: the same question as in row 1"),
    ([row(), b"{nonsense"], "row 2: no JSON"),
    ([row(), b"[" * 100_000], "row 2: no JSON"),
    ([row(), [1, 2]], "row 2: a JSON object is needed, this is of type list"),
    ([row(demonstration="")], "row 1: an empty demonstration"),
    ([row(demonstration="so it is 2")], "row 1: a demonstration without a final answer"),
    ([row(demonstration=r"\boxed{2} or \boxed{")], "row 1: a demonstration without a final answer"),
    ([row(demonstration=7)], "row 1: demonstration is of type int, not text"),
]


@pytest.mark.parametrize(("rows", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_input_is_refused_in_one_line(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        read_questions(lay(tmp_path / "q.jsonl", *rows), final_answer=last_box)
    assert message in str(error.value) and "\n" not in str(error.value) and "q.jsonl" in str(error.value)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    data = lay(tmp_path / "q.jsonl", row("1+1?", ""), b"{", row("1+2?", None), row(3), row("1+3?"), row("1+3?"))
    with pytest.raises(InputError) as error:
        read_questions(data)
    assert [f"row {i}: " in str(error.value) for i in range(1, 7)] == [True, True, True, True, False, True]
    assert "(5 problems)" in str(error.value)


def test_a_long_list_is_capped(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_questions(lay(tmp_path / "q.jsonl", *[row("")] * 50))
    assert "row 20: " in str(error.value) and "row 21: " not in str(error.value)
    assert "and 30 more (50 problems)" in str(error.value)


@pytest.mark.parametrize(
    ("demo", "message"),
    [
        ({"problem": "9+9?", "demonstration": "x"}, "d.jsonl: row 1: a demonstration of no question that was read"),
        ({"question_id": "0" * 32, "demonstration": "x"}, "a demonstration of no question that was read"),
        ({"demonstration": "x"}, "a demonstration of no question that was read"),
        ({"problem": "1+1?", "demonstration": None}, "d.jsonl: row 1: demonstration is missing"),
        ({"problem": "1+1?", "solution": "x"}, "d.jsonl: it has no column 'demonstration'"),
    ],
)
def test_bad_demonstration_files(tmp_path: Path, demo: dict[str, Any], message: str) -> None:
    data, demos = lay(tmp_path / "q.jsonl", row()), lay(tmp_path / "d.jsonl", demo)
    with pytest.raises(InputError, match=message):
        read_questions(data, demonstrations=demos)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no.jsonl", "no.jsonl: cannot be read: No such file or directory"),
        ("no.parquet", "no.parquet: cannot be read"),
        ("q.csv", "q.csv: questions are read from .jsonl, .parquet or hf:"),
        ("hf:only-a-name", "write a data set of the hub as hf:owner/name/split"),
    ],
)
def test_bad_sources(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(source)


CHOICE = {"problem": "1+1?", "options": ["one", "two", "three"], "answer": "B"}


def test_multiple_choice_is_read_and_written(tmp_path: Path) -> None:
    read = read_questions(lay(tmp_path / "q.jsonl", {**CHOICE, "answer": " B "}))
    question = read.questions[0]
    assert (question.answer, question.options, question.answer_kind) == ("B", ("one", "two", "three"), "choice")
    assert question.question_id == question_id_of("1+1?", ["one", "two", "three"]) != question_id_of("1+1?")
    write_questions(tmp_path / "again.jsonl", read.questions, [])
    assert read_questions(tmp_path / "again.jsonl").questions == read.questions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "D"}, "row 1: answer 'D' is no letter of A to C"),
        ({"answer": "AB"}, "row 1: answer 'AB' is no letter of A to C"),
        ({"answer": "two"}, "row 1: answer 'two' is no letter of A to C"),
        ({"options": "one, two"}, "row 1: options is no list of texts"),
        ({"options": ["one", 2]}, "row 1: options is no list of texts"),
        ({"options": ["one", " "]}, "row 1: options holds an empty text"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(lay(tmp_path / "q.jsonl", {**CHOICE, **change}))


def test_repeats_are_collapsed_when_all_questions_have_as_many(tmp_path: Path) -> None:
    one, two = row("1+1?", "2"), row("1+2?", "3")
    read = read_questions(lay(tmp_path / "q.jsonl", one, two, two, one), repeats="equal")
    assert [q.problem for q in read.questions] == ["1+1?", "1+2?"] and read.repeats == 2
    assert read_questions(lay(tmp_path / "q.jsonl", one, two), repeats="equal").repeats == 1
    with pytest.raises(InputError, match="row 3: the same question as in row 2$"):
        read_questions(lay(tmp_path / "q.jsonl", one, two, two), repeats="equal")
    line = r"row 2: the same question as in row 1, and 2 more rows repeat questions \(2 to 3 times\); to take.*: x$"
    with pytest.raises(InputError, match=line):
        read_questions(lay(tmp_path / "q.jsonl", one, one, two, two, two), repeats="equal", collapse_with="x")
    read = read_questions(lay(tmp_path / "q.jsonl", one, one, two, two, two), repeats="any")
    assert ([q.problem for q in read.questions], read.repeats, read.spare_rows) == (["1+1?", "1+2?"], 1, 3)
    assert read.notes == ["3 rows repeat one of its 2 questions: taken once"]
    with pytest.raises(InputError, match="row 3: another answer to the question of row 1$"):
        read_questions(lay(tmp_path / "q.jsonl", one, two, row("1+1?", "4"), two), repeats="equal")


def test_of_several_names_the_first_that_is_there_counts(tmp_path: Path) -> None:
    data = lay(tmp_path / "q.jsonl", {"question": "1+1?", "answer": "2", "final": "3"})
    columns = {"problem": ("problem", "question"), "answer": ("final", "answer")}
    assert read_questions(data, columns=columns).questions[0].answer == "3"
    with pytest.raises(InputError, match="it has no column 'task'"):
        read_questions(data, columns={"problem": ("task", "text")})


def test_rows_of_another_form_are_reshaped(tmp_path: Path) -> None:
    def apply(values: Mapping[str, Any]) -> Mapping[str, Any]:
        if values["n"] is None:
            raise ValueError("n is missing")
        return {"problem": f"{values['n']}+1?", "answer": values["n"] + 1}

    pq.write_table(pa.table({"n": [1, 2], "more": [0, 0]}), tmp_path / "q.parquet")
    read = read_questions(tmp_path / "q.parquet", reshape=Reshape(("n",), apply))
    assert [(q.problem, q.answer) for q in read.questions] == [("1+1?", "2"), ("2+1?", "3")]
    pq.write_table(pa.table({"n": [1, None]}), tmp_path / "q.parquet")
    with pytest.raises(InputError, match=r"q.parquet: row 2: n is missing$"):
        read_questions(tmp_path / "q.parquet", reshape=Reshape(("n",), apply))


def test_objections_are_listed_with_their_rows(tmp_path: Path) -> None:
    def objection(question: Question) -> str | None:
        return None if question.answer == "2" else f"{question.answer} is not 2"

    data = lay(tmp_path / "q.jsonl", row(), row("1+2?", "3"))
    with pytest.raises(InputError, match=r"row 2: 3 is not 2$"):
        read_questions(data, objection=objection)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError("Dataset 'me/none' is a gated dataset on the Hub. Visit the page to ask"), "gated"),
        (FileNotFoundError("Dataset 'me/none' doesn't exist on the Hub or cannot be accessed."), "absent"),
        (ConnectionError("Couldn't reach the Hub"), "offline"),
        (ValueError("Unknown split 'tset'. Should be one of ['test']."), "other"),
    ],
)
def test_faults_of_the_hub_have_reasons(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    def load_dataset(*args: Any, **kwargs: Any) -> None:
        raise error

    fake_hub(monkeypatch, load_dataset)
    with pytest.raises(HubFault) as fault:
        read_questions(HubData("me/none", "test", "main", revision="abc"))
    assert fault.value.reason == reason and str(fault.value).startswith("hf:me/none:main/test: ")


def test_a_damaged_parquet_file_and_an_unknown_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(InputError, match="q.parquet: no parquet file"):
        read_questions(tmp_path / "q.parquet")

    def load_dataset(*args: Any, **kwargs: Any) -> None:
        raise FileNotFoundError("Dataset 'me/none' doesn't exist on the Hub\nor cannot be accessed.")

    fake_hub(monkeypatch, load_dataset)
    with pytest.raises(InputError, match="hf:me/none/train: Dataset 'me/none' doesn't exist on the Hub$"):
        read_questions("hf:me/none/train")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="pip install 'relift\\[train\\]'"):
        read_questions("hf:me/none/train")


def test_columns_are_checked(tmp_path: Path) -> None:
    data = lay(tmp_path / "q.jsonl", row(topic="sums"))
    assert read_questions(data, columns={"subject": "topic"}).questions[0].subject == "sums"
    with pytest.raises(InputError, match="it has no column 'topics'; nearest: 'topic'"):
        read_questions(data, columns={"subject": "topics"})
    with pytest.raises(InputError, match="unknown column 'anwser'; nearest: 'answer'"):
        read_questions(data, columns={"anwser": "gold"})
    # one mapping serves training files and probe files, and those need no demonstrations
    assert not read_questions(data, columns={"demonstration": "solution"}).demonstrations


def test_what_editors_leave_is_repaired_and_counted(tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbf" + json.dumps(row("1+1?\r\nNow.", "2")).encode() + b"\r",
        json.dumps(row("1+2\0?", "3\0")).encode() + b"\r",
        b'{"problem": "1+3\\ud800?", "answer": "4"}',
        b'{"problem": "1+4\xff?", "answer": "5"}',
        b'{"problem": "tab\there?", "answer": "6"}',
        '{"problem": "a\u2028b?", "answer": "7"}'.encode(),  # a line separator of Unicode ends no row
        b'{"problem": "c\rd?", "answer": "8"}',  # nor does a lone carriage return
    ]
    read = read_questions(lay(tmp_path / "q.jsonl", *lines))
    problems = ["1+1?\nNow.", "1+2?", "1+3\ufffd?", "1+4\ufffd?", "tab\there?", "a\u2028b?", "c\nd?"]
    assert [q.problem for q in read.questions] == problems
    assert [q.answer for q in read.questions] == list("2345678")
    assert read.repairs == {"bom": 1, "crlf": 2, "nul": 2, "surrogate": 2}


def test_damaged_escapes_are_put_back_and_counted(tmp_path: Path) -> None:
    rows = [
        row("5\times 3?", "\x0crac{1}{2}", demonstration="so \x08oxed{\x0crac{1}{2}}"),
        row("\\left(1\right)?", "\x07lpha"),  # read as a tab, carriage return, bell
        row("1\r\n2\ttabs stay\r", "3"),
        b'{"problem": "raw 5\times 6?", "answer": "30"}',  # a tab that JSON should not hold
    ]
    read = read_questions(lay(tmp_path / "q.jsonl", *rows), final_answer=last_box)
    assert [q.problem for q in read.questions] == [
        r"5\times 3?",
        r"\left(1\right)?",
        "1\n2\ttabs stay\n",
        r"raw 5\times 6?",
    ]
    assert [q.answer for q in read.questions] == [r"\frac{1}{2}", r"\alpha", "3", "30"]
    assert read.demonstrations[0].text == r"so \boxed{\frac{1}{2}}"
    assert read.repairs == {"crlf": 1, "escape": 7}  # texts with line ends, commands
    assert read.notes == ["repaired 1 x crlf, 7 x escape"]


def test_bytes_in_parquet_that_are_no_text_are_repaired(tmp_path: Path) -> None:
    problems = pa.array([b"1+1\xff?", b"1+2?"]).view(pa.utf8())
    pq.write_table(pa.table({"problem": problems, "answer": ["2", "3"]}), tmp_path / "q.parquet")
    read = read_questions(tmp_path / "q.parquet")
    assert [q.problem for q in read.questions] == ["1+1\ufffd?", "1+2?"] and read.repairs == {"surrogate": 1}


WILD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(WILD, WILD, st.none() | WILD), min_size=1, max_size=4, unique_by=lambda r: " ".join(r[0].split())
    )
)
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str | None]]) -> None:
    rows = [(p, a, s) for p, a, s in rows if p.strip() and a.strip()]
    questions = {question_id_of(p): Question(question_id_of(p), p, a, subject=s) for p, a, s in rows}
    if not questions:
        return
    path = tmp_path_factory.mktemp("trip") / "q.jsonl"
    write_questions(path, list(questions.values()), [])
    assert list(read_questions(path).questions) == list(questions.values())


def test_an_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write questions to"):
        write_questions(tmp_path / "no" / "q.jsonl", [], [])
    assert not list(tmp_path.iterdir())


def test_rows_without_a_kind_have_the_kind_of_their_golds(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def kind(golds: Any) -> str:
        seen.append(list(golds))
        return "math"

    rows = [row("a?", "1"), row("b?", "2", answer_kind="exact"), row("c?", "B", options=["x", "y"]), row("d?", "x")]
    read = read_questions(lay(tmp_path / "q.jsonl", *rows), answer_kind=kind)
    assert [q.answer_kind for q in read.questions] == ["math", "exact", "choice", "math"]
    assert seen == [["1", "x"]]  # asked once, for the rows that name none
    assert [q.answer_kind for q in read_questions(tmp_path / "q.jsonl").questions] == [
        "exact",
        "exact",
        "choice",
        "exact",
    ]


def test_the_row_of_a_question_is_its_first(tmp_path: Path) -> None:
    a, b = row("a?", "1"), row("b?", "2")
    read = read_questions(lay(tmp_path / "q.jsonl", b"", a, b, a, b), repeats="equal")
    assert [read.row_of[q.question_id] for q in read.questions] == [2, 3]  # line 1 is empty


def test_demonstrations_of_repeated_rows_are_taken_once(tmp_path: Path) -> None:
    both = row("a?", "1", demonstration="so 1"), row("a?", "1", demonstration="so 1")
    assert len(read_questions(lay(tmp_path / "q.jsonl", *both), repeats="equal").demonstrations) == 1


def test_many_repeats_are_read_in_no_time(tmp_path: Path) -> None:
    """20,000 questions three times: comparing each row with all before it would take minutes."""
    rows = [row(f"{i}?", "1") for i in range(20_000)] * 3
    read = read_questions(lay(tmp_path / "q.jsonl", *rows), repeats="equal")
    assert read.repeats == 3 and len(read.questions) == 20_000
    with pytest.raises(
        InputError,
        match="as in row 1, and 39,999 more rows repeat questions .each stands there 3 times",
    ):
        read_questions(tmp_path / "q.jsonl")


# The training file of ReLIFT and LUFFY (Elliott/Openr1-Math-46k-8192), its columns.
NESTED: dict[str, Any] = {
    "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}],
    "target": [{"role": "assistant", "content": "So 2."}],
    "reward_model": {"ground_truth": "2", "style": "rule"},
}


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_a_column_may_be_a_path(tmp_path: Path, format_: str) -> None:
    file = lay(tmp_path / "q.jsonl", NESTED)
    if format_ == "parquet":
        file = tmp_path / "q.parquet"
        pq.write_table(pa.Table.from_pylist([NESTED]), file)
    columns = {
        "problem": "prompt.1.content", "answer": "reward_model.ground_truth", "demonstration": "target.0.content",
    }  # fmt: skip
    read = read_questions(file, columns=columns)
    assert [(q.problem, q.answer) for q in read.questions] == [("1+1?", "2")]
    assert [d.text for d in read.demonstrations] == ["So 2."]


def test_a_list_for_a_text_says_how_to_name_the_text_in_it(tmp_path: Path) -> None:
    file = lay(tmp_path / "q.jsonl", NESTED)
    with pytest.raises(InputError) as caught:
        read_questions(file, columns={"problem": "prompt", "answer": "reward_model"})
    assert (
        "prompt is of type list, not text; name the text in it, as in data.columns.problem = 'prompt.0.content'"
        in str(caught.value)
    )
    assert "data.columns.answer = 'reward_model.ground_truth'" in str(caught.value)
    with pytest.raises(InputError, match="prompt.7.content is missing"):
        read_questions(file, columns={"problem": "prompt.7.content", "answer": "reward_model.ground_truth"})
    with pytest.raises(InputError, match="it has no column 'promt.0.content'"):
        read_questions(file, columns={"problem": "promt.0.content", "answer": "reward_model.ground_truth"})
