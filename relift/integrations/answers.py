"""Read what trainers hand over: prompts and completions as texts or messages, rewards as verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from relift.errors import InputError
from relift.grading.exact import normalise_answer
from relift.grading.extract import find_answer
from relift.schema import Finish, Verdict

UNKNOWN_SEED = -1  # seeds are 0 or more
GOLD_COLUMNS = ("answer", "solution", "ground_truth", "gold", "target", "label")
ENDING = 4_000  # characters at the end of an answer in which its final answer is looked for: 0.1 ms


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer to one question, as another trainer made and judged it.

    `reward`: what training saw; `rewards`: of each function by its name, where there were several. `used`: it enters
    an optimizer step; None: not known.
    """

    problem: str
    gold: str
    text: str
    n_tokens: int
    truncated: bool
    verdict: Verdict
    rule: str
    final: str | None = None
    reward: float | None = None
    rewards: Mapping[str, float | None] | None = None
    used: bool | None = None
    seed: int = UNKNOWN_SEED
    sum_logprob: float | None = None
    mean_entropy: float | None = None

    @property
    def finish(self) -> Finish:
        """Say why the answer ended."""
        return Finish.length if self.truncated else Finish.stop


def to_json(answers: Sequence[Answered]) -> str:
    """Write answers as JSON, for another process."""
    return json.dumps([asdict(one) for one in answers])


def from_json(values: Sequence[Mapping[str, Any]]) -> list[Answered]:
    """Read what `to_json` wrote."""
    return [Answered(**{**one, "verdict": Verdict(one["verdict"])}) for one in values]


def verdict_of(reward: float | None, *, threshold: float) -> Verdict:
    """Take a reward for a verdict: correct from the threshold on; without one, undecided."""
    if reward is None:
        return Verdict.undecided
    return Verdict.correct if reward >= threshold else Verdict.wrong


def plain_rewards(rewards: Iterable[Any]) -> list[float | None]:
    """Read rewards of any number type (of torch and numpy too); None and NaN are "not judged"."""
    found = [None if reward is None else float(reward) for reward in rewards]
    return [None if reward is None or math.isnan(reward) else reward for reward in found]


def final_answer(text: str, *, truncated: bool) -> str | None:
    """Find the final answer near the end of a text; None where there is none."""
    found = find_answer(text[-ENDING:], finish=Finish.length if truncated else Finish.stop).content
    return None if found is None else normalise_answer(found)


def problem_of(prompt: Any) -> str:
    """Find the question in a prompt: the text itself, or of messages what the user says.

    A system message is no part of the question. Of several turns all others are, each with its role. InputError for
    what is neither a text nor messages.
    """
    if isinstance(prompt, str):
        return prompt
    turns = [turn for turn in _messages(prompt) if turn[0] != "system"]
    if len(turns) == 1:
        return turns[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in turns)


def text_of(completion: Any) -> str:
    """Find the answer in a completion: the text itself, or of messages all that was said, one below the other.

    InputError for what is neither a text nor messages.
    """
    if isinstance(completion, str):
        return completion
    return "\n\n".join(text for _, text in _messages(completion))


def _messages(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, Sequence) or not all(isinstance(one, Mapping) for one in value):
        raise InputError(f"a prompt or completion is a {type(value).__name__}, neither a text nor a list of messages")
    return [(str(one.get("role", "")), _content(one.get("content"))) for one in value]


def _content(content: Any) -> str:
    """Read the text of a message; parts that are no text (images) are left out."""
    if content is None:  # a message that only calls a tool
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    raise InputError(f"the content of a message is a {type(content).__name__}, neither a text nor a list of parts")


def gold_column(columns: Iterable[str], named: str | None) -> str | None:
    """Choose the column with the gold answers: the one named, else the first that is called so; None without one.

    InputError if the one named is not there.
    """
    there = list(columns)
    if named is not None and named not in there:
        raise InputError(f"gold = {named!r}: the data has no such column; it has {', '.join(sorted(there)) or 'none'}")
    return named or next((name for name in GOLD_COLUMNS if name in there), None)


def plain_gold(value: Any) -> str:
    """Read a gold answer as text; "" where there is none."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
        value = value[0]
    return "" if value is None else str(value)
