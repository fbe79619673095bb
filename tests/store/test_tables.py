from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.errors import StoreError
from relift.schema import TABLES, Verdict
from relift.store import footers as footers_module
from relift.store import split_responses
from relift.store.files import sha256_of
from relift.store.footers import Footer, Footers, footer_of, parse_footer
from relift.store.tables import (
    commit_name,
    conform,
    encode,
    parse_table_file,
    read_parquet,
    read_whole,
    table_file,
)  # fmt: skip
from tests.store.rows import attempts, checkpoint_row, questions, update

ATTEMPTS, RESPONSES = TABLES["attempts"], TABLES["responses"]
PLACE: dict[str, Any] = {"run_id": "run-1", "origin": "probe", "draw": 0, "step": 3}


def frame(**columns: object) -> pd.DataFrame:
    return attempts().drop(columns="text").assign(**columns)


def conformed(rows: pd.DataFrame | pa.Table) -> pa.Table:
    return conform(ATTEMPTS, rows, PLACE)


def test_constants_and_nullable_columns_are_filled_in() -> None:
    rows = conformed(frame())
    assert rows.schema.equals(ATTEMPTS.arrow_schema())
    assert rows.column("step").to_pylist() == [3] * 6 and rows.column("origin").to_pylist() == ["probe"] * 6
    assert rows.column("response_id").null_count == 6


def test_missing_is_null_and_numbers_are_kept() -> None:
    rows = conformed(frame(reward=[1.0, None, 0.0, 0.0, 0.0, 0.0], grader_agrees=[True, None, False, None, None, None]))
    assert rows.column("reward").to_pylist()[:3] == [1.0, None, 0.0]
    assert rows.column("grader_agrees").to_pylist()[:3] == [True, None, False]
    updates = conform(TABLES["updates"], update(0), {"run_id": "run-1", "step": 0})
    assert np.isnan(updates.column("loss")[0].as_py()) and updates.column("loss").null_count == 0
    assert np.isinf(updates.column("grad_norm")[0].as_py())
    assert updates.column("entropy").null_count == 1


def test_a_file_older_than_a_nullable_column_is_read_with_nulls(tmp_path: Path) -> None:
    table = conform(TABLES["questions"], questions(2), {})
    older = encode(TABLES["questions"], table.drop_columns(["options"]))
    (tmp_path / "questions.parquet").write_bytes(older)
    rows = read_whole(tmp_path, "questions", {"questions.parquet": [sha256_of(older)]})
    assert rows.column_names == [c.name for c in TABLES["questions"].columns]
    assert rows.column("options").null_count == len(rows) == 2


