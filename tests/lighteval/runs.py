"""A run folder of given answers, graded by us."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from relift.grading import Grader, Submission
from relift.run_record import RunRecord
from relift.schema import Finish, Question, RunKind, RunStatus, Verdict, question_id_of
from relift.store import RunWriter, split_responses
from relift.store.rows import question_row


def question(problem: str, gold: str, *, kind: str = "math", source: str = "test") -> Question:
    return Question(question_id_of(problem), problem, gold, kind, source=source, split=source)


def write_run(folder: Path, questions: Sequence[Question], answers: Sequence[tuple[int, str, Finish]]) -> Path:
    """`answers`: (question_ix, text, why it ended); attempts are numbered in the order given."""
    with Grader() as grader:
        judged = grader.judge(
            [
                Submission(questions[ix].answer, text, finish, kind=questions[ix].answer_kind)
                for ix, text, finish in answers
            ]
        )
    rows, seen = [], [0] * len(questions)
    for (ix, text, finish), judgement in zip(answers, judged, strict=True):
        decided = judgement.verdict is not Verdict.undecided
        rows.append(
            {
                "question_ix": ix, "attempt": seen[ix], "verdict": str(judgement.verdict),
                "verdict_rule": judgement.rule, "finish": str(finish), "n_tokens": 1 + len(text),
                "reward": float(judgement.verdict is Verdict.correct) if decided else None,
                "answer": judgement.answer, "policy_version": 0, "decoding_id": "benchmark", "seed": 0, "text": text,
            }
        )  # fmt: skip
        seen[ix] += 1
    frame = pd.DataFrame(rows)
    for name in ("reward", "answer"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    with RunWriter(folder) as writer:
        writer.start(
            RunRecord(run_id="given", kind=RunKind.eval, status=RunStatus.done),
            config_toml="",
            questions=pd.DataFrame([question_row(q, ix, prompt_tokens=1) for ix, q in enumerate(questions)]),
            demonstrations=None,
        )
        attempts, responses = split_responses(frame)
        writer.write("responses", responses, step=0, origin="benchmark", part=0)
        writer.write("attempts", attempts, step=0, origin="benchmark", part=0)
        writer.commit(0, suffix=".benchmark-d0-p0000")
    return folder
