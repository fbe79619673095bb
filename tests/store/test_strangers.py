"""Run folders that somebody else made, with right checksums: one clear line each, and nothing written outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relift.errors import InputError, StoreError
from relift.store import RunReader, RunWriter, check_run
from relift.store.files import read_record, record_bytes, sha256_of
from relift.store.folder import refuse_run_file
from relift.store.footers import footer_of
from tests.store.rows import train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train(tmp_path / "run", n_steps=2)
    return tmp_path / "run"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record and seal it again, as a stranger can."""
    body = read_record(path)
    change(body)
    path.write_bytes(record_bytes(body))


RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "run_id list": ({"run_id": ["a"]}, "'run_id': input should be a valid string"),
    "run_id path": ({"run_id": "../../x"}, "'run_id' must be letters, digits"),
    "run_id html": ({"run_id": "<script>"}, "'run_id' must be letters, digits"),
    "run_id null": ({"run_id": None}, "'run_id': input should be a valid string"),
    "identity text": ({"identity": "x"}, "'identity': input should be an object"),
    "identity null": ({"identity": None}, "'identity': input should be an object"),
    "decodings list": ({"decodings": [1]}, "'decodings': input should be an object"),
    "files text": ({"files": "x"}, "'files': input should be an object"),
    "seed text": ({"seed": "1"}, "'seed': input should be a valid integer"),
    "name list": ({"name": ["x"]}, "'name': input should be a valid string"),
    "status": ({"status": "<b>"}, "'status': input should be 'running', 'done' or 'interrupted'"),
    "starts": ({"starts": [{"start": "x"}]}, "'starts.0.start': input should be a valid integer"),
    "a version of many parts": ({"schema_version": [[0] * 900]}, "schema version [[0, 0, 0"),
    "newer": ({"schema_version": 99}, "schema version 99; this relift reads up to 2: update relift"),
}  # fmt: skip


@pytest.mark.parametrize("what", RECORDS)
def test_odd_records_are_refused_in_one_line(folder: Path, what: str) -> None:
    fields, message = RECORDS[what]
    edit(folder / "run.json", lambda body: body.update(fields))
    for use in (RunReader, RunWriter, check_run):
        with pytest.raises(InputError) as error:
            use(folder)
        assert message in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 2_000


def test_a_record_without_run_id_is_refused(folder: Path) -> None:
    edit(folder / "run.json", lambda body: body.pop("run_id"))
    with pytest.raises(InputError, match="'run_id': field required"):
        RunReader(folder)


def test_keys_of_others_stay_in_the_file(folder: Path) -> None:
    edit(folder / "run.json", lambda body: body.update(mine={"a": 1}))
    with RunWriter(folder) as writer:
        writer.update_run(name="other")
    assert read_record(folder / "run.json")["mine"] == {"a": 1} and RunReader(folder).run.name == "other"


@pytest.mark.parametrize("files", [None, "x", {"attempts/step-000001.rollout.d0.parquet": 5}, {"../x": {"bytes": 1}}])
def test_odd_commit_records_are_refused(folder: Path, files: object) -> None:
    edit(folder / "commits/step-000001.json", lambda body: body.update(files=files))
    with pytest.raises(StoreError, match="not the commit record of a step"):
        RunReader(folder).read("attempts", columns=["verdict"])
    assert any("not the commit record of a step" in problem for problem in check_run(folder).problems)
    with RunWriter(folder) as writer, pytest.raises(StoreError):
        list(writer.checkpoints())


def test_tables_of_other_types_are_refused(folder: Path) -> None:
    """n_tokens as text, in a file whose hashes the commit record has."""
    name = "attempts/step-000001.rollout.d0.parquet"
    table = pq.read_table(folder / name)
    at = table.schema.get_field_index("n_tokens")
    pq.write_table(table.set_column(at, "n_tokens", pa.array(["x"] * len(table))), folder / name)
    data = (folder / name).read_bytes()
    entry = {
        "bytes": len(data),
        "rows": len(table),
        "sha256": sha256_of(data),
        "footer_sha256": sha256_of(footer_of(data)),
    }
    edit(folder / "commits/step-000001.json", lambda body: body["files"].update({name: entry}))
    with pytest.raises(StoreError, match="not a table of relift: n_tokens is string"):
        RunReader(folder).read("attempts", columns=["n_tokens"], steps=[1])
    assert any("columns differ from those of the schema" in problem for problem in check_run(folder).problems)


@pytest.mark.parametrize(
    "name",
    [
        "updates",
        "run.json",
        "weights/step-000001",
        ".lock",
        "weights/step-000001/state.json",
        "commits/step-000000.json",
    ],
)
def test_links_in_a_run_folder_are_not_written_through(folder: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    before = elsewhere.read_bytes() if elsewhere.is_file() else sorted(elsewhere.iterdir())
    with pytest.raises(InputError, match="is a link, and a run is only written where it lies"):
        RunWriter(folder)
    assert before == (elsewhere.read_bytes() if elsewhere.is_file() else sorted(elsewhere.iterdir()))


@pytest.mark.parametrize("table", ["questions", "demonstrations"])
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"PAR1")], ids=["gone", "damaged"])
def test_damage_of_whole_tables_is_found_at_resume(folder: Path, table: str, spoil: Callable[[Path], object]) -> None:
    spoil(folder / f"{table}.parquet")
    with RunWriter(folder) as writer, pytest.raises(StoreError, match=rf"{table}.parquet: (missing|damaged)"):
        writer.roll_back(writer.committed_step)
    assert not (folder / "orphaned").exists()


def test_appended_entries_leave_with_their_rows(folder: Path) -> None:
    from relift.run_record import Appended

    entry = Appended(why="extra", samples=1, questions="0", identity={}, sampling={})
    with RunWriter(folder) as writer:
        writer.update_run(appended={"probe.step-000000.d5": entry, "probe.step-000001.d5": entry})
        writer.roll_back(0)
        assert list(writer.run.appended) == ["probe.step-000000.d5"]


def test_outputs_do_not_overwrite_a_runs_files(folder: Path, tmp_path: Path) -> None:
    for name in ("run.json", "config.toml", "attempts/x.html", "weights/a.csv", ".lock"):
        with pytest.raises(InputError, match="is a file of the run in"):
            refuse_run_file(folder / name)
    refuse_run_file(folder / "report.html")
    refuse_run_file(tmp_path / "run.json")


def test_counts_past_16_bits_are_kept(folder: Path) -> None:
    """40,000 is more than a 16-bit count holds (32,767); what does not fit 32 bits is refused, not wrapped."""
    row = {
        "question_ix": 0, "n_attempts": 40_000, "n_correct": 39_999, "n_undecided": 0, "n_truncated": 40_000,
        "n_distinct_answers": 1, "mean_tokens": 1.0, "rl_exposures": 0, "sft_exposures": 0, "in_buffer": False,
    }  # fmt: skip
    with RunWriter(folder) as writer:
        writer.write("trajectories", pd.DataFrame([row]), step=2, origin="probe", draw=0)
        with pytest.raises(ValueError, match="n_attempts: values do not fit int32"):
            writer.write("trajectories", pd.DataFrame([{**row, "n_attempts": 2**31}]), step=2, origin="probe", draw=1)
        writer.commit(2)
    assert RunReader(folder).read("trajectories", steps=[2])["n_attempts"].tolist() == [40_000]
