"""Loading through `datasets`: the real library on a folder laid out like a data set; faults become one line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import relift.data.files
from relift.benchmarks.listing import pin
from relift.benchmarks.load import load_benchmark
from relift.benchmarks.table import BENCHMARKS
from relift.data.hub import HubData, HubFault
from relift.errors import InputError
from tests.benchmarks.rows import ROWS, lay, sums


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def lay_data_set(folder: Path, rows: list[dict[str, Any]], *, split: str = "test") -> Path:
    """A data set as the hub lays it out: parquet under data/."""
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_data_set_is_loaded_as_a_file_is(tmp_path: Path) -> None:
    from_file = load_benchmark(sums(), data=lay(tmp_path / "sums.jsonl", ROWS))
    lay_data_set(tmp_path / "copies" / "sums", ROWS)
    from_folder = load_benchmark(sums(), data=tmp_path / "copies")
    assert from_folder.questions == from_file.questions and from_folder.content_hash == from_file.content_hash
    assert from_folder.origin == str(tmp_path / "copies" / "sums")


def test_without_data_the_hub_is_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_data_set(tmp_path / "me" / "sums", ROWS)  # `datasets` takes a relative folder for a name
    loaded = load_benchmark(sums())
    assert loaded.origin == "me/sums" and [q.answer for q in loaded.questions] == ["2", "3", "4"]
    assert loaded.revision is None and not loaded.pinned, "a folder has no revision"


def test_lists_and_structs_come_as_they_are(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}]
    (tmp_path / "arc_c").mkdir()
    lay_data_set(tmp_path / "arc_c" / "ARC-Challenge", rows)
    (tmp_path / "arc_c" / "README.md").write_text(
        "---\nconfigs:\n- config_name: ARC-Challenge\n  data_files:\n  - split: test\n"
        "    path: ARC-Challenge/data/test-*\n---\n"
    )
    question = load_benchmark(replace(BENCHMARKS["arc_c"], rows=1), data=tmp_path).questions[0]
    assert (question.options, question.answer) == (("x", "y"), "B")


def test_an_unknown_split_is_one_line(tmp_path: Path) -> None:
    lay_data_set(tmp_path / "sums", ROWS, split="train")
    with pytest.raises(InputError, match=r"^sums: hf:.*/test: .*split.*; or give --data DIR with sums.jsonl") as error:
        load_benchmark(sums(), data=tmp_path)
    assert "\n" not in str(error.value)


def test_offline_is_one_line() -> None:
    """The library is told that there is no network (HF_HUB_OFFLINE in the Makefile, else none is there either)."""
    with pytest.raises(InputError) as error:
        load_benchmark(replace(sums(), hub="relift-tests/no-such-data-set"))
    assert str(error.value) == (
        "sums: relift-tests/no-such-data-set is not here and cannot be fetched without a network; "
        "give --data DIR with sums.jsonl or sums.parquet"
    )


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (
            "gated",
            "gpqa_diamond: Idavidrein/gpqa is gated; accept its terms and set HF_TOKEN, or give --data DIR with "
            "gpqa_diamond.jsonl or gpqa_diamond.parquet",
        ),
        (
            "absent",
            "gpqa_diamond: the hub gives no Idavidrein/gpqa to this account; it is gated: accept its terms and set "
            "HF_TOKEN; or give --data DIR with gpqa_diamond.jsonl or gpqa_diamond.parquet",
        ),
        ("package", "gpqa_diamond: why; or give --data DIR with gpqa_diamond.jsonl or gpqa_diamond.parquet"),
    ],
)
def test_a_fault_says_what_to_do(monkeypatch: pytest.MonkeyPatch, reason: str, line: str) -> None:
    def fault(*args: Any) -> None:
        raise HubFault("why", reason=reason)

    monkeypatch.setattr(relift.data.files, "_hub_rows", fault)
    with pytest.raises(InputError) as error:
        load_benchmark(BENCHMARKS["gpqa_diamond"])
    assert str(error.value) == line


def test_pinned_by_revision_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake of the hub alone: what was read is of commit a...a."""
    asked = []

    def hub_rows(source: HubData, table: relift.data.files.RowTable) -> Any:
        asked.append(source)
        table.revision = "a" * 40
        return ["problem", "answer"], list(enumerate(ROWS, start=1))

    monkeypatch.setattr(relift.data.files, "_hub_rows", hub_rows)
    right = load_benchmark(sums()).content_hash
    loaded = load_benchmark(sums(revision="a" * 40, content_hash=right))
    assert loaded.pinned and loaded.revision == "a" * 40
    assert asked[-1] == HubData("me/sums", "test", "default", "a" * 40)
    assert not load_benchmark(sums(revision="b" * 40, content_hash=right)).pinned
    assert not load_benchmark(sums(revision="a" * 40)).pinned
    monkeypatch.setitem(BENCHMARKS, "sums", sums(revision="b" * 40, rows=4))
    assert pin("sums") == (
        f'# me/sums\nrows=3,  # declared: 4\nrevision="{"a" * 40}",  # declared: {"b" * 40}\ncontent_hash="{right}",\n'
    )
    assert asked[-1].revision is None, "the newest is read"
