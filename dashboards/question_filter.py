"""Filter and sort the questions of the runs chosen: the same list on the Questions page and behind N and P.

A filter is its query parameters: whoever has the address has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.analysis import CLASSES
from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.heat import ends_of, heat_bars, order_by_shape
from relift.analysis.questions.reach import REACH, base_reach
from relift.analysis.report.catalogue import TABLES
from relift.analysis.report.loaded import Loaded
from relift.analysis.runs.counts import Cube
from relift.dashboards.cubes import cube
from relift.dashboards.frames import Ready, Unavailable, compute
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice, RunInfo, questions, questions_of
from relift.errors import ReliftError
from relift.store import RunReader

SHOWN_RUNS = 8  # runs with a sparkline and a panel
MANY = 20_000  # questions from which what chance gives is dealt on request only: it takes seconds
# addresses hold what widgets show, so these are words to read
SORTS = ("shape", "most gained", "most lost", "hardest", "easiest", "order of the data")
MARKS = {
    "demonstration trained on": "trained",
    "demonstration in buffer": "buffer",
    "has a demonstration": "has_demo",
    "attempts undecided": "doubt",
}  # what is asked for: the column of `facts`


# what is said of a probed question: the column of `facts`, and where it comes from
LABELS: dict[str, Callable[[Loaded], pd.DataFrame]] = {
    "band": lambda loaded: loaded.bands,
    "reach": base_reach,
    "class": lambda loaded: loaded.classified,
}


class Parameters(Protocol):
    """Read query parameters, as st.query_params does."""

    def get_all(self, key: str) -> list[str]: ...


@dataclass(frozen=True)
class Filter:
    """Say which questions are asked for; empty means no restriction. `shape`: the run whose classes and rates count."""

    band: tuple[str, ...] = ()
    klass: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    mark: tuple[str, ...] = ()
    find: str = ""
    sort: str = "shape"
    shape: str = ""

    @staticmethod
    def of(parameters: Parameters) -> Filter:
        """Read the filter that an address says; what is unknown is ignored."""
        found: dict[str, Any] = {}
        for field in fields(Filter):
            values = [value for value in parameters.get_all(_parameter(field.name)) if value]
            if field.name in ("find", "sort", "shape"):
                found[field.name] = values[-1] if values else field.default
            else:
                found[field.name] = tuple(values)
        made = Filter(**found)
        return replace(
            made,
            band=_among(made.band, BANDS), klass=_among(made.klass, CLASSES), reach=_among(made.reach, REACH),
            mark=_among(made.mark, MARKS), sort=made.sort if made.sort in SORTS else "shape",
        )  # fmt: skip

    def parameters(self) -> dict[str, Any]:
        """Write the filter as query parameters, without those that say nothing."""
        found = {_parameter(field.name): getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value and (name, value) != ("sort", "shape")}

    @property
    def restricts(self) -> bool:
        """Tell whether the filter leaves anything out."""
        return any(getattr(self, field.name) for field in fields(self) if field.name not in ("sort", "shape"))


def _parameter(name: str) -> str:
    return "class" if name == "klass" else name


def _among(values: tuple[str, ...], known: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for value in values if value in known)


@dataclass(frozen=True)
class Facts:
    """Hold all that is known of every question, a row each. `missing`: why a column is null everywhere, by column.

    `options`: values of the columns that filters offer, and the marks that any question has ("mark").
    """

    frame: pd.DataFrame
    missing: dict[str, str]
    row_of: dict[str, int]  # by question_id
    options: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()  # what a damaged file took away


def shape_run(choice: Choice, name: str) -> RunInfo | None:
    """Find the run that classes and sorting go by: the one named, else the first by name with most probes."""
    probed = [run for run in choice.runs if run.probe_steps]
    named = next((run for run in probed if run.name == name), None)
    return named or min(probed, key=lambda run: (-len(run.probe_steps), run.name), default=None)


@kept(16, spinner="Sorting the questions")
def facts(choice: Choice, run: RunInfo) -> Facts:
    """Collect all that filters need, one row per question probed in any of the runs; classes and rates of `run`.

    Columns: question_id, source, split, subject, level, problem, answer, has_demo, band, reach, class, p_gain, trained,
    buffer, doubt, rate_first, rate_last, change, n_probes, row (in the cube of `run`, -1 where it lacks the question).
    """
    frame = questions(choice).reset_index(drop=True)
    ids = pd.Index(frame["question_id"].astype(object))
    probed_N = np.zeros(len(frame), bool)
    for run in choice.runs:
        row_N, counts = rows_of(run, ids), counts_of(run)
        if counts is not None:
            asked_Q = np.asarray(counts.n_decided_QT.any(axis=1))
            probed_N |= (row_N >= 0) & asked_Q[row_N]
    if choice.splits:
        probed_N &= frame["split"].astype(str).isin(choice.splits).to_numpy()
    frame = frame[probed_N].reset_index(drop=True)
    ids = pd.Index(frame["question_id"].astype(object))
    row_N, counts = rows_of(run, ids), counts_of(run)
    if counts is not None:
        ends = ends_of(counts).reindex(row_N).reset_index(drop=True)  # a row of -1 is not there: null
        frame = pd.concat([frame, ends], axis=1)
    else:
        frame = frame.assign(rate_first=np.nan, rate_last=np.nan, change=np.nan, n_probes=0)
    frame["row"] = row_N
    if run.origin == "probe":
        missing, left_out = _add_labels(frame, choice, run)
    else:  # bands, reach and classes are of probes
        frame = frame.assign(**dict.fromkeys(LABELS))
        missing, left_out = dict.fromkeys(LABELS, "it is of probes alone"), ()
    marks = _marks(run, counts)
    for name, value_Q in marks.items():
        frame[name] = (row_N >= 0) & value_Q[row_N] if len(value_Q) else np.zeros(len(frame), bool)
    return Facts(frame, missing, {str(q): i for i, q in enumerate(ids)}, _options(frame), left_out)


def _add_labels(frame: pd.DataFrame, choice: Choice, run: RunInfo) -> tuple[dict[str, str], tuple[str, ...]]:
    """Add the columns LABELS to a frame of questions in place.

    Return why a column is null everywhere, by column, and what a damaged file took away.
    """
    ids = pd.Index(frame["question_id"].astype(object))
    missing: dict[str, str] = {}
    left_out: dict[str, None] = {}
    for column, data in LABELS.items():
        made, frame[column] = compute(f"questions-{column}", choice, data), None
        left_out |= dict.fromkeys(made.left_out)
        if isinstance(made, Unavailable):
            missing[column] = made.reason
            continue
        rows = made.frame
        if column == "class":
            rows = rows[(rows["run_id"].astype(object) == run.run_id).to_numpy()]
            if rows.empty:
                missing[column] = f"{run.name} has no probe after step 0"
        of = pd.Series(rows[column].to_numpy(object), index=pd.Index(rows["question_id"].astype(object)))
        frame[column] = of.reindex(ids).to_numpy(object)
    return missing, tuple(left_out)


def _options(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for column, order in (("class", CLASSES), ("band", BANDS), ("reach", REACH)):
        held = set(frame[column].dropna().unique())
        found[column] = tuple(name for name in order if name in held)
    for column in ("source", "subject", "level"):
        found[column] = tuple(sorted({str(value) for value in frame[column].dropna().unique()}))
    found["mark"] = tuple(mark for mark, column in MARKS.items() if frame[column].any())
    return found


def _marks(run: RunInfo, counts: Cube | None) -> dict[str, NDArray[np.bool_]]:
    """Mark questions, by row of the cube: a demonstration was trained on, one waits, the last probe has doubts."""
    names = ("trained", "buffer", "doubt")
    if counts is None or not run.probe_steps:
        return {name: np.zeros(0, bool) for name in names}
    found = {name: np.zeros(len(counts.question_ix_Q), bool) for name in names}
    reader = RunReader(run.folder)
    try:
        events = reader.read("demo_events", columns=["question_ix", "event"])
        last = reader.read(
            "trajectories", columns=["question_ix", "n_undecided"], origin=run.origin, draws=[0],
            steps=[run.probe_steps[-1]],
        )  # fmt: skip
    except ReliftError:  # said where its numbers would stand
        return found
    event = events["event"].astype(str)
    waiting = events.assign(event=event).drop_duplicates("question_ix", keep="last")
    for name, ixs in (
        ("trained", events.loc[(event == "train").to_numpy(), "question_ix"]),
        ("buffer", waiting.loc[waiting["event"] == "enqueue", "question_ix"]),
        ("doubt", last.loc[last["n_undecided"] > 0, "question_ix"]),
    ):
        found[name][np.searchsorted(counts.question_ix_Q, ixs.unique())] = True
    return found


def counts_of(run: RunInfo) -> Cube | None:
    """Count draw 0 of a run; None where it has no probe or a file is damaged."""
    try:
        return cube(run) if run.probe_steps else None
    except ReliftError:
        return None


@kept(16, grows=False)
def _index_of(run: RunInfo) -> pd.Index:
    return pd.Index(questions_of(run)["question_id"].astype(object))


def rows_of(run: RunInfo, ids: pd.Index) -> NDArray[np.int64]:
    """Find the row of each question_id in the run's cube, -1 where the run does not have it."""
    index = _index_of(run)
    if index is ids or (len(index) == len(ids) and index.equals(ids)):
        return np.arange(len(ids))
    return np.asarray(index.get_indexer(ids), np.int64)


