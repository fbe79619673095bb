"""What a run is made of: questions, probes, demonstrations and prompts, read and checked before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import transformers

from relift.config import Config
from relift.errors import InputError
from relift.grading import Grader, make_grader
from relift.prompts import render
from relift.questions import QuestionSet, read_questions
from relift.schema import Question
from relift.trainer.admission import admit
from relift.trainer.recipes import Demo, Recipe
from relift.trainer.run import Item


@dataclass(frozen=True)
class Inputs:
    """What a run is made of, read and checked, without the model's weights."""

    train: QuestionSet
    probe: QuestionSet
    ends: QuestionSet
    tokenizer: Any
    train_items: list[Item]
    probe_items: list[Item]
    ends_items: list[Item]
    graders: dict[str, Grader]  # one for each answer_kind that occurs
    demos: list[Demo]
    demonstration_rows: pd.DataFrame
    skipped: dict[str, int]  # what data.overlong_prompts = "skip" left out

    @property
    def sets(self) -> dict[str, QuestionSet]:
        """The files, by the key of the configuration that names them."""
        return {"data.questions": self.train, "probe.questions": self.probe, "probe.ends_only": self.ends}


def read_inputs(config: Config, recipe: Recipe) -> Inputs:
    """Read questions, demonstrations and tokenizer, render prompts, let demonstrations through the door."""
    if not config.model.path:
        raise InputError("model.path is empty: name a folder or hub id of a transformers causal LM")
    if not config.data.questions:
        raise InputError("data.questions is empty: name a .jsonl or .parquet file, or hf:owner/name/split")
    columns = config.data.columns
    train = read_questions(config.data.questions, demonstrations=config.data.demonstrations, columns=columns)
    probe = read_questions(config.probe.questions, columns=columns) if config.probe.questions else QuestionSet.empty()
    ends = read_questions(config.probe.ends_only, columns=columns) if config.probe.ends_only else QuestionSet.empty()
    overlap = {q.question_id for q in probe.questions} & {q.question_id for q in ends.questions}
    if overlap:
        raise InputError(
            f"{config.probe.ends_only}: {len(overlap)} questions stand in probe.questions too: leave them out"
        )
    tokenizer, model_config = load_tokenizer(config)
    questions = [*train.questions, *probe.questions, *ends.questions]
    graders = {kind: make_grader(kind) for kind in sorted({q.answer_kind for q in questions})}
    place: dict[str, int] = {}
    skipped: dict[str, int] = {}
    train_items, probe_items, ends_items = (
        make_items(config, s.questions, tokenizer, model_config, place=place, name=name, skipped=skipped)
        for name, s in (("data.questions", train), ("probe.questions", probe), ("probe.ends_only", ends))
    )
    by_id = {item.question.question_id: item for item in train_items}
    offered = [d for d in train.demonstrations if d.question_id in by_id]
    demos, rows = admit(
        offered if recipe.demo else [],
        by_id,
        graders,
        encode=lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        end_token=stop_tokens(tokenizer, config)[0],
        max_tokens=config.data.max_demo_tokens,
        bad=config.data.bad_demonstrations,
        context=context_of(model_config),
    )
    if recipe.demo and not demos:
        raise InputError(f"recipe {recipe.name} trains on demonstrations and there is none: set data.demonstrations")
    return Inputs(train, probe, ends, tokenizer, train_items, probe_items, ends_items, graders, demos, rows, skipped)


def make_items(
    config: Config,
    questions: Sequence[Question],
    tokenizer: Any,
    model_config: Any,
    *,
    place: dict[str, int],
    name: str,
    skipped: dict[str, int],
) -> list[Item]:
    """Questions with their rendered prompts, numbered in `place` as they come.

    Over-long prompts are refused or, if so configured, counted in `skipped` and left out.
    """
    prompts = [tuple(render(q.problem, config.data.prompt, tokenizer)) for q in questions]
    context = context_of(model_config) or 2**31
    longest_answer = max(config.rollout.max_tokens, config.probe.max_tokens or 0)
    limit = min(config.data.max_prompt_tokens, context - longest_answer)
    if limit < 1:
        raise InputError(
            f"rollout.max_tokens = {longest_answer} leaves no room for a prompt: the model reads {context} tokens"
        )
    long = [(prompt, q) for prompt, q in zip(prompts, questions, strict=True) if len(prompt) > limit]
    if long and (config.data.overlong_prompts == "refuse" or len(long) == len(prompts)):
        prompt, question = max(long, key=lambda pair: len(pair[0]))
        raise InputError(
            f"{name}: {len(long)} of {len(prompts)} prompts are longer than {limit} tokens, the longest has "
            f"{len(prompt)} ({question.problem[:40]!r}); raise data.max_prompt_tokens (the model reads {context}, "
            f'answers take {longest_answer}), or set data.overlong_prompts = "skip" to leave them out'
        )
    if long:
        skipped[name] = len(long)
    return [
        Item(q, place.setdefault(q.question_id, len(place)), prompt)
        for q, prompt in zip(questions, prompts, strict=True)
        if len(prompt) <= limit
    ]


def context_of(model_config: Any) -> int | None:
    """Tokens the model can read; None where its configuration does not say."""
    return getattr(model_config, "max_position_embeddings", None)


def load_tokenizer(config: Config) -> tuple[Any, Any]:
    """Tokenizer and model configuration of the base; InputError when they cannot be had."""
    try:
        options = {"revision": config.model.revision, "trust_remote_code": False}
        tokenizer = transformers.AutoTokenizer.from_pretrained(config.model.path, **options)
        model_config = transformers.AutoConfig.from_pretrained(config.model.path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"model.path = {config.model.path!r}: {str(error).splitlines()[0]}") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"model.path = {config.model.path!r}: its tokenizer has no end token")
    return tokenizer, model_config


def stop_tokens(tokenizer: Any, config: Config) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed."""
    try:
        generation = transformers.GenerationConfig.from_pretrained(config.model.path, revision=config.model.revision)
        more = generation.eos_token_id
    except OSError:
        more = None
    extra = more if isinstance(more, list) else [] if more is None else [more]
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *extra]))


def questions_frame(inputs: Inputs) -> pd.DataFrame:
    """The rows of `questions`: every question of the run once, by question_ix."""
    with_demo = {demo.question_ix for demo in inputs.demos}
    rows: dict[int, dict[str, Any]] = {}
    for item in (*inputs.train_items, *inputs.probe_items, *inputs.ends_items):
        rows.setdefault(
            item.question_ix,
            {
                **vars(item.question),
                "question_ix": item.question_ix,
                "prompt_tokens": len(item.prompt_ids),
                "has_demo": item.question_ix in with_demo,
            },
        )
    return pd.DataFrame([rows[ix] for ix in sorted(rows)])
