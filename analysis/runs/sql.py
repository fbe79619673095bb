"""Run your own queries over run folders, in SQL (needs the extra `sql`: duckdb)."""

from __future__ import annotations

import pandas as pd

from relift.analysis.runs.read import Runs, label_of, open_runs
from relift.errors import InputError
from relift.schema import TABLES
from relift.store.tables import PER_STEP


def sql(query: str, runs: Runs) -> pd.DataFrame:
    """Query the tables of these runs, each a view of its name: `select ... from trajectories`.

    questions, demonstrations, checkpoints and scores are small, read verified, and carry run_id and run; join the
    others to questions on run_id and question_ix, and across runs on question_id. attempts, responses, trajectories,
    updates and demo_events are read by duckdb from the committed files alone, which may be larger than memory; it
    does not verify our checksums, `relift check` does. InputError without duckdb, or if the query fails.
    """
    try:
        import duckdb
    except ImportError as error:
        raise InputError("sql needs duckdb, which is not installed: pip install 'relift[sql]'") from error
    readers = open_runs(runs)
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}) as db:
        for name in TABLES:
            files = [str(file.path) for r in readers for file in r.files(name)] if name in PER_STEP else []
            if files:
                db.read_parquet(files, union_by_name=True).create_view(name)
            elif name in PER_STEP:
                db.register(name, TABLES[name].arrow_schema().empty_table())
            else:
                frames = [r.read(name).assign(run_id=r.run_id, run=label_of(r)) for r in readers]
                db.register(name, pd.concat(frames, ignore_index=True))
        try:
            result = db.sql(query)
            return pd.DataFrame() if result is None else result.df()
        except duckdb.Error as error:
            raise InputError(f"the query failed: {' '.join(str(error).split())}") from error