@kept(64)
def listed(choice: Choice, run: RunInfo, wanted: Filter) -> NDArray[np.int64]:
    """Find the rows of `facts` that the filter keeps, in its order."""
    frame = facts(choice, run).frame
    keep = np.ones(len(frame), bool)
    for column, values in (
        ("band", wanted.band), ("class", wanted.klass), ("reach", wanted.reach), ("source", wanted.source),
        ("subject", wanted.subject), ("level", wanted.level),
    ):  # fmt: skip
        if values:
            keep &= frame[column].astype(object).isin(values).to_numpy()
    for mark in wanted.mark:
        keep &= frame[MARKS[mark]].to_numpy(bool)
    if wanted.find:
        keep &= _holding(frame, wanted.find)
    rows = np.flatnonzero(keep)
    return rows[_order(frame.iloc[rows], wanted.sort)]


@kept(8)
def listed_ids(choice: Choice, run: RunInfo, wanted: Filter) -> tuple[list[str], dict[str, int]]:
    """List the question_ids that the filter keeps in its order, and the position of each."""
    rows = listed(choice, run, wanted)
    ids = [str(q) for q in facts(choice, run).frame["question_id"].iloc[rows]]
    return ids, {q: i for i, q in enumerate(ids)}


@kept(4)
def listed_facts(choice: Choice, run: RunInfo, wanted: Filter) -> pd.DataFrame:
    """Take the rows of `facts` that the filter keeps in its order, to take away.

    Columns that are about one run name it (`by_run`); rate_NAME is the last rate of each run.
    """
    rows = facts(choice, run).frame.iloc[listed(choice, run, wanted)].drop(columns="row").assign(by_run=run.name)
    ids = pd.Index(rows["question_id"].astype(object))
    for one in choice.runs:
        counts = counts_of(one)
        if counts is not None:
            row_N = rows_of(one, ids)
            rates = ends_of(counts)["rate_last"].reindex(row_N).to_numpy(float)  # a row of -1 is not there: null
            rows = rows.assign(**{f"rate_{one.name}": rates})
    return rows


