"""Choose questions that changed, with an answer from before and one from after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relift.analysis.runs.read import label_of, open_runs, read_attempts, read_questions, read_responses
from relift.analysis.scores.paired import Comparison
from relift.analysis.scores.table import is_macro
from relift.errors import InputError
from relift.schema import Origin, Verdict

_KEYS = ["draw", "step", "question_id", "attempt"]


@dataclass(frozen=True)
class Answer:
    """Hold one answer. `text` None: it was not kept; `final`: the answer that was graded, None if there was none."""

    where: str  # "rl, step 72"
    n_correct: int  # of this probe's attempts at the question
    n_decided: int
    verdict: str | None  # None: no attempt with the verdict that the example is about
    text: str | None
    final: str | None


@dataclass(frozen=True)
class Example:
    """Hold a question with an answer before and after, one of `found` of its kind, `expected` without learning."""

    run_id: str
    change: str  # gained, lost
    found: int
    expected: float | None
    question_id: str
    problem: str
    gold: str
    before: Answer
    after: Answer


def examples_of_run(
    folder: Path, classified: pd.DataFrame, *, origin: str, each: int, expected: pd.Series | None = None
) -> list[Example]:
    """Choose the `each` surest gained and lost questions of a run (of `classify_trajectories`, its rows alone).

    Before is the run's step 0, after its last probed step; draw 0. Of gained questions the first wrong answer and the
    first right one are shown, of lost ones the other way round. `expected`: by class, of `count_classes`.
    """
    chosen = {
        change: classified[classified["class"] == change]
        .sort_values(["p_gain", "question_id"], ascending=[change == "lost", True], kind="stable")["question_id"]
        .head(each)
        .tolist()
        for change in ("gained", "lost")
    }
    wanted = [str(q) for ids in chosen.values() for q in ids]
    if not wanted:
        return []
    (reader,) = open_runs([folder])
    label = label_of(reader)
    last = max(reader.steps("attempts", origin=origin))
    questions = read_questions(folder).set_index("question_id")
    tables = {step: _attempts(folder, origin, step, wanted) for step in (0, last)}
    found = []
    for change, ids in chosen.items():
        verdicts = (Verdict.wrong, Verdict.correct) if change == "gained" else (Verdict.correct, Verdict.wrong)
        for question in map(str, ids):
            before, after = (
                _answer(tables[step], question, str(verdict), f"{label}, step {step}")
                for step, verdict in zip((0, last), verdicts, strict=True)
            )
            row = questions.loc[question]
            n, chance = (
                int((classified["class"] == change).sum()),
                None if expected is None else float(expected[change]),
            )
            texts = (str(row["problem"]), str(row["answer"]))
            found.append(Example(reader.run_id, change, n, chance, question, *texts, before, after))
    return found


def examples_of_comparison(
    comparison: Comparison, folders: tuple[Path, Path], *, each: int, step: int = 0
) -> list[Example]:
    """Choose the surest flips of run a (gained: it alone solves the question) against run b, `folders` of both."""
    flipped = comparison.flipped
    (reader,) = open_runs([folders[0]])
    found = []
    for change, side in (("gained", "a"), ("lost", "b")):
        ids = [str(q) for q in flipped.loc[flipped["solved_by"] == side, "question_id"].head(each)]
        if not ids:
            continue
        benchmarks = comparison.frame[~comparison.frame["benchmark"].map(is_macro)]
        expected = float(benchmarks[f"expected_only_{side}"].sum())
        questions = read_questions(folders[0]).set_index("question_id")
        table_a, table_b = (_attempts(folder, Origin.benchmark, step, ids) for folder in folders)
        verdicts = (Verdict.wrong, Verdict.correct) if change == "gained" else (Verdict.correct, Verdict.wrong)
        for question in ids:
            before = _answer(table_b, question, str(verdicts[0]), comparison.b)
            after = _answer(table_a, question, str(verdicts[1]), comparison.a)
            row = questions.loc[question]
            n, texts = int((flipped["solved_by"] == side).sum()), (str(row["problem"]), str(row["answer"]))
            found.append(Example(reader.run_id, change, n, expected, question, *texts, before, after))
    return found


def _attempts(folder: Path, origin: str, step: int, questions: Sequence[str]) -> pd.DataFrame:
    """Read attempts of draw 0 with their texts, null where none was kept."""
    try:
        attempts = read_attempts(
            folder, origin=origin, steps=[step], questions=questions, columns=["verdict", "answer"]
        )
    except InputError:
        return pd.DataFrame(columns=[*_KEYS, "verdict", "answer", "text"])
    texts = read_responses(folder, step=step, questions=questions, origin=origin)
    attempts, texts = (frame.astype({"question_id": object}) for frame in (attempts, texts))
    both = attempts.merge(texts[[*_KEYS, "text"]], on=_KEYS, how="left")
    return both[both["draw"] == 0].sort_values("attempt", kind="stable")


def _answer(attempts: pd.DataFrame, question: str, verdict: str, where: str) -> Answer:
    rows = attempts[attempts["question_id"] == question]
    verdicts = rows["verdict"].astype(str)
    n_correct, n_decided = int((verdicts == Verdict.correct).sum()), int((verdicts != Verdict.undecided).sum())
    fitting = rows[verdicts == verdict]
    if fitting.empty:
        return Answer(where, n_correct, n_decided, None, None, None)
    kept = fitting[fitting["text"].notna()]
    row = (kept if len(kept) else fitting).iloc[0]
    text, final = (None if pd.isna(row[name]) else str(row[name]) for name in ("text", "answer"))
    return Answer(where, n_correct, n_decided, verdict, text, final)
