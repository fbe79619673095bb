"""Read answers as OpenAI's protocol writes them, a row each: chats, stored responses, the Batch API's output.

A row has the turns in `messages`, `body.messages` or `request.messages`, and the answer in `choices`,
`response.choices`, `response.body.choices`, or as a last turn of the assistant. The Batch API writes answers without
the questions: these are in the file of requests, joined by `custom_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relift.data.files import cell
from relift.data.layouts import single
from relift.data.prompt_texts import last_turn, text_of
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.importers.files import read_each
from relift.schema import Finish, Origin, RunKind

TURNS = ("messages", "body.messages", "request.messages", "request.body.messages")
CHOICES = ("choices", "response.choices", "response.body.choices")
GOLDS = ("answer", "gold", "ground_truth", "target", "solution", "metadata.answer", "metadata.gold")
USAGES = ("usage", "response.usage", "response.body.usage")
MODELS = ("model", "body.model", "request.model", "response.model", "response.body.model")
ENDED = {"stop": Finish.stop, "length": Finish.length, "tool_calls": Finish.stop}


class ChatJsonl:
    """Reads one .jsonl or .parquet file of answers; `options.second`: the file of requests."""

    def __init__(self, source: Path, options: Options) -> None:
        self._source, self._options = source, options
        self._requests: dict[str, Mapping[str, Any]] = {}
        if options.second is not None:
            for row in read_each(options.second, lambda row: row):
                self._requests[str(row["custom_id"])] = row
        self._model: str | None = None
        self._failed = 0

    def about(self) -> About:
        """Name the model that the rows name."""
        failed = (f"an answer in {self._failed:,} rows, which tell an error",) if self._failed else ()
        return About(project="openai-jsonl", kind=RunKind.eval, model=self._model, lacks=failed)

    def batches(self) -> Iterator[Batch]:
        """Give the answers of the file; rows of one question are attempts at it."""
        self._failed = 0
        answers = [answer for found in read_each(self._source, self._answers) for answer in found]
        yield Batch(0, Origin.benchmark, answers, self._source.stem)

    def _answers(self, row: Mapping[str, Any]) -> list[ImportedAnswer]:
        asked = self._requests.get(str(row.get("custom_id")), row)
        turns = _first(asked, TURNS)
        if turns is None:
            more = "; the Batch API's output needs --requests FILE" if "custom_id" in row else ""
            raise ValueError(f"no messages{more}")
        choices = _first(row, CHOICES)
        if choices is None and self._is_failure(row, turns):
            self._failed += 1
            return []
        problem = last_turn(turns, "user")
        if problem is None:
            raise ValueError("messages hold no turn of a user")
        model = _first(row, MODELS) or _first(asked, MODELS)
        self._model = model if isinstance(model, str) else self._model
        gold = single(_first(row, GOLDS)) or single(_first(asked, GOLDS))
        question = self._options.question(problem, gold, source="openai-jsonl", split=self._source.stem)
        usage = _first(row, USAGES) or {}
        score = self._options.verdict_of(row.get(self._options.reward)) if self._options.reward else None
        if choices is None:
            text = last_turn(turns, "assistant")
            return [ImportedAnswer(question=question, text=text or "", score_is=score)]
        one = len(choices) == 1
        return [
            ImportedAnswer(
                question=question,
                text=text_of(choice["message"].get("content")) or "",  # null: the server gave no text
                finish=ENDED.get(choice.get("finish_reason") or "", Finish.unknown),
                score_is=score,
                n_tokens=usage.get("completion_tokens") if one else None,  # the sum over all choices
                prompt_tokens=usage.get("prompt_tokens"),
            )
            for choice in choices
        ]

    @staticmethod
    def _is_failure(row: Mapping[str, Any], turns: Sequence[Any]) -> bool:
        if row.get("error") or (cell(row, "response.status_code") or 200) >= 400:
            return True
        last = turns[-1] if turns else {}
        if not isinstance(last, Mapping) or last.get("role") != "assistant":
            raise ValueError("no choices, and the last turn is not the assistant's: there is no answer")
        return False


def _first(row: Mapping[str, Any], paths: Sequence[str]) -> Any:
    """Find the value of the first path that leads to one."""
    return next((value for path in paths if (value := cell(row, path)) is not None), None)
