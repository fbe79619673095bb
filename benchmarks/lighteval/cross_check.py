r"""Grade the same recorded answers by us and by lighteval, and find the cause of every difference.

lighteval runs in an interpreter of its own (its pins exclude math-verify 0.9). It is given one response at a time,
thoughts already removed, as its tasks aime24 and math_500 would grade it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from relift.benchmarks.lighteval.peer import LightevalGrader, PeerGrade, PeerRow
from relift.errors import InputError
from relift.grading.extract import find_answer, without_thoughts
from relift.schema import Origin, Verdict
from relift.store import RunReader

COLUMNS = (
    "run_id", "draw", "step", "question_ix", "attempt", "question_id", "source",
    "verdict", "verdict_rule", "answer", "theirs", "agrees", "cause", "detail",
)  # fmt: skip


class Cause(StrEnum):
    """Name why the two verdicts on one answer differ, or cannot be compared."""

    undecided = "undecided"  # ours is undecided; theirs knows no such verdict and says wrong
    no_answer = "no_answer"  # we found no final answer and say wrong; they took some expression of the text for one
    reading = "reading"  # they read another part of the text: shown our reading alone, they say what we say
    comparison = "comparison"  # the same answer, held equal to the gold by one and not by the other
    gold = "gold"  # they read nothing in the gold
    error = "error"  # their grader raised, died or hung


EXPLANATIONS: dict[Cause, str] = {
    Cause.undecided: "we leave it undecided ({rule}); lighteval knows correct and wrong alone",
    Cause.no_answer: "we find no final answer ({rule}); lighteval takes the last expression it can read: {read}",
    Cause.reading: "we read {answer} ({rule}), lighteval reads {read}; shown our reading alone it agrees with us",
    Cause.comparison: "both read {answer}; {rule} decides with us, lighteval compares {read} with {gold}",
    Cause.gold: "lighteval reads no gold answer in {gold}",
    Cause.error: "{error}",
}


def cross_check(
    run_folder: Path,
    *,
    python: Path,
    origin: Origin = Origin.benchmark,
    on_progress: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return a row for each attempt of this origin whose text was kept: both verdicts and why they differ.

    `python`: the interpreter of an environment with lighteval (docs/lighteval.md). `theirs` is correct or wrong, null
    where they have no verdict; `agrees` is null where one of the two has none; `cause` (see Cause) and `detail` are
    null where both agree. `thinking` in the identity of the run says which tags hold thoughts, else the usual ones do.
    Raises InputError for a folder without such answers and for an interpreter without lighteval.
    """
    reader = RunReader(run_folder)
    attempts = _attempts_with_text(reader, origin)
    if attempts.empty:
        raise InputError(f"{run_folder}: no {origin} answers with their texts are kept there; nothing to cross-check")
    questions = reader.read("questions", columns=["question_id", "question_ix", "source", "answer", "answer_kind"])
    options = reader.read("questions", columns=["question_ix", "options"])
    n_options = {int(ix): _n_options(text) for ix, text in zip(options["question_ix"], options["options"], strict=True)}
    frame = attempts.merge(questions.rename(columns={"answer": "gold"}), on="question_ix", how="left")
    tags = reader.run.identity.get("thinking")
    rows = [
        peer_row(
            gold=row["gold"],
            kind=row["answer_kind"],
            text=final_text(row["text"], rule=row["verdict_rule"], tags=tags),
            n_options=n_options[row["question_ix"]],
        )
        for row in frame.to_dict("records")
    ]
    grader = LightevalGrader(python)
    on_progress(f"lighteval grades {len(set(rows))} different answers of {len(rows)}")
    grades = grader.grade(rows)
    explained = explain(frame, rows, grades, grader)
    on_progress(summary(explained, grader.versions))
    return explained[list(COLUMNS)]


def peer_row(*, gold: str, kind: str, text: str, n_options: int = 0) -> PeerRow:
    r"""Put an answer as lighteval's tasks do.

    The gold of AIME is a bare integer, that of MATH-500 is read out of a box in the worked solution, so other golds are
    given as `$\boxed{gold}$`; bare LaTeX it does not read (68 of the 500 golds of MATH-500). Golds with dollars of
    their own (not `\$`) are given as they are.
    """
    if kind == "choice":
        return PeerRow("choice", gold, text, n_options)
    bare = re.fullmatch(r"-?\d+(?:\.\d+)?", gold.strip()) or re.search(r"(?<!\\)\$", gold)
    return PeerRow("math", gold if bare else rf"$\boxed{{{gold}}}$", text)