def shown_runs(choice: Choice, run: RunInfo) -> list[RunInfo]:
    """List the SHOWN_RUNS first runs with probes, the one that the list is sorted by among them."""
    able = [one for one in choice.runs if one.probe_steps]
    first = able[:SHOWN_RUNS]
    return first if run in first or run not in able else [*first[:-1], run]


@kept(16)
def heat_of(choice: Choice, run: RunInfo, wanted: Filter) -> Ready:
    """Make the bars of the list's heat map, of `shown_runs` (of `heat_bars`)."""
    ids = pd.Index(listed_ids(choice, run, wanted)[0], dtype=object)
    counts = {}
    for one in shown_runs(choice, run):
        found, row = counts_of(one), rows_of(one, ids)
        if found is None or not (row >= 0).any():
            continue
        known = (row >= 0)[:, None]
        counts[one.name] = (
            np.where(known, found.n_correct_QT[row], np.int16(0)),
            np.where(known, found.n_decided_QT[row], np.int16(0)),
            found.step_T,
        )
    return Ready("question-heat", heat_bars(counts))


def _holding(frame: pd.DataFrame, text: str) -> NDArray[np.bool_]:
    """Find the rows whose problem, answer or id holds the text, letters of either case."""
    found = np.zeros(len(frame), bool)
    for column in ("problem", "answer"):
        found |= frame[column].astype(str).str.contains(text, case=False, regex=False).to_numpy()
    return found | frame["question_id"].astype(str).str.startswith(text.lower()).to_numpy()


_ORDERS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "most gained": lambda frame: -frame["change"],
    "most lost": lambda frame: frame["change"],
    "hardest": lambda frame: frame["rate_last"],
    "easiest": lambda frame: -frame["rate_last"],
}


def _order(frame: pd.DataFrame, sort: str) -> NDArray[np.intp]:
    if sort == "shape":
        return order_by_shape(list(frame["class"]), frame[["rate_last", "change"]])
    if sort in _ORDERS:
        return np.argsort(_ORDERS[sort](frame).fillna(9).to_numpy(float), kind="stable")
    return np.arange(len(frame))


def class_counts(choice: Choice) -> pd.DataFrame | Unavailable:
    """Count classes of trajectories by run: found, and expected without learning (of `count_classes`)."""
    made = compute("classes", choice, TABLES["classes"].data)
    return made if isinstance(made, Unavailable) else made.frame
