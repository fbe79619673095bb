"""Read rows of data sets that others publish as questions with golds and worked solutions.

One function per layout, in `LAYOUTS`. A function takes a row (values by column) and gives a Draft, or raises
ValueError with what the row lacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relift.data.files import cell
from relift.data.prompt_texts import bare_problem, last_turn, text_of


@dataclass(frozen=True)
class Draft:
    """One row as read: the texts as they stand there. `refused`: why the row can be no question; `left_out`: how many
    of its worked solutions were not taken, by reason."""

    problem: str
    answer: str
    demonstrations: tuple[str, ...] = ()
    source: str = ""
    subject: str | None = None
    level: str | None = None
    options: tuple[str, ...] = ()
    refused: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Hold what a user says of a source: paths of our columns in it, and instructions to cut off its prompts."""

    columns: Mapping[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()


Layout = Callable[[Mapping[str, Any], Reading], Draft]


def luffy(row: Mapping[str, Any], reading: Reading) -> Draft:
    """Read a row of LUFFY's and ReLIFT's training file, Elliott/Openr1-Math-46k-8192.

    prompt: turns, the question in the last user's; target: the worked solution as one assistant turn;
    reward_model.ground_truth: the gold. (Simplified-Reasoning/LUFFY, issues 6 and 37; the data set's card.)
    """
    draft = verl(row, reading)
    target = row.get("target")
    text = target if isinstance(target, str) else last_turn(target, "assistant")
    if text is None:
        raise ValueError("target holds no turn of an assistant")
    return Draft(draft.problem, draft.answer, (text,), draft.source, draft.subject, draft.level)


def verl(row: Mapping[str, Any], reading: Reading) -> Draft:
    """Read a row of a verl RL file: data_source, prompt, ability, reward_model, extra_info.

    (verl, docs/preparation/prepare_data.rst.) The question is extra_info.question where that stands whole in the last
    user's turn, else that turn without the known instructions.
    """
    prompt = row.get("prompt")
    turn = prompt if isinstance(prompt, str) else last_turn(prompt, "user")
    if turn is None:
        raise ValueError("prompt holds no turn of a user")
    bare = cell(row, "extra_info.question")
    problem = bare if isinstance(bare, str) and bare.strip() and bare.strip() in turn else None
    gold = single(cell(row, "reward_model.ground_truth"))
    if gold is None:
        raise ValueError("reward_model.ground_truth is missing")
    source, ability = row.get("data_source"), row.get("ability")
    return Draft(
        problem.strip() if problem else bare_problem(turn, reading.instructions),
        gold,
        source=source if isinstance(source, str) else "",
        subject=ability if isinstance(ability, str) and ability.strip() else None,
    )


def openr1(row: Mapping[str, Any], reading: Reading) -> Draft:
    """Read a row of OpenR1-Math: problem, answer, generations with their checks.

    Taken are generations that are complete (is_reasoning_complete) and were judged correct, by math-verify or, where
    that column has nothing, by Llama (open-r1/OpenR1-Math-220k, data set card). Proofs have no gold and are refused.
    """
    problem, answer = row.get("problem"), row.get("answer")
    if not isinstance(problem, str):
        raise ValueError("problem is missing")
    kind = row.get("question_type")
    texts, left_out = _generations(row)
    source, subject = row.get("source"), row.get("problem_type")
    return Draft(
        bare_problem(problem, reading.instructions),
        answer if isinstance(answer, str) else "",
        texts,
        source if isinstance(source, str) else "",
        subject if isinstance(subject, str) else None,
        refused="a proof, which has no final answer" if kind == "proof" else None,
        left_out=left_out,
    )


def _generations(row: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Choose the generations that are complete and judged correct; count the others by reason."""
    generations = [g for g in row.get("generations") or () if isinstance(g, str)]
    complete = row.get("is_reasoning_complete") or [True] * len(generations)
    by_rule, by_llama = row.get("correctness_math_verify") or [], row.get("correctness_llama") or []
    judged = by_rule if any(by_rule) or not by_llama else by_llama
    taken: list[str] = []
    left_out: dict[str, int] = {}
    for at, text in enumerate(generations):
        reason = (
            "cut off" if at < len(complete) and not complete[at]
            else "judged wrong by its publishers" if at < len(judged) and not judged[at]
            else None
        )  # fmt: skip
        if reason is None:
            taken.append(text)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    return tuple(taken), left_out


COLUMNS = ("problem", "answer", "demonstration", "source", "subject", "level", "options")


def plain(row: Mapping[str, Any], reading: Reading) -> Draft:
    """Read a row whose columns are ours, or are named by paths into it (`reading.columns`)."""

    def at(name: str) -> Any:
        return cell(row, reading.columns.get(name, name))

    def text(name: str) -> str | None:
        value = at(name)
        value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return value if isinstance(value, str) else text_of(value) if name == "problem" else None

    problem, answer = text("problem"), single(at("answer"))
    for name, value in (("problem", problem), ("answer", answer)):
        if value is None:
            raise ValueError(f"{reading.columns.get(name, name)} is missing or no text")
    demonstrations, options = at("demonstration"), at("options")
    texts = [demonstrations] if isinstance(demonstrations, str) else demonstrations or ()
    if not isinstance(texts, Sequence) or not all(isinstance(t, str) for t in texts):
        raise ValueError(f"{reading.columns.get('demonstration', 'demonstration')} is no text and no list of texts")
    shown = tuple(options) if isinstance(options, list) and all(isinstance(o, str) for o in options) else ()
    return Draft(
        bare_problem(problem or "", reading.instructions), answer or "", tuple(texts), text("source") or "",
        text("subject"), text("level"), shown,
    )  # fmt: skip


def single(gold: Any) -> str | None:
    """Read a gold answer: a text, a number, or a list of one of them, perhaps written as JSON; None for anything else.

    Skywork-OR1 writes '["34"]'; numpy arrays of one come out of Parquet as lists.
    """
    if isinstance(gold, str) and gold.lstrip().startswith("[") and gold.rstrip().endswith("]"):
        try:
            inner = json.loads(gold)
        except (ValueError, RecursionError):
            return gold
        return single(inner) if isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], str) else gold
    if isinstance(gold, list):
        return single(gold[0]) if len(gold) == 1 else None
    if isinstance(gold, int | float) and not isinstance(gold, bool):
        return repr(gold)
    return gold if isinstance(gold, str) else None


LAYOUTS: dict[str, Layout] = {"luffy": luffy, "openr1": openr1, "verl": verl, "jsonl": plain}
