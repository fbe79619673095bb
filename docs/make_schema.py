"""Write docs/schema.md from relift/schema.py and relift/run_record.py; with --check fail if it is not current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
from generated_page import keep_current

from relift import run_record, schema
from relift.schema import (
    TABLES,
    Assistance,
    Column,
    DemoEvent,
    Finish,
    Origin,
    RunKind,
    RunStatus,
    Table,
    UpdateKind,
    Verdict,
)

TARGET = Path(__file__).with_name("schema.md")
ENUMS: tuple[type[StrEnum], ...] = (Verdict, Finish, Origin, Assistance, RunKind, RunStatus, UpdateKind, DemoEvent)

HEAD = f"""<!-- Written by docs/make_schema.py from relift/schema.py and run_record.py: run `make schema`. -->
# The tables of a run folder (schema version {schema.SCHEMA_VERSION})

Every run folder, trained, evaluated or imported, holds these tables as Parquet files. Counts are stored and rates
are derived. A missing measurement is null, never 0; *null* below says where that may be. Columns marked *clock*
are wall-clock times: the one thing in which two identical runs differ. Read them with `relift.store.RunReader`,
which verifies page checksums and sees committed steps only.
"""


READERS = {
    "questions": "`read_questions(runs)`",
    "attempts": '`read_attempts(runs, origin="probe", steps=[0], columns=["verdict"])`',
    "responses": '`read_responses(runs, step=0, questions=["QUESTION_ID"])`',
    "trajectories": "`read_trajectories(runs)`",
    "demonstrations": "`read_demonstrations(runs)`",
    "demo_events": "`read_demo_events(runs)`",
    "updates": "`read_updates(runs)`",
    "checkpoints": "`read_checkpoints(runs)`",
    "scores": "`read_scores(runs)`",
}  # of relift.analysis

JOINS = """
## Reading and joining

In a notebook the readers of `relift.analysis` (docs/analysis.md) are shorter than `RunReader`: they take one folder or
several, and add `run` (the name for figures) and, to rows about a question, `question_id`.

| rows of | with | on |
|---|---|---|
| anything with `question_ix` | questions of the same run | `run_id`, `question_ix` |
| anything, across runs | the other run's | `question_id`; never `question_ix`, which counts inside one run |
| attempts | responses | `run_id`, `origin`, `draw`, `step`, `question_ix`, `attempt` |
| attempts, grouped | trajectories | `run_id`, `origin`, `draw`, `step`, `question_ix` |
| trajectories, updates, demo_events | checkpoints | `run_id`, `step`; probes of a step are of the model after it |
| demo_events | demonstrations | `run_id`, `demo_id` |
| demo_events | trajectories of later steps | `run_id`, `question_ix` |

```python
from relift import analysis as ra

runs = ["runs/demo/seed-1/base", "runs/demo/seed-1/rl"]
probes = ra.read_trajectories(runs, draws=[0])
decided = probes["n_attempts"] - probes["n_undecided"]
probes["accuracy"] = (probes["n_correct"] / decided).where(decided > 0)  # null where nothing was decided
questions = ra.read_questions(runs)[["run_id", "question_ix", "problem", "answer"]]
probes.merge(questions, on=["run_id", "question_ix"])

wrong = ra.read_attempts(runs[1], origin="probe", steps=[0], columns=["verdict", "answer", "response_id"])
wrong = wrong[wrong["verdict"] == "wrong"].head(100)
texts = ra.read_responses(runs[1], step=0, questions=wrong["question_id"].unique())
wrong.merge(texts, on=["run_id", "draw", "step", "question_ix", "attempt"], suffixes=("", "_of_text"))
```
"""


RECORD = """
## The record of a run

`run.json` says what a run is: `RunReader(folder).run`, a frozen dataclass (`relift/run_record.py`) whose fields are
attributes. `relift.analysis.read_runs(runs)` gives its plain values as columns, and `method`: the recipe and a hash of
its configuration without the seed, so that runs of several seeds group. A key that a file lacks has the default; null
and empty values are left out of the file. Values of another type are refused in one line.
"""


def record_markdown() -> str:
    """Write the fields of the record and of its parts as tables."""
    parts = [RECORD]
    for part in run_record.PARTS:
        hints = get_type_hints(part, include_extras=True)
        rows = "".join(
            f"\n| `{field.name}` | {_annotation(hints[field.name])} | {hints[field.name].__metadata__[0]} |"
            for field in fields(part)
        )
        parts.append(f"### {part.__name__}\n\n{part.__doc__}\n\n| field | type | meaning |\n|---|---|---|{rows}")
    return "\n\n".join(part.strip("\n") for part in parts)


def _annotation(hint: Any) -> str:
    """Name a type in the words of JSON."""
    kind = get_args(hint)[0]
    names = [_json_name(each) for each in (get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,))]
    return " or ".join(names)


def _json_name(kind: Any) -> str:
    origin, inside = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "null"
    if origin is tuple:
        return f"list of {_json_name(inside[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return "object" if inside[1] is Any else f"object of {_json_name(inside[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "value"}
    if kind in names:
        return names[kind]
    return f"[{kind.__name__}](#{'enumerations' if issubclass(kind, StrEnum) else kind.__name__.lower()})"


def schema_markdown() -> str:
    """Write the whole page."""
    parts = [HEAD, "| table | one row per | files | reader |\n|---|---|---|---|"]
    parts[-1] += "".join(
        f"\n| [{t.name}](#{t.name}) | {t.one_row_per} | {_files(t)} | {READERS[t.name]} |" for t in TABLES.values()
    )
    parts.append(JOINS)
    parts += [_table_markdown(table) for table in TABLES.values()]
    parts.append(record_markdown())
    parts.append("## Enumerations\n")
    parts[-1] += "".join(
        f"\n- **{kind.__name__}**: {', '.join(f'`{member.value}`' for member in kind)}. {kind.__doc__}"
        for kind in ENUMS
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _table_markdown(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    rows = "".join(_column_markdown(column) for column in table.columns)
    return (
        f"## {table.name}\n\nOne row per {table.one_row_per}. Key: {key}.\n\n"
        f"| column | type | unit | null | meaning |\n|---|---|---|---|---|{rows}"
    )


def _column_markdown(column: Column) -> str:
    meaning = column.meaning.replace("|", "\\|") + (" (*clock*)" if column.clock else "")
    null = "null" if column.nullable else ""
    return f"\n| `{column.name}` | {_type_name(column.type)} | {column.unit} | {null} | {meaning} |"


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return "category"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def _files(table: Table) -> str:
    if not table.per_step:
        return f"`{table.name}.parquet`"
    parts = ".ORIGIN.dDRAW" if "draw" in table.key else ""
    return f"`{table.name}/step-SSSSSS{parts}.parquet`"


if __name__ == "__main__":
    raise SystemExit(keep_current(TARGET, schema_markdown(), source="relift/schema.py"))
