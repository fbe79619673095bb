"""The questions of the runs chosen, filtered and in order: the same list on the Questions page and behind N and P.

A filter is its query parameters: whoever has the address has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from relift.analysis import CLASSES
from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.heat import ends_of, heat_bars, order_by_shape
from relift.analysis.questions.reach import REACH, base_reach
from relift.analysis.runs.counts import Cube
from relift.dashboards.made import Made, Missing, compute
from relift.dashboards.origins import cube_of
from relift.dashboards.runs import Choice, RunInfo, questions, questions_of
from relift.errors import ReliftError
from relift.store import RunReader

SHOWN_RUNS = 6  # runs with a sparkline and a panel
MANY = 20_000  # questions from which what chance gives is dealt on request only: it takes seconds
# addresses hold what widgets show, so these are words to read
SORTS = ("shape", "most gained", "most lost", "hardest", "easiest", "order of the data")
MARKS = {
    "demonstration trained on": "trained",
    "demonstration in buffer": "buffer",
    "has a demonstration": "has_demo",
    "attempts undecided": "doubt",
}  # what is asked for: the column of `facts`


class Parameters(Protocol):
    """Query parameters, as st.query_params gives them."""

    def get_all(self, key: str) -> list[str]: ...


@dataclass(frozen=True)
class Filter:
    """What is asked for; empty means no restriction. `shape`: name of the run whose classes and rates count."""

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
        """The filter that an address says; what is unknown is ignored."""
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
        """Its query parameters, without those that say nothing."""
        found = {_parameter(field.name): getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value and (name, value) != ("sort", "shape")}

    @property
    def restricts(self) -> bool:
        """Whether it leaves anything out."""
        return any(getattr(self, field.name) for field in fields(self) if field.name not in ("sort", "shape"))


def _parameter(name: str) -> str:
    return "class" if name == "klass" else name


def _among(values: tuple[str, ...], known: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for value in values if value in known)


@dataclass(frozen=True)
class Facts:
    """What is known of every question: a row each. `missing`: why a column is null everywhere, by column.

    `options`: values of the columns that filters offer, and the marks that any question has ("mark").
    """

    frame: pd.DataFrame
    missing: dict[str, str]
    row_of: dict[str, int]  # by question_id
    options: dict[str, tuple[str, ...]]


def shape_run(choice: Choice, name: str) -> RunInfo | None:
    """The run that classes and sorting go by: the one named, else the one with most probes, by name among equals."""
    probed = [run for run in choice.runs if run.probe_steps]
    named = next((run for run in probed if run.name == name), None)
    return named or min(probed, key=lambda run: (-len(run.probe_steps), run.name), default=None)


def facts(choice: Choice, run: RunInfo) -> Facts:
    """Everything filters need, one row per question probed in any of the runs; classes and rates of `run`.

    Columns: question_id, source, split, subject, level, problem, answer, has_demo, band, reach, class, p_gain, trained,
    buffer, doubt, rate_first, rate_last, change, n_probes, row (in the cube of `run`, -1 where it lacks the question).
    Not to be changed.
    """
    return _facts((choice.key, run.run_id, run.origin), choice, run)


@st.cache_resource(max_entries=16, show_spinner="Sorting the questions...")
def _facts(key: tuple[Any, ...], _choice: Choice, _run: RunInfo) -> Facts:  # noqa: ARG001
    frame = questions(_choice).reset_index(drop=True)
    missing: dict[str, str] = {}
    ids = pd.Index(frame["question_id"].astype(object))
    probed_N = np.zeros(len(frame), bool)
    for run in _choice.runs:
        row_N, counts = rows_of(run, ids), counts_of(run)
        if counts is not None:
            asked_Q = np.asarray(counts.n_decided_QT.any(axis=1))
            probed_N |= (row_N >= 0) & asked_Q[row_N]
    if _choice.splits:
        probed_N &= frame["split"].astype(str).isin(_choice.splits).to_numpy()
    frame = frame[probed_N].reset_index(drop=True)
    ids = pd.Index(frame["question_id"].astype(object))
    row_N, counts = rows_of(_run, ids), counts_of(_run)
    if counts is not None:
        ends = ends_of(counts).reindex(row_N).reset_index(drop=True)  # a row of -1 is not there: null
        frame = pd.concat([frame, ends], axis=1)
    else:
        frame = frame.assign(rate_first=np.nan, rate_last=np.nan, change=np.nan, n_probes=0)
    frame["row"] = row_N
    if _run.origin != "probe":  # bands, reach and classes are of probes
        frame = frame.assign(**dict.fromkeys(("band", "reach", "class")))
        missing = dict.fromkeys(("band", "reach", "class"), "it is of probes alone")
    for column, made in (
        ()
        if _run.origin != "probe"
        else (
            ("band", compute("questions-bands", _choice, lambda loaded: loaded.bands)),
            ("reach", compute("questions-reach", _choice, base_reach)),
            ("class", compute("questions-classes", _choice, lambda loaded: loaded.classified)),
        )
    ):
        if isinstance(made, Missing):
            missing[column] = made.reason
            frame[column] = None
            continue
        rows = made.frame
        if column == "class":
            rows = rows[(rows["run_id"].astype(object) == _run.run_id).to_numpy()]
            if rows.empty:
                missing[column] = f"{_run.name} has no probe after step 0"
        of = pd.Series(rows[column].to_numpy(object), index=pd.Index(rows["question_id"].astype(object)))
        frame[column] = of.reindex(ids).to_numpy(object)
    marks = _marks(_run, counts)
    for name, value_Q in marks.items():
        frame[name] = (row_N >= 0) & value_Q[row_N] if len(value_Q) else np.zeros(len(frame), bool)
    return Facts(frame, missing, {str(q): i for i, q in enumerate(ids)}, _options(frame))


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
    """trained (a demonstration was), buffer (one still waits), doubt (at the last probe), by row of the cube."""
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
    """The cube of draw 0 of a run, or None where it has none or a file is damaged."""
    try:
        return cube_of(run) if run.probe_steps else None
    except ReliftError:
        return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _index_of(folder: str, run_id: str, n: int, _run: RunInfo) -> pd.Index:  # noqa: ARG001
    return pd.Index(questions_of(_run)["question_id"].astype(object))


def rows_of(run: RunInfo, ids: pd.Index) -> NDArray[np.int64]:
    """Row of each question_id in the run's cube, -1 where the run does not have it."""
    index = _index_of(str(run.folder), run.run_id, run.n_questions, run)
    if index is ids or (len(index) == len(ids) and index.equals(ids)):
        return np.arange(len(ids))
    return np.asarray(index.get_indexer(ids), np.int64)


