"""Read the questions of a probe, put them to a model, and judge the answers as training does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.data.questions import read_questions
from relift.errors import InputError
from relift.grading import Grader, Submission
from relift.grading.gold_check import kind_of_golds
from relift.integrations.answers import (
    Answered,
    final_answer,
    gold_column,
    plain_gold,
    plain_rewards,
    problem_of,
    verdict_of,
)
from relift.schema import Finish, Question, Verdict, question_id_of


@dataclass(frozen=True)
class Asked:
    """One question of a probe: its prompt (a text or messages), what identifies it, its gold answer, its row."""

    prompt: Any
    problem: str
    gold: str
    row: Mapping[str, Any]

    @property
    def question_id(self) -> str:
        """Identify the question, as everywhere."""
        return question_id_of(self.problem)


def read_probe(questions: Any, *, gold: str | None, problem: str | None) -> tuple[Asked, ...]:
    """Read a file (jsonl, parquet, hf:...), questions of relift, or rows of a data set, as TRL takes them.

    A row has `prompt` (a text or messages) or `problem`, and a gold answer. `gold`, `problem`: columns, by name.
    InputError where there is none, a question occurs twice, or a row has neither.
    """
    if isinstance(questions, str | Path):
        questions = read_questions(questions, answer_kind=kind_of_golds).questions
    found = [_asked(row, gold=gold, problem=problem) for row in questions]
    if not found:
        raise InputError("ProbeCallback: there are no questions to probe")
    ids = [one.question_id for one in found]
    if len(set(ids)) < len(ids):
        twice = next(one for i, one in enumerate(found) if one.question_id in ids[:i])
        raise InputError(f"ProbeCallback: the question {twice.problem[:60]!r} occurs twice: a probe asks each once")
    return tuple(found)


def _asked(row: Any, *, gold: str | None, problem: str | None) -> Asked:
    if isinstance(row, Question):
        return Asked(row.problem, row.problem, row.answer, {"answer": row.answer})
    if not isinstance(row, Mapping):
        raise InputError(f"ProbeCallback: a question is a {type(row).__name__}, no row with a prompt or problem")
    prompt = row.get("prompt", row.get("problem"))
    if prompt is None:
        raise InputError(f"ProbeCallback: a row has neither prompt nor problem; it has {', '.join(map(str, row))}")
    if problem is not None and problem not in row:
        raise InputError(f"ProbeCallback: problem = {problem!r}: a row has no such column")
    column = gold_column(row, gold)
    text = problem_of(prompt if problem is None else row[problem])
    return Asked(prompt, text, "" if column is None else plain_gold(row[column]), dict(row))


def prompt_ids(asked: Asked, tokenizer: Any, *, template_options: Mapping[str, Any]) -> tuple[int, ...]:
    """Render a prompt as TRL does: messages through the chat template, a text as it is.

    A row that has a problem and no prompt is the user's turn where the tokenizer has a chat template.
    """
    prompt = asked.prompt
    if isinstance(prompt, str) and "prompt" not in asked.row and getattr(tokenizer, "chat_template", None):
        prompt = [{"role": "user", "content": prompt}]
    if isinstance(prompt, str):
        return tuple(tokenizer(prompt)["input_ids"])
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True, **template_options)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class Drawn:
    """One answer that was sampled for a probe. `seed`: -1 where it has none of its own."""

    token_ids: tuple[int, ...]
    text: str
    truncated: bool
    seed: int
    sum_logprob: float | None = None
    mean_entropy: float | None = None


def judge_probe(
    asked: Sequence[Asked],
    drawn: Sequence[Drawn],
    *,
    reward: Callable[..., Any] | None,
    threshold: float,
    state: Any,
) -> list[Answered]:
    """Judge one answer to each entry of `asked` (a question repeated for its attempts), by reward or by our grader."""
    if reward is None:
        judged = _graded(asked, drawn)
        given: list[float | None] = [None] * len(drawn)
    else:
        given = plain_rewards(_called(reward, asked, drawn, state))
        if len(given) != len(drawn):
            raise InputError(f"the reward function gave {len(given)} rewards for {len(drawn)} answers")
        rule = f"reward.{getattr(reward, '__name__', type(reward).__name__)}"
        judged = [
            (verdict_of(value, threshold=threshold), rule, final_answer(one.text, truncated=one.truncated))
            for value, one in zip(given, drawn, strict=True)
        ]
    return [
        Answered(
            problem=question.problem,
            gold=question.gold,
            text=one.text,
            n_tokens=len(one.token_ids),
            truncated=one.truncated,
            verdict=verdict,
            rule=rule,
            final=final,
            reward=value,
            seed=one.seed,
            sum_logprob=one.sum_logprob,
            mean_entropy=one.mean_entropy,
        )
        for question, one, value, (verdict, rule, final) in zip(asked, drawn, given, judged, strict=True)
    ]


def _graded(asked: Sequence[Asked], drawn: Sequence[Drawn]) -> list[tuple[Verdict, str, str | None]]:
    kind = kind_of_golds([one.gold for one in asked])
    submissions = [
        Submission(question.gold, one.text, Finish.length if one.truncated else Finish.stop, kind=kind)
        for question, one in zip(asked, drawn, strict=True)
    ]
    with Grader(workers=1) as grader:
        return [(one.verdict, one.rule, one.answer) for one in grader.judge(submissions)]


def _called(reward: Callable[..., Any], asked: Sequence[Asked], drawn: Sequence[Drawn], state: Any) -> Iterable[Any]:
    """Call a reward function as TRL does; what it logs through `log_extra` and `log_metric` goes nowhere."""
    texts: list[Any] = [one.text for one in drawn]
    if asked and not isinstance(asked[0].prompt, str):
        texts = [[{"role": "assistant", "content": text}] for text in texts]
    columns = {name: [one.row.get(name) for one in asked] for name in asked[0].row if name != "prompt"} if asked else {}
    given = reward(
        prompts=[one.prompt for one in asked],
        completions=texts,
        completion_ids=[list(one.token_ids) for one in drawn],
        trainer_state=state,
        log_extra=_ignore,
        log_metric=_ignore,
        **columns,
    )
    if inspect.isawaitable(given):  # in a thread of its own: a notebook has a loop running in this one

        async def wait() -> Any:
            return await given

        with ThreadPoolExecutor(1) as pool:
            given = pool.submit(asyncio.run, wait()).result()
    return given


def _ignore(name: str, value: Any) -> None:
    """Take what a reward function logs."""
