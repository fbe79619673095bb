import sys
from pathlib import Path

import pytest

from relift.analysis import read_trajectories, sql
from relift.errors import InputError
from tests.synthetic import write_run


def test_without_duckdb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InputError, match=r"pip install 'relift\[sql\]'"):
        sql("select 1", tmp_path)


def test_queries_see_committed_rows_of_all_runs(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    for seed, name, folder in ((1, "a", "it's a"), (2, "b", "b")):
        write_run(tmp_path / folder, n_questions=20, n_steps=2, learn=0.5, seed=seed, name=name, probe_every=1)
    runs = [tmp_path / "it's a", tmp_path / "b"]
    (tmp_path / "b" / "trajectories" / "step-000003.probe.d0.parquet").write_bytes(b"never committed")
    found = sql(
        "select q.run, t.step, sum(t.n_correct) as n from trajectories t "
        "join questions q using (run_id, question_ix) where origin = 'probe' and draw = 0 group by all order by all",
        runs,
    )
    frame = read_trajectories(runs, draws=[0])
    expected = frame.groupby(["run", "step"], observed=True)["n_correct"].sum().sort_index()
    assert found["n"].astype(int).tolist() == [int(expected[(r, s)]) for r in ("a", "b") for s in (0, 1, 2)]
    assert sql("select count(*) as n from demo_events", runs)["n"].tolist() == [0]
    with pytest.raises(InputError, match="the query failed: .*no_such"):
        sql("select * from no_such", runs)
