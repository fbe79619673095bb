"""Show a few answers of an evaluation in full view: the problem, the end of the text, the gold, the verdict."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from relift.schema import Origin, Verdict
from relift.store import RunReader

PROBLEM_CHARACTERS, TEXT_CHARACTERS = 400, 1200
_COLUMNS = ("question_ix", "attempt", "verdict", "verdict_rule", "answer", "finish", "n_tokens", "response_id")
_ORDER = (Verdict.wrong, Verdict.correct, Verdict.undecided)


def sample_answers(folder: Path, n: int) -> str:
    """Write `n` answers of the evaluation in `folder` as text: wrong, correct and undecided ones in turn.

    A hash of question and attempt chooses among them, so the same run shows the same. Control characters and terminal
    commands in answers are written as escapes.
    """
    reader = RunReader(folder)
    questions = reader.read("questions", columns=["question_ix", "question_id", "problem", "answer", "source"])
    by_ix = {row["question_ix"]: row for row in questions.to_dict("records")}
    rows = _chosen(reader, by_ix, n)
    texts = _texts(reader, {row["response_id"] for row in rows})
    parts = [
        _shown(row, by_ix[row["question_ix"]], texts.get(row["response_id"]), number=i + 1, of=len(rows))
        for i, row in enumerate(rows)
    ]
    return "\n\n".join(parts)


def _chosen(reader: RunReader, questions: dict[Any, dict[Any, Any]], n: int) -> list[dict[Any, Any]]:
    best: dict[str, list[tuple[bytes, dict[Any, Any]]]] = {str(verdict): [] for verdict in _ORDER}
    for _, table in reader.iter_tables("attempts", columns=_COLUMNS, origin=str(Origin.benchmark)):
        for row in table.to_pandas().to_dict("records"):
            name = f"{questions[row['question_ix']]['question_id']}/{row['attempt']}"
            kept = best[str(row["verdict"])]
            kept.append((hashlib.blake2b(name.encode(), digest_size=8).digest(), row))
            if len(kept) > 4 * n + 16:
                kept.sort(key=lambda pair: pair[0])
                del kept[n:]
    ranked = [sorted(kept, key=lambda pair: pair[0])[:n] for kept in best.values()]
    in_turn = [kept[i][1] for i in range(n) for kept in ranked if i < len(kept)]
    return in_turn[:n]


def _texts(reader: RunReader, wanted: set[Any]) -> dict[Any, str]:
    found: dict[Any, str] = {}
    for _, table in reader.iter_tables("responses", columns=["response_id", "text"], origin=str(Origin.benchmark)):
        frame = table.to_pandas()
        frame = frame[frame["response_id"].isin(list(wanted))]
        found.update(zip(frame["response_id"], frame["text"], strict=True))
    return found


def _shown(row: dict[Any, Any], question: dict[Any, Any], text: str | None, *, number: int, of: int) -> str:
    ending = "" if row["finish"] == "stop" else f", {row['finish']}"
    read = f", read as {harmless(str(row['answer']))}" if isinstance(row["answer"], str) else ""
    which = f"{question['source']}, attempt {row['attempt']}"
    head = (
        f"--- answer {number} of {of}: {which}, {row['n_tokens']} tokens{ending}\n"
        f"--- gold {harmless(str(question['answer']))}{read}: {row['verdict']} ({row['verdict_rule']})"
    )
    problem = _cut(str(question["problem"]), PROBLEM_CHARACTERS)
    said = "(its text was not kept)" if text is None else _end(text, TEXT_CHARACTERS)
    return f"{head}\n{harmless(problem)}\n---\n{harmless(said)}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def _end(text: str, most: int) -> str:
    return text if len(text) <= most else f"... {text[-most:]}"


def harmless(text: str) -> str:
    """Write what a terminal would obey as escapes; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
