"""Turn a question into a row of the data set that lighteval loads, and into fields that a document carries along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from relift.schema import Question

TEXTS = ("question_id", "problem", "answer", "answer_kind", "source", "split")


def question_row_of(question: Question) -> dict[str, Any]:
    """Make the row, of texts alone: `datasets` gives every column one type, so options are JSON."""
    return {**{name: getattr(question, name) for name in TEXTS}, "options": json.dumps(question.options)}


def doc_fields(question: Question) -> dict[str, Any]:
    """Make the fields for `Doc.specific`, from where they come into lighteval's details."""
    return question_row_of(question)


def question_of(row: Mapping[str, Any]) -> Question:
    """Read the question of such a row. Raises KeyError if it is none."""
    texts = {name: str(row[name]) for name in TEXTS}
    return Question(**texts, options=tuple(json.loads(row["options"])))
