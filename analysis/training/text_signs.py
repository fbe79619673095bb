"""Describe the texts of answers by signs that are worth a look: repetition, change of script, echo, bare format."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import pandas as pd

# Whisper calls a text failed from this ratio on (openai/whisper, transcribe.py, compression_ratio_threshold). Short
# texts stay below it: sort by the ratio to find their loops.
REPETITIVE = 2.4
LEAST_LETTERS = 3  # of another script: one letter may be a symbol
LEAST_ECHO = 8  # characters of a problem without blanks: shorter ones stand in an answer by chance
LEAST_WORK = 8  # characters beside the final answer
SIGNS = {
    "repetitive": f"compresses to less than a {REPETITIVE:g}th of its length",
    "other script": f"holds {LEAST_LETTERS} or more letters of a script that the problem does not hold",
    "echoes the problem": "holds the whole problem, blanks aside",
    "only the format": f"holds a final answer and fewer than {LEAST_WORK} other characters",
}
_BOX = re.compile(r"\\boxed\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_TAG = re.compile(r"</?(?:think|answer)>|final answer|answer", re.IGNORECASE)
_SYMBOLS = {"GREEK", "MATHEMATICAL", "MODIFIER", "MICRO", "OHM", "DOUBLE-STRUCK", "SCRIPT", "FULLWIDTH", "FEMININE"}


def text_signs(texts: Sequence[str | None], problems: Sequence[str]) -> pd.DataFrame:
    """Describe each text, a row each: compression, and a column per name of SIGNS; null where there is no text.

    compression: bytes of the text by those of its raw deflate stream (level 6). Symbols of mathematics and Greek
    letters are no other script.
    """
    rows = [None if text is None else _signs(text, problem) for text, problem in zip(texts, problems, strict=True)]
    names = ["compression", *SIGNS]
    columns = {
        name: pd.Series([None if row is None else row[i] for row in rows], dtype="float64" if i == 0 else object)
        for i, name in enumerate(names)
    }
    return pd.DataFrame(columns)


def _signs(text: str, problem: str) -> tuple[float, bool, bool, bool, bool]:
    ratio = compression(text)
    squeezed = "".join(problem.split())
    echoes = len(squeezed) >= LEAST_ECHO and squeezed in "".join(text.split())
    beside = "".join(_TAG.sub("", _BOX.sub("", text)).split())
    bare = "\\boxed" in text and len(beside) < LEAST_WORK
    return ratio, ratio >= REPETITIVE, _changes_script(text, problem), echoes, bare


def compression(text: str) -> float:
    """Divide the bytes of a text by those it compresses to; 1 of an empty text."""
    data = text.encode(errors="surrogatepass")
    return len(data) / len(zlib.compress(data, 6, -15)) if data else 1.0


def _changes_script(text: str, problem: str) -> bool:
    if text.isascii():
        return False  # the usual case
    counts = Counter(script for c in text if c.isalpha() and (script := _script(c)) is not None)
    known = {_script(c) for c in problem if c.isalpha()} | {"LATIN"}
    return any(n >= LEAST_LETTERS for script, n in counts.items() if script not in known)


@lru_cache(maxsize=4096)
def _script(letter: str) -> str | None:
    """Name the script of a letter as its Unicode name begins; None of symbols."""
    name = unicodedata.name(letter, "").split(" ")[0]
    return None if not name or name in _SYMBOLS else name


def frequent_wrong(attempts: pd.DataFrame, *, most: int = 200) -> pd.DataFrame:
    """Count wrong answers that several attempts at a question share, the most frequent first.

    One row per question and answer that two or more wrong attempts gave: question_id, answer, count, n_wrong (wrong
    attempts at the question), n_attempts. `attempts`: question_id, verdict, answer, of any number of runs and steps.
    """
    verdict = attempts["verdict"].astype(str)
    wrong = attempts[((verdict == "wrong") & attempts["answer"].notna()).to_numpy()]
    counts = wrong.groupby(["question_id", "answer"], observed=True, sort=False).size().rename("count").reset_index()
    counts = counts[counts["count"] > 1].sort_values("count", ascending=False, kind="stable").head(most)
    of_question = attempts["question_id"].astype(object)
    sizes = {
        "n_wrong": of_question[(verdict == "wrong").to_numpy()].value_counts(),
        "n_attempts": of_question.value_counts(),
    }
    for name, size in sizes.items():
        counts[name] = counts["question_id"].map(size).astype("int64")
    return counts.reset_index(drop=True)
