"""Run `relift export-questions`: questions of a run, chosen by what became of them, as a file for any trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.classes import CLASSES
from relift.analysis.questions.reach import REACH, base_reach
from relift.analysis.report.loaded import Loaded, load
from relift.analysis.runs.read import read_trajectories
from relift.data.question_writer import question_writer
from relift.errors import InputError
from relift.schema import Origin
from relift.store import RunReader
from relift.store.folder import refuse_run_file
from relift.store.rows import options_of
from relift.suggest import hint

ORIGINS = (Origin.probe, Origin.benchmark, Origin.rollout)  # the first of which there are attempts is looked at

# What became of a question, from its counts: n_correct, n_decided, n_undecided at its last step.
OUTCOMES: dict[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]] = {
    "all wrong": ("every attempt was decided, and wrong", lambda c: (c.n_correct == 0) & (c.n_undecided == 0)),
    "solved": ("at least one attempt was correct", lambda c: c.n_correct > 0),
    "all correct": ("every attempt was correct", lambda c: (c.n_correct == c.n_attempts) & (c.n_attempts > 0)),
    "undecided": ("at least one attempt could not be judged", lambda c: c.n_undecided > 0),
}
LABELS: dict[str, tuple[tuple[str, ...], Callable[[Loaded], pd.DataFrame]]] = {
    "class": (CLASSES, lambda loaded: loaded.classified),
    "band": (BANDS, lambda loaded: loaded.bands),
    "reach": (REACH, base_reach),
}
WORDS = {word.casefold(): word for word in (*OUTCOMES, *(w for words, _ in LABELS.values() for w in words))}


@dataclass(frozen=True)
class Exported:
    """Count what was written: questions, of how many; worked solutions; the step and origin of the counts."""

    questions: int
    of: int
    demonstrations: int
    origin: str
    steps: tuple[int, int]


def export_questions(
    run: Path,
    out: Path,
    *,
    select: Sequence[str],
    ids: Sequence[str] = (),
    step: int | None = None,
    origin: str | None = None,
    layout: str = "relift",
) -> Exported:
    """Write the questions of a run that every entry of `select` is true of, with the run's worked solutions.

    An entry is a word, or words with commas between of which one must be true. `ids`: question_ids, or the beginnings
    of some. `step`: of the counts; None: the last at which the question was asked.
    Raises InputError for a word that is none, a run without what a word needs, and where no question is left.
    """
    refuse_run_file(out)
    wanted = [_words(entry) for entry in select]
    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}{hint(layout, LAYOUTS)}; known: {', '.join(LAYOUTS)}")
    reader = RunReader(run)
    questions = reader.read("questions").astype(object)
    questions = questions.where(questions.notna(), None).set_index("question_id")
    found = _origin(reader, origin)
    counts = _counts(run, found, step)
    chosen = counts.index
    for words in wanted:
        chosen = chosen.intersection(_true_of(words, counts, run), sort=False)
    if ids:
        chosen = _with_ids(chosen, questions.index, ids)
    if not len(chosen):
        said = ", ".join(repr(entry) for entry in (*select, *ids)) or "anything"
        raise InputError(f"{run}: {said} is true of none of its {len(counts)} questions at {found}s")
    order = questions.loc[chosen].sort_values("question_ix").index
    texts = _demonstrations(reader)
    with question_writer(out, schema=LAYOUTS[layout].schema) as writer:
        for question_id in order:
            question = questions.loc[question_id].to_dict() | {"question_id": question_id}
            own = texts.get(question["question_ix"], [])
            writer.write(LAYOUTS[layout].row(question, own, counts.loc[question_id]))
        writer.finish()
    n_texts = sum(len(texts.get(ix, ())) for ix in questions.loc[order, "question_ix"])
    steps = (int(counts["step"].min()), int(counts["step"].max()))
    return Exported(len(order), len(counts), n_texts, found, steps)


def _words(entry: str) -> list[str]:
    """Read the words of an entry of --select. Raises InputError with the nearest known word."""
    words = [part.strip().casefold() for part in entry.split(",") if part.strip()]
    for word in words:
        if word not in WORDS:
            raise InputError(f"--select: no word {word!r}{hint(word, WORDS)}; known: {', '.join(WORDS)}")
    if not words:
        raise InputError(f"--select: a word is needed: {', '.join(WORDS)}")
    return [WORDS[word] for word in words]


def _origin(reader: RunReader, asked: str | None) -> str:
    """Choose the attempts that are looked at. Raises InputError where there are none."""
    there = [str(origin) for origin in ORIGINS if reader.files("attempts", origin=str(origin))]
    if asked is not None and asked not in there:
        raise InputError(f"{reader.folder}: holds no {asked} attempts; there are {', '.join(there) or 'none'}")
    if not there:
        raise InputError(f"{reader.folder}: holds no attempts yet, so nothing is known of its questions")
    return asked or there[0]


def _counts(run: Path, origin: str, step: int | None) -> pd.DataFrame:
    """Count each question's attempts at this step, or at the last at which it was asked; all draws together.

    Indexed by question_id: step, n_attempts, n_correct, n_undecided.
    """
    rows = read_trajectories(run, origin=origin, steps=None if step is None else [step])
    rows = rows.astype({"question_id": object})
    last = rows.groupby("question_id")["step"].transform("max")
    sums = ["n_attempts", "n_correct", "n_undecided"]
    kept = rows[rows["step"] == last].groupby("question_id", sort=False)
    return kept.agg({"step": "max", **dict.fromkeys(sums, "sum")})


def _true_of(words: Sequence[str], counts: pd.DataFrame, run: Path) -> pd.Index:
    """Find the questions of which one of the words is true."""
    found: list[object] = []
    loaded: Loaded | None = None
    for word in words:
        if word in OUTCOMES:
            found += counts.index[OUTCOMES[word][1](counts)].tolist()
            continue
        loaded = loaded or load([run])
        column, (_, read) = next((name, entry) for name, entry in LABELS.items() if word in entry[0])
        frame = read(loaded)
        labels = frame[column].astype(object)
        found += frame.loc[(labels == word).to_numpy(), "question_id"].astype(object).tolist()
    return pd.Index(dict.fromkeys(found), dtype=object)


def _with_ids(chosen: pd.Index, every: pd.Index, ids: Sequence[str]) -> pd.Index:
    """Keep the questions whose id begins with one of these. Raises InputError for one that the run does not have."""
    for question_id in ids:
        if not any(str(each).startswith(question_id) for each in every):
            raise InputError(f"--id {question_id}: the run has no such question; ids are those of questions.parquet")
    return pd.Index([q for q in chosen if any(str(q).startswith(each) for each in ids)], dtype=object)


def _demonstrations(reader: RunReader) -> dict[int, list[str]]:
    """List the worked solutions that may be trained on, by question_ix."""
    rows = reader.read("demonstrations", columns=["question_ix", "text", "accepted"])
    texts: dict[int, list[str]] = {}
    for ix, text, accepted in rows.itertuples(index=False):
        if accepted:
            texts.setdefault(int(ix), []).append(text)
    return texts


# ---- the rows of each trainer --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowLayout:
    """Make rows as a trainer reads them. `schema`: of the Parquet file."""

    schema: pa.Schema
    row: Callable[[Mapping[str, Any], Sequence[str], pd.Series], dict[str, Any]]


def _ours(question: Mapping[str, Any], texts: Sequence[str], counts: pd.Series) -> dict[str, Any]:
    options = list(options_of(question["options"], where="questions.parquet")) or None
    return {
        **{name: question[name] for name in _NAMES},
        "options": options,
        "demonstration": list(texts) or None,
        "question_id": question["question_id"],
        **{name: int(counts[name]) for name in ("step", "n_attempts", "n_correct", "n_undecided")},
    }


def _verl(question: Mapping[str, Any], texts: Sequence[str], counts: pd.Series) -> dict[str, Any]:
    return {
        "data_source": question["source"] or "relift",
        "prompt": [{"role": "user", "content": question["problem"]}],
        "ability": question["subject"] or "math",
        "reward_model": {"style": "rule", "ground_truth": question["answer"]},
        "extra_info": {
            "split": question["split"], "question": question["problem"], "question_id": question["question_id"],
            "n_attempts": int(counts["n_attempts"]), "n_correct": int(counts["n_correct"]),
        },
        "target": [{"role": "assistant", "content": texts[0]}] if texts else None,
    }  # fmt: skip


def _trl(question: Mapping[str, Any], texts: Sequence[str], counts: pd.Series) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": question["problem"]}],
        "solution": question["answer"],
        "completion": [{"role": "assistant", "content": texts[0]}] if texts else None,
        "question_id": question["question_id"],
        "n_attempts": int(counts["n_attempts"]),
        "n_correct": int(counts["n_correct"]),
    }


_TEXT, _COUNT, _TEXTS = pa.string(), pa.int64(), pa.list_(pa.string())
_TURNS = pa.list_(pa.struct({"role": _TEXT, "content": _TEXT}))
_NAMES = ("problem", "answer", "answer_kind", "source", "split", "subject", "level")
_COUNTS = ("n_attempts", "n_correct")
LAYOUTS: dict[str, RowLayout] = {
    "relift": RowLayout(
        pa.schema(
            {
                **dict.fromkeys(_NAMES, _TEXT), "options": _TEXTS, "demonstration": _TEXTS, "question_id": _TEXT,
                **dict.fromkeys(("step", *_COUNTS, "n_undecided"), _COUNT),
            }
        ),
        _ours,
    ),
    "verl": RowLayout(
        pa.schema(
            {
                "data_source": _TEXT, "prompt": _TURNS, "ability": _TEXT,
                "reward_model": pa.struct({"style": _TEXT, "ground_truth": _TEXT}),
                "extra_info": pa.struct(
                    {**dict.fromkeys(("split", "question", "question_id"), _TEXT), **dict.fromkeys(_COUNTS, _COUNT)}
                ),
                "target": _TURNS,
            }
        ),
        _verl,
    ),
    "trl": RowLayout(
        pa.schema(
            {
                "prompt": _TURNS, "solution": _TEXT, "completion": _TURNS, "question_id": _TEXT,
                **dict.fromkeys(_COUNTS, _COUNT),
            }
        ),
        _trl,
    ),
}  # fmt: skip