def test_an_arrow_table_tells_null_from_nan() -> None:
    table = conform(TABLES["updates"], update(0), {"run_id": "run-1", "step": 0})
    at = table.schema.get_field_index("entropy")
    table = table.set_column(at, table.schema.field(at), pa.array([float("nan")]))
    again = conform(TABLES["updates"], table, {"run_id": "run-1", "step": 0})
    assert again.column("entropy").null_count == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"colour": 1}, r"unknown columns \['colour'\]"),
        ({"verdict": None}, "attempts.verdict: 6 nulls"),
        ({"n_tokens": 1.5}, "attempts.n_tokens: values do not fit int32"),
        ({"n_tokens": 2**40}, "attempts.n_tokens: values do not fit int32"),
        ({"n_tokens": "many"}, "attempts.n_tokens: values do not fit int32"),
        ({"answer": pd.Series(["\ud800"] * 6, dtype=object)}, "attempts.answer: values do not fit string"),
        ({"attempt": 0}, "attempts: 3 duplicate keys, the first is question_ix 0, attempt 0"),
        ({"step": 4}, "attempts.step: not 3 in every row"),
        ({"run_id": "other"}, "attempts.run_id: not 'run-1'"),
    ],
)
def test_what_does_not_fit_is_named(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conformed(frame(**columns))


def test_missing_required_columns_are_named() -> None:
    with pytest.raises(ValueError, match=r"missing columns \['verdict', 'seed'\]"):
        conformed(frame().drop(columns=["verdict", "seed"]))


def test_duplicate_questions_are_refused() -> None:
    twice = questions(2).assign(question_id="same")
    with pytest.raises(ValueError, match="questions: 1 duplicate keys"):
        conform(TABLES["questions"], twice, {"run_id": "run-1"})
    with pytest.raises(ValueError, match="questions: 1 duplicate keys"):
        conform(TABLES["questions"], questions(2).assign(question_ix=0), {"run_id": "run-1"})


def test_equal_rows_give_equal_bytes() -> None:
    """Whatever their order, the categories' order, or the kind of frame."""
    rows = frame(verdict=[Verdict.wrong, Verdict.correct] * 3)
    other = rows.sample(frac=1, random_state=1)
    other["verdict"] = pd.Categorical(other["verdict"].map(str), categories=["undecided", "correct", "wrong"])
    wanted = encode(ATTEMPTS, conformed(rows))
    assert encode(ATTEMPTS, conformed(other)) == wanted
    assert encode(ATTEMPTS, conformed(conformed(rows))) == wanted
    assert encode(ATTEMPTS, conformed(rows)) == wanted


def test_row_order_is_question_and_attempt(tmp_path: Path) -> None:
    rows = conformed(frame().iloc[::-1])
    assert rows.column("question_ix").to_pylist() == [0, 0, 1, 1, 2, 2]
    assert rows.column("attempt").to_pylist() == [0, 1] * 3


def test_split_responses_numbers_the_texts_that_are_kept() -> None:
    kept = attempts().iloc[::-1].reset_index(drop=True)
    kept.loc[kept["question_ix"] == 1, "text"] = None
    rows, texts = split_responses(kept)
    assert rows["response_id"].isna().tolist() == [False, False, True, True, False, False]
    assert rows["response_id"].dropna().tolist() == texts["response_id"].tolist() == [0, 1, 2, 3]
    assert texts["question_ix"].tolist() == [0, 0, 2, 2]
    by_key = kept.set_index(["question_ix", "attempt"])["text"]
    assert texts["text"].tolist() == [by_key[key] for key in zip(texts["question_ix"], texts["attempt"], strict=True)]
    conform(RESPONSES, texts, PLACE)
    with pytest.raises(ValueError, match="split_responses"):
        conform(RESPONSES, texts.assign(response_id=[3, 2, 1, 0]), PLACE)


def test_file_names_round_trip() -> None:
    root = Path("/run")
    for place in [
        ("attempts", 120, "probe", 1, None),
        ("attempts", 0, "benchmark", 0, 7),
        ("updates", 3, None, None, None),
    ]:
        table, step, origin, draw, part = place
        file = table_file(root, table, step=step, origin=origin, draw=draw, part=part)
        assert parse_table_file(root, file.path.relative_to(root).as_posix()) == file
    assert table_file(root, "attempts", step=120, origin="probe", draw=0, part=None).path.name == (
        "step-000120.probe.d0.parquet"
    )


@pytest.mark.parametrize(
    "name",
    ["../x.parquet", "attempts/../../step-000001.parquet", "weights/step-000001.parquet", "attempts/step-1.parquet",
     "attempts/step-000001.test.d0.parquet", "attempts//step-000001.parquet", "attempts/step-000001.parquet\n", ""],
)  # fmt: skip
def test_hostile_names_are_no_table_files(name: str) -> None:
    assert parse_table_file(Path("/run"), name) is None


@pytest.mark.parametrize("suffix", ["x", "./../x", ".", "..", ".a/b", ".é", ". ", ".a\n"])
def test_hostile_suffixes(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        commit_name(3, suffix)


@pytest.mark.parametrize(
    "place",
    [
        {"table": "questions", "step": 0, "origin": None, "draw": None},
        {"table": "attempts", "step": 0, "origin": None, "draw": None},
        {"table": "attempts", "step": -1, "origin": "probe", "draw": 0},
        {"table": "attempts", "step": 0, "origin": "../probe", "draw": 0},
        {"table": "updates", "step": 0, "origin": "probe", "draw": 0},
        {"table": "updates", "step": 0, "origin": None, "draw": 0},
    ],
)
def test_rows_without_a_place(place: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        table_file(Path("/run"), place.pop("table"), part=None, **place)


def many_texts(n: int) -> pa.Table:
    ids = np.arange(n)
    columns = {"response_id": ids, "question_ix": ids // 8, "attempt": ids % 8, "text": [f"text {i}" for i in ids]}
    return conform(RESPONSES, pd.DataFrame(columns), PLACE)


def test_a_question_is_read_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.parquet"
    path.write_bytes(encode(RESPONSES, many_texts(5_000)))
    assert pq.ParquetFile(path).num_row_groups == 5  # ceil(5000 / 1024)
    asked: list[list[int]] = []
    read = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda self, groups, **kw: asked.append(groups) or read(self, groups, **kw)
    )
    rows = read_parquet(path, columns=["text"], question_ixs=[2, 600])
    # 600 * 8 = 4800 lies in group 4
    assert asked == [[0, 4]]
    assert rows.column("text").to_pylist() == [f"text {i}" for i in [*range(16, 24), *range(4800, 4808)]]
    assert len(read_parquet(path, columns=["text"], question_ixs=[])) == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=8), st.sets(st.integers(0, 50), max_size=12))
def test_groups_that_can_hold_a_question(bounds: list[tuple[int, int]], asked: set[int]) -> None:
    least, greatest = ([low for low, _ in bounds], [low + width for low, width in bounds])
    footer = Footer(None, np.array(least, np.int64), np.array(greatest, np.int64))  # type: ignore[arg-type]
    holding = [i for i, (low, high) in enumerate(zip(least, greatest, strict=True)) if asked & {*range(low, high + 1)}]
    assert footer.groups_with(asked) == holding


def test_groups_without_statistics_can_hold_any_question() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(many_texts(3_000), sink, row_group_size=1_024, write_statistics=False)
    assert parse_footer(footer_of(sink.getvalue().to_pybytes())).groups_with([7, 9_999_999]) == [0, 1, 2]


def test_many_attempts_are_in_groups() -> None:
    n = 40_000
    rows = pa.concat_tables([conformed(frame())] * (n // 5 + 1)).slice(0, n)
    groups = parse_footer(footer_of(encode(ATTEMPTS, rows))).metadata.num_row_groups
    assert groups == 3  # 40,000 / 16,384


def test_footers_are_kept_until_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    read = footers_module.read_footer
    monkeypatch.setattr(footers_module, "read_footer", lambda file: reads.append(looked_at[-1]) or read(file))
    data = encode(RESPONSES, many_texts(5_000))
    monkeypatch.setattr(footers_module, "KEPT_BYTES", 4 * len(footer_of(data)))
    looked_at: list[Path] = []
    kept, paths = Footers(), [tmp_path / f"{i}.parquet" for i in range(5)]

    def look(path: Path) -> None:
        looked_at.append(path)
        path.write_bytes(data)
        read_parquet(path, columns=["text"], question_ixs=[9], footer_sha256=sha256_of(footer_of(data)), footers=kept)

    for i in (0, 0, 1, 0, 2, 3, 0, 4, 0, 1):  # room for four: 4 takes the place of 1, which was used longest ago
        look(paths[i])
    assert reads == [paths[i] for i in (0, 1, 2, 3, 4, 1)]
    monkeypatch.setattr(footers_module, "KEPT_BYTES", 4 * len(footer_of(data)) - 1)
    kept = Footers()
    for _ in range(2):  # too long to be kept
        look(paths[0])
    assert reads[6:] == [paths[0]] * 2
    monkeypatch.undo()
    kept = Footers()
    for _ in range(2):  # nor is one of whoever reads the whole file
        read_parquet(paths[0], columns=["text"], footer_sha256=sha256_of(footer_of(data)), footers=kept)
    assert not kept._kept


def test_a_kept_footer_belongs_to_one_content_of_a_file(tmp_path: Path) -> None:
    path, kept = tmp_path / "r.parquet", Footers()
    for n in (3_000, 2_000):  # the second is written in place of the first, with a record of its own
        data = encode(RESPONSES, many_texts(n))
        path.write_bytes(data)
        asked = {"question_ixs": range(n), "footer_sha256": sha256_of(footer_of(data)), "footers": kept}
        assert read_parquet(path, columns=["text"], **asked).num_rows == n


def test_a_changed_footer_is_noticed(tmp_path: Path) -> None:
    data = bytearray(encode(ATTEMPTS, conformed(frame())))
    footer = footer_of(bytes(data))
    path = tmp_path / "a.parquet"
    data[-len(footer) + 30] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="footer does not match"):
        read_parquet(path, footer_sha256=sha256_of(footer))


def test_a_long_footer_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    rows = many_texts(300_000)  # about 300 row groups: the footer is longer than the first look at the file's end
    data = encode(RESPONSES, rows)
    assert len(footer_of(data)) > 65_536
    path.write_bytes(data)
    assert read_parquet(path, columns=["text"], footer_sha256=sha256_of(footer_of(data))).num_rows == 300_000


def test_null_path_of_a_checkpoint() -> None:
    rows = conform(TABLES["checkpoints"], checkpoint_row(3, None), {"run_id": "run-1"})
    assert rows.column("path").null_count == 1