def listed(choice: Choice, run: RunInfo, wanted: Filter) -> NDArray[np.int64]:
    """Rows of `facts` that the filter keeps, in its order. Not to be changed."""
    return _listed((choice.key, run.run_id, run.origin), wanted, choice, run)


@st.cache_resource(max_entries=64, show_spinner=False)
def _listed(key: tuple[Any, ...], wanted: Filter, _choice: Choice, _run: RunInfo) -> NDArray[np.int64]:  # noqa: ARG001
    frame = facts(_choice, _run).frame
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


def listed_ids(choice: Choice, run: RunInfo, wanted: Filter) -> tuple[list[str], dict[str, int]]:
    """question_ids of the list in its order, and the place of each. Not to be changed."""
    return _listed_ids((choice.key, run.run_id, run.origin), wanted, choice, run)


@st.cache_resource(max_entries=8, show_spinner=False)
def _listed_ids(
    key: tuple[Any, ...],  # noqa: ARG001
    wanted: Filter,
    _choice: Choice,
    _run: RunInfo,
) -> tuple[list[str], dict[str, int]]:
    rows = listed(_choice, _run, wanted)
    ids = [str(q) for q in facts(_choice, _run).frame["question_id"].iloc[rows]]
    return ids, {q: i for i, q in enumerate(ids)}


def listed_facts(choice: Choice, run: RunInfo, wanted: Filter) -> pd.DataFrame:
    """Rows of `facts` of the list in its order. Not to be changed."""
    return _listed_facts((choice.key, run.run_id, run.origin), wanted, choice, run)


@st.cache_resource(max_entries=4, show_spinner=False)
def _listed_facts(key: tuple[Any, ...], wanted: Filter, _choice: Choice, _run: RunInfo) -> pd.DataFrame:  # noqa: ARG001
    return facts(_choice, _run).frame.iloc[listed(_choice, _run, wanted)].drop(columns="row")


def heat_of(choice: Choice, run: RunInfo, wanted: Filter) -> Made:
    """Bars of the list's heat map, of the first SHOWN_RUNS runs with probes (of `heat_bars`). Not to be changed."""
    return _heat_of((choice.key, run.run_id, run.origin), wanted, choice, run)


@st.cache_resource(max_entries=16, show_spinner=False)
def _heat_of(key: tuple[Any, ...], wanted: Filter, _choice: Choice, _run: RunInfo) -> Made:  # noqa: ARG001
    ids = pd.Index(listed_ids(_choice, _run, wanted)[0], dtype=object)
    counts = {}
    for run in [run for run in _choice.runs if run.probe_steps][:SHOWN_RUNS]:
        found, row = counts_of(run), rows_of(run, ids)
        if found is None or not (row >= 0).any():
            continue
        known = (row >= 0)[:, None]
        counts[run.name] = (
            np.where(known, found.n_correct_QT[row], np.int16(0)),
            np.where(known, found.n_decided_QT[row], np.int16(0)),
            found.step_T,
        )
    return Made("question-heat", heat_bars(counts))


def _holding(frame: pd.DataFrame, text: str) -> NDArray[np.bool_]:
    """Rows whose problem, answer or id holds the text, letters of either case."""
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


def class_counts(choice: Choice) -> pd.DataFrame | Missing:
    """Classes of trajectories by run: found, and expected without learning (of `relift.analysis.count_classes`)."""
    from relift.analysis.report.catalogue import TABLES

    made = compute("classes", choice, TABLES["classes"].data)
    return made if isinstance(made, Missing) else made.frame