def final_text(text: str, *, rule: str, tags: Sequence[Sequence[str]] | None) -> str:
    """Return the response without its thoughts; empty when they were never closed."""
    if rule == "none.unclosed_thought":
        return ""
    pairs = [(opening, closing) for opening, closing in tags] if tags else None
    rest = without_thoughts(text) if pairs is None else without_thoughts(text, tags=pairs)
    return rest or ""


def explain(
    frame: pd.DataFrame, rows: Sequence[PeerRow], grades: Sequence[PeerGrade], grader: LightevalGrader
) -> pd.DataFrame:
    """Add `theirs`, `agrees`, `cause` and `detail` to the frame.

    Where both read an answer and differ, lighteval is asked again with our reading alone: that tells a difference of
    reading from one of comparison.
    """
    rules, answers = frame["verdict_rule"].tolist(), frame["answer"].tolist()
    ours, theirs = frame["verdict"].tolist(), [_verdict(grade) for grade in grades]
    agrees: list[bool | None] = [
        None if theirs[i] is None or ours[i] == Verdict.undecided else ours[i] == theirs[i] for i in range(len(frame))
    ]
    causes = [
        None if same else _first_cause(verdict, rule, grade)
        for same, verdict, rule, grade in zip(agrees, ours, rules, grades, strict=True)
    ]
    open_ = [i for i, (cause, same) in enumerate(zip(causes, agrees, strict=True)) if cause is None and not same]
    again = grader.grade([_alone(rows[i], letter=answers[i]) for i in open_])
    for i, grade in zip(open_, again, strict=True):
        causes[i] = Cause.reading if _verdict(grade) == ours[i] else Cause.comparison
    details = [
        None if cause is None else _detail(cause, rules[i], answers[i], rows[i], grades[i])
        for i, cause in enumerate(causes)
    ]
    columns: dict[str, Any] = {"theirs": theirs, "agrees": agrees, "cause": causes, "detail": details}
    series = {name: pd.Series(values, index=frame.index, dtype=object) for name, values in columns.items()}
    return frame.assign(**series)


def _first_cause(verdict: str, rule: str, grade: PeerGrade) -> Cause | None:
    """Find the cause where it needs no second look."""
    if grade.score is None:
        return Cause.error
    if verdict == Verdict.undecided:
        return Cause.undecided
    if not grade.golds:
        return Cause.gold
    return Cause.no_answer if rule.startswith("none.") else None


def _alone(row: PeerRow, *, letter: str) -> PeerRow:
    """Put the same question with our reading as the whole answer: the letter, or else the text as it stands there.

    attempts.answer may hold it in another spelling.
    """
    text = f"Answer: {letter}" if row.kind == "choice" else rf"$\boxed{{{find_answer(row.text).content}}}$"
    return PeerRow(row.kind, row.gold, text, row.n_options)


def _detail(cause: Cause, rule: str, answer: str | None, row: PeerRow, grade: PeerGrade) -> str:
    return EXPLANATIONS[cause].format(
        rule=rule,
        answer=answer,
        read=" or ".join(dict.fromkeys(grade.answers)) or "nothing",
        gold=" or ".join(dict.fromkeys(grade.golds)) or row.gold,
        error=grade.error,
    )


def summary(checked: pd.DataFrame, versions: dict[str, str]) -> str:
    """Write one line: how many agree, and the causes of the rest."""
    n_same = sum(same is True for same in checked["agrees"])
    causes = checked["cause"].dropna().value_counts()
    rest = ", ".join(f"{cause} {n}" for cause, n in causes.items()) or "none"
    by = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return f"{n_same} of {len(checked)} verdicts are lighteval's; the others by cause: {rest} ({by})"


def _verdict(grade: PeerGrade) -> str | None:
    return None if grade.score is None else str(Verdict.correct if grade.score else Verdict.wrong)


def _n_options(text: str | None) -> int:
    return len(json.loads(text)) if isinstance(text, str) else 0


def _attempts_with_text(reader: RunReader, origin: Origin) -> pd.DataFrame:
    """Read the attempts of the origin whose texts were kept, with `text`."""
    key = ["draw", "step", "question_ix", "attempt"]
    columns = ["run_id", *key, "verdict", "verdict_rule", "answer", "response_id"]
    attempts = reader.read("attempts", columns=columns, origin=str(origin))
    texts = reader.read("responses", columns=[*key, "text"], origin=str(origin))
    merged: Any = attempts.merge(texts, on=key, how="inner", validate="one_to_one")
    return merged.astype({"verdict": str, "verdict_rule": str})
