"""The rows of a run: keys, counts, references, and trajectories rebuilt from attempts.

Files come in order of step; per step the check keeps counters by question and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relift.schema import TABLES, Assistance, DemoEvent, Finish, Origin, Verdict
from relift.store.tables import TableFile, row_key
from relift.store.trajectories import trajectories_of

_ENUMS = {"assistance": Assistance, "verdict": Verdict, "finish": Finish, "event": DemoEvent}
_RUN_WIDE = {"updates": "update", "demo_events": "event_ix"}  # running numbers of the whole run
_RTOL = 1e-6  # float32 means; the counts must be equal

Place = tuple[str, int, int]  # origin, draw, step


class RowCheck:
    """`add` every file in order of step, then `finish`."""

    def __init__(self, root: Path, run_id: str, whole: Mapping[str, pa.Table], problem: Callable[[str], None]):
        self._root, self._run_id, self._problem = root, run_id, problem
        questions = whole["questions"].column("question_ix").to_numpy()
        self._n_questions = len(questions)
        self._demo_ids = set(whole["demonstrations"].column("demo_id").to_pylist())
        self._rl_exposures = np.zeros(self._n_questions, np.int64)
        self._sft_exposures = np.zeros(self._n_questions, np.int64)
        self._waiting: Counter[tuple[str, int]] = Counter()  # (demo_id, question_ix) in the buffer
        self._numbers: dict[str, list[np.ndarray]] = {table: [] for table in _RUN_WIDE}
        self._step = -1
        self._now: dict[str, dict[Place, list[pa.Table]]] = {}
        self._events: list[pa.Table] = []
        self._probed: list[np.ndarray] = []  # different sets of questions that probes asked
        if not np.array_equal(np.sort(questions), np.arange(self._n_questions)):
            problem("questions.parquet: question_ix is not 0 .. n-1")
        if len(set(whole["questions"].column("question_id").to_pylist())) < self._n_questions:
            problem("questions.parquet: question_id occurs twice")
        self._require_range("demonstrations.parquet", whole["demonstrations"])

    def add(self, file: TableFile, rows: pa.Table) -> None:
        """The rows of one committed file, steps never falling."""
        if file.step != self._step:
            self._close_step()
            self._step = file.step
        name = file.path.relative_to(self._root).as_posix()
        self._check_file(name, file, rows)
        if file.table in _RUN_WIDE:
            self._numbers[file.table].append(rows.column(_RUN_WIDE[file.table]).to_numpy())
        if file.table == "demo_events":
            self._events.append(rows)
        if file.origin is not None and file.draw is not None:
            place = (file.origin, file.draw, file.step)
            self._now.setdefault(file.table, {}).setdefault(place, []).append(rows)

    def finish(self) -> None:
        self._close_step()
        for table, parts in self._numbers.items():
            numbers = np.concatenate(parts) if parts else np.zeros(0, np.int64)
            n_twice = len(numbers) - len(np.unique(numbers))
            if n_twice:
                self._problem(f"{table}: {n_twice} rows repeat an {_RUN_WIDE[table]} of another file")

    # ---- one file ----------------------------------------------------------------------------------------------

    def _check_file(self, name: str, file: TableFile, rows: pa.Table) -> None:
        constants = {"run_id": self._run_id, "step": file.step, "origin": file.origin, "draw": file.draw}
        for column, wanted in constants.items():
            if column in rows.column_names and len(rows):
                values = pc.unique(_plain(rows, column)).to_pylist()
                if values != [wanted]:
                    self._problem(f"{name}: {column} is {values[:3]}, not {wanted!r} throughout")
        for field in rows.schema:
            if not field.nullable and rows.column(field.name).null_count:
                self._problem(f"{name}: nulls in {field.name}")
            if field.name in _ENUMS:
                odd = set(pc.unique(_plain(rows, field.name)).to_pylist()) - set(_ENUMS[field.name])
                if odd:
                    self._problem(f"{name}: unknown {field.name} {sorted(map(str, odd))[:3]}")
        self._require_range(name, rows)
        if file.table == "attempts":
            undecided = pc.equal(_plain(rows, "verdict"), pa.scalar(str(Verdict.undecided)))
            n_wrong = pc.sum(pc.and_(undecided, pc.is_valid(rows.column("reward")))).as_py() or 0
            if n_wrong:
                self._problem(f"{name}: {n_wrong} undecided attempts have a reward")

    def _require_range(self, name: str, rows: pa.Table) -> None:
        if "question_ix" in rows.column_names:
            question_ix = rows.column("question_ix").to_numpy()
            n_outside = int(((question_ix < 0) | (question_ix >= self._n_questions)).sum())
            if n_outside:
                self._problem(f"{name}: {n_outside} rows with a question_ix outside 0 .. {self._n_questions - 1}")

    # ---- one step ----------------------------------------------------------------------------------------------

    def _close_step(self) -> None:
        """All files of a step are in: what they say of each other."""
        tables = {
            table: {place: pa.concat_tables(parts) for place, parts in places.items()}
            for table, places in self._now.items()
        }
        events, self._now, self._events = self._events, {}, []
        attempts = tables.get("attempts", {})
        self._follow_buffer(events)
        self._count_updates(attempts)
        for table, places in tables.items():
            for place, rows in places.items():
                self._check_keys(_label(table, place), rows, row_key(table))
        for place, rows in attempts.items():
            self._check_probe(place, rows)
            self._check_texts(place, rows, tables.get("responses", {}).get(place))
            if place[0] != Origin.benchmark:
                self._check_trajectories(place, rows, tables.get("trajectories", {}).get(place))
        for table in ("responses", "trajectories"):
            for place in tables.get(table, {}).keys() - attempts.keys():
                self._problem(f"{_label(table, place)}: without attempts")

    def _check_keys(self, label: str, rows: pa.Table, key: tuple[str, ...]) -> None:
        keys = pd.DataFrame({name: rows.column(name).to_numpy() for name in key})
        n_twice = int(keys.duplicated().sum())
        if n_twice:
            first = keys[keys.duplicated()].iloc[0].to_dict()
            self._problem(f"{label}: {n_twice} duplicate keys, the first is {first}")

    def _check_probe(self, place: Place, rows: pa.Table) -> None:
        """A probe asks every question equally often, and always the same questions; at the ends of a run perhaps
        more, so after the first probe one other set is in order, a part of the first."""
        if place[0] != Origin.probe:
            return
        question_N, attempt_N = (rows.column(name).to_numpy() for name in ("question_ix", "attempt"))
        question_Q, n_attempts_Q = np.unique(question_N, return_counts=True)
        k = int(n_attempts_Q.max(initial=0))
        if len(rows) != len(question_Q) * k or not np.array_equal(np.unique(attempt_N), np.arange(k)):
            self._problem(
                f"{_label('attempts', place)}: {len(rows)} attempts, not {len(question_Q)} questions x {k} "
                f"numbered 0 .. {k - 1}"
            )
        if place[1] == 0:  # other draws may be top-ups of some questions
            if any(np.array_equal(question_Q, asked) for asked in self._probed):
                return
            if self._probed and (len(self._probed) > 1 or not np.isin(question_Q, self._probed[0]).all()):
                self._problem(f"{_label('attempts', place)}: not the questions of the probes before")
            self._probed.append(question_Q)

    def _check_texts(self, place: Place, attempts: pa.Table, texts: pa.Table | None) -> None:
        asked = attempts.filter(pc.is_valid(attempts.column("response_id")))
        if texts is None and not len(asked):
            return
        columns = ["response_id", "question_ix", "attempt"]
        wanted, there = (
            [] if table is None else sorted(zip(*(table.column(c).to_pylist() for c in columns), strict=True))
            for table in (asked, texts)
        )
        if wanted != there:
            differ = len(set(wanted) ^ set(there))
            self._problem(f"{_label('responses', place)}: {differ} texts and attempts do not fit each other")

    def _check_trajectories(self, place: Place, attempts: pa.Table, found: pa.Table | None) -> None:
        label = _label("trajectories", place)
        if found is None:
            self._problem(f"{label}: missing")
            return
        question_ix = attempts.column("question_ix").to_numpy()
        if len(question_ix) and not 0 <= question_ix.min() <= question_ix.max() < self._n_questions:
            return  # reported already
        in_buffer = np.zeros(self._n_questions, bool)
        in_buffer[[q for _, q in self._waiting if 0 <= q < self._n_questions]] = True
        expected = trajectories_of(
            attempts, rl_exposures=self._rl_exposures, sft_exposures=self._sft_exposures, in_buffer=in_buffer
        )
        there = found.to_pandas().sort_values("question_ix", ignore_index=True)
        if not np.array_equal(there["question_ix"], expected["question_ix"]):
            self._problem(f"{label}: not one row for each question that was asked")
            return
        for column in TABLES["trajectories"].columns:
            name = column.name
            if name in ("run_id", "origin", "draw", "step", "question_ix"):
                continue
            a, b = there[name].to_numpy(), expected[name].to_numpy()
            same = np.isclose(a, b, rtol=_RTOL, atol=0.0, equal_nan=True) if a.dtype.kind == "f" else a == b
            if not same.all():
                at = int(np.flatnonzero(~same)[0])
                self._problem(
                    f"{label}: {name} differs from what the attempts give in {int((~same).sum())} rows, "
                    f"first question_ix {there['question_ix'][at]}: {a[at]} instead of {b[at]}"
                )

    def _count_updates(self, attempts: Mapping[Place, pa.Table]) -> None:
        used: list[np.ndarray] = []
        for (origin, _, _), rows in attempts.items():
            if origin == Origin.rollout:
                mask = pc.fill_null(rows.column("used_in_update"), pa.scalar(value=False))
                used.append(rows.filter(mask).column("question_ix").to_numpy())
        if used:
            question_Q = np.unique(np.concatenate(used))
            self._rl_exposures[question_Q[(question_Q >= 0) & (question_Q < self._n_questions)]] += 1

    def _follow_buffer(self, parts: list[pa.Table]) -> None:
        """Replays the events of a step. A use without an age never waited, so it takes nothing out."""
        if not parts:
            return
        columns = ["event_ix", "demo_id", "question_ix", "event", "reason", "age_steps", "buffer_len"]
        rows = pa.concat_tables(parts).select(columns).sort_by("event_ix").to_pylist()
        wrong_lengths = unknown = 0
        for row in rows:
            entry = (row["demo_id"], row["question_ix"])
            unknown += row["demo_id"] not in self._demo_ids
            if row["event"] == DemoEvent.enqueue:
                self._waiting[entry] += 1
            elif row["event"] == DemoEvent.evict or row["age_steps"] is not None:
                self._waiting[entry] -= 1
            trained = row["event"] == DemoEvent.train and row["reason"] is None
            if trained and 0 <= row["question_ix"] < self._n_questions:
                self._sft_exposures[row["question_ix"]] += 1
            wrong_lengths += sum(self._waiting.values()) != row["buffer_len"]
        label = f"demo_events of step {self._step}"
        if wrong_lengths:
            self._problem(f"{label}: buffer_len is not the number that waits in {wrong_lengths} of {len(rows)} events")
        if unknown:
            self._problem(f"{label}: {unknown} events of demonstrations that are not in demonstrations.parquet")
        if any(n < 0 for n in self._waiting.values()):
            self._problem(f"{label}: a demonstration left the buffer that was not in it")
        self._waiting = Counter({entry: n for entry, n in self._waiting.items() if n > 0})


def _plain(rows: pa.Table, column: str) -> pa.ChunkedArray:
    array = rows.column(column)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _label(table: str, place: Place) -> str:
    origin, draw, step = place
    return f"{table} of {origin}s, draw {draw}, step {step}"
