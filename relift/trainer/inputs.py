"""Read and check questions, probes, demonstrations and prompts of a run, before a model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relift.config import Config
from relift.data.questions import QuestionSet, read_questions
from relift.engines.context import context_limit, limit_words
from relift.errors import InputError
from relift.grading import require_kind
from relift.grading.extract import THINKING_TAGS
from relift.grading.gold_check import Judge, kind_of_golds, require_readable_golds
from relift.prompts import completion_ids, opens_thoughts, render
from relift.schema import Question
from relift.store.rows import question_row
from relift.trainer.admission import admit
from relift.trainer.base_model import load_tokenizer, stop_tokens
from relift.trainer.demos import Demo
from relift.trainer.recipe import Demonstrations, Recipe
from relift.trainer.step import Item


@dataclass(frozen=True)
class Inputs:
    """Everything a run is made of but the model's weights, read and checked."""

    train: QuestionSet
    probe: QuestionSet
    ends: QuestionSet
    tokenizer: Any
    train_items: list[Item]
    probe_items: list[Item]
    ends_items: list[Item]
    answer_kinds: list[str]
    demos: list[Demo]
    demonstration_rows: pd.DataFrame
    skipped: dict[str, int]  # what data.overlong_prompts = "skip" left out

    @property
    def sets(self) -> dict[str, QuestionSet]:
        """List the files, by the key of the configuration that names them."""
        return {"data.questions": self.train, "probe.questions": self.probe, "probe.ends_only": self.ends}


def read_inputs(
    config: Config, recipe: Recipe, *, grader: Judge, warn: Callable[[str], None] = lambda line: None
) -> Inputs:
    """Read questions, demonstrations and tokenizer, render prompts, let demonstrations through the door."""
    if not config.model.path:
        raise InputError("model.path is empty: name a folder or hub id of a transformers causal LM")
    if not config.data.questions:
        raise InputError("data.questions is empty: name a .jsonl or .parquet file, or hf:owner/name/split")
    train = _read(config, config.data.questions, demonstrations=config.data.demonstrations, warn=warn)
    probe = _read(config, config.probe.questions, warn=warn)
    ends = _read(config, config.probe.ends_only, warn=warn)
    overlap = {q.question_id for q in probe.questions} & {q.question_id for q in ends.questions}
    if overlap:
        raise InputError(
            f"{config.probe.ends_only}: {len(overlap)} questions stand in probe.questions too: leave them out"
        )
    tokenizer, model_config = load_tokenizer(config)
    questions = [*train.questions, *probe.questions, *ends.questions]
    kinds = sorted({q.answer_kind for q in questions})
    for kind in kinds:
        require_kind(kind)
    for source, s in ((config.data.questions, train), (config.probe.questions, probe), (config.probe.ends_only, ends)):
        require_readable_golds(str(source), s.questions, grader, row_of=s.row_of, warn=warn)
    ix_of: dict[str, int] = {}
    skipped: dict[str, int] = {}
    train_items, probe_items, ends_items = (
        make_items(config, s.questions, tokenizer, model_config, ix_of=ix_of, name=name, skipped=skipped)
        for name, s in (("data.questions", train), ("probe.questions", probe), ("probe.ends_only", ends))
    )
    vocab = int(model_config.get_text_config().vocab_size)
    for item in (*train_items, *probe_items, *ends_items):
        require_tokens(item.prompt_ids, vocab=vocab, what=f"the prompt of {item.question.problem[:40]!r}")
    end_token = stop_tokens(tokenizer, config, vocab=vocab)[0]
    by_id = {item.question.question_id: item for item in train_items}
    offered = [d for d in train.demonstrations if d.question_id in by_id]
    try:
        demos, rows = admit(
            offered if recipe.takes_demonstrations else [],
            by_id,
            grader,
            encode=lambda text, prompt_ids: completion_ids(text, prompt_ids, tokenizer),
            end_token=end_token,
            max_tokens=config.data.max_demo_tokens,
            bad=config.data.bad_demonstrations,
            context=context_limit(model_config),
        )
    except InputError as error:
        raise InputError(f"{config.data.demonstrations or config.data.questions}: {error}") from None
    for demo in demos:
        where = config.data.demonstrations or config.data.questions
        require_tokens(demo.completion_ids_T.tolist(), vocab=vocab, what=f"{where}: demonstration {demo.demo_id}")
    if recipe.takes_demonstrations and not demos and config.teacher.online.source == "none":
        there = f"none of {len(offered)} can be trained on" if offered else "there is none"
        raise InputError(f"recipe {recipe.name} trains on demonstrations and {there}: set data.demonstrations")
    require_batches(config, recipe, n_questions=len(train_items), demos=demos)
    require_room(config, recipe, demos, model_config)
    return Inputs(train, probe, ends, tokenizer, train_items, probe_items, ends_items, kinds, demos, rows, skipped)


def require_tokens(token_ids: Sequence[int], *, vocab: int, what: str) -> None:
    """Refuse an empty text, and one with a token that the model has not, before anything is written."""
    if not token_ids:
        raise InputError(f"{what} has no token; give it at least a start token")
    if min(token_ids) < 0 or max(token_ids) >= vocab:
        raise InputError(
            f"{what} has token {max(token_ids)}, outside of the model's {vocab} tokens; check the tokenizer"
        )


def _read(
    config: Config, source: str | None, *, demonstrations: str | None = None, warn: Callable[[str], None]
) -> QuestionSet:
    """Read a file of questions; a file that holds every question equally often is taken once, with a line."""
    if not source:
        return QuestionSet.empty()
    kind = config.data.answer_kind
    read = read_questions(
        source,
        demonstrations=demonstrations,
        columns=config.data.columns,
        answer_kind=kind_of_golds if kind == "auto" else lambda golds: kind,
        repeats="any" if config.data.repeated == "collapse" else "equal",
        collapse_with='data.repeated = "collapse"',
    )
    for note in read.notes:
        warn(f"{source}: {note}")
    return read


def require_batches(config: Config, recipe: Recipe, *, n_questions: int, demos: Sequence[Demo]) -> None:
    """Refuse what would never fill a batch."""
    per_step, batch = config.rollout.questions_per_step, config.sft.batch
    if recipe.rl and recipe.sft_steps < config.steps and n_questions < per_step:
        raise InputError(
            f"{config.data.questions}: {n_questions} questions are fewer than rollout.questions_per_step = {per_step}: "
            "set that lower, or bring more questions"
        )
    n_waiting = len({demo.question_ix for demo in demos})  # more never wait at a time, one entry per question
    buffered = recipe.method.demonstrations is Demonstrations.buffered
    if config.teacher.online.source != "none":
        n_waiting = n_questions  # any of them may come to have one
    waits = buffered and config.buffer.flush == "adaptive" and config.buffer.dedup == "refresh"
    streamed = recipe.sft_steps or recipe.method.demonstrations is Demonstrations.beside
    n_demos = len(demos) if streamed else n_waiting if waits else batch
    if n_demos < batch:
        raise InputError(
            f"{config.data.demonstrations or config.data.questions}: demonstrations for {n_demos} questions are fewer "
            f"than sft.batch = {batch}, no batch would ever fill: set that lower, or bring more demonstrations"
        )


def require_room(config: Config, recipe: Recipe, demos: Sequence[Demo], model_config: Any) -> None:
    """Refuse prefixes that leave no room for an answer, or that an engine was not told of."""
    if recipe.prefix is None or recipe.prefix.place == "prompt":  # a hint that does not fit is not given
        return
    limit = longest_prompt(config, model_config)
    longest = max(len(demo.prompt_ids) + int(config.prefix.high * len(demo.completion_ids_T)) for demo in demos)
    if longest > limit:
        raise InputError(
            f"prefix.high = {config.prefix.high}: the longest prompt with its prefix takes {longest} tokens, more than "
            f"{limit}: lower it, or raise data.max_prompt_tokens ({limit_words(model_config)})"
        )


def longest_prompt(config: Config, model_config: Any) -> int:
    """Count the tokens that a prompt may have: as configured, and so that an answer still fits."""
    context = context_limit(model_config) or 2**31
    return min(config.data.max_prompt_tokens, context - max(config.rollout.max_tokens, config.probe.max_tokens or 0))


def make_items(
    config: Config,
    questions: Sequence[Question],
    tokenizer: Any,
    model_config: Any,
    *,
    ix_of: dict[str, int],
    name: str,
    skipped: dict[str, int],
) -> list[Item]:
    """Render the prompts of questions, numbered in `ix_of` as they come.

    Over-long prompts are refused or, if so configured, counted in `skipped` and left out.
    """
    prompts = [render(q.problem, config.data.prompt, tokenizer, system=config.data.system) for q in questions]
    longest_answer = max(config.rollout.max_tokens, config.probe.max_tokens or 0)
    limit = longest_prompt(config, model_config)
    if limit < 1:
        raise InputError(
            f"rollout.max_tokens = {longest_answer} leaves no room for a prompt: {limit_words(model_config)}; lower "
            "it, or stretch the model: model.max_positions, with a larger model.rope_theta"
        )
    long = [
        (prompt.token_ids, q) for prompt, q in zip(prompts, questions, strict=True) if len(prompt.token_ids) > limit
    ]
    if long and (config.data.overlong_prompts == "refuse" or len(long) == len(prompts)):
        prompt, question = max(long, key=lambda pair: len(pair[0]))
        raise InputError(
            f"{name}: {len(long)} of {len(prompts)} prompts are longer than {limit} tokens, the longest has "
            f"{len(prompt)} ({question.problem[:40]!r}); raise data.max_prompt_tokens ({limit_words(model_config)}, "
            f'answers take {longest_answer}), or set data.overlong_prompts = "skip" to leave them out'
        )
    if long:
        skipped[name] = len(long)
    return [
        Item(
            q,
            ix_of.setdefault(q.question_id, len(ix_of)),
            prompt.token_ids,
            opens_thoughts(prompt.text, (opening for opening, _ in THINKING_TAGS)),
        )
        for q, prompt in zip(questions, prompts, strict=True)
        if len(prompt.token_ids) <= limit
    ]


def questions_frame(inputs: Inputs) -> pd.DataFrame:
    """Make the rows of `questions`: every question of the run once, by question_ix."""
    with_demo = {demo.question_ix for demo in inputs.demos}
    rows: dict[int, dict[str, Any]] = {}
    for item in (*inputs.train_items, *inputs.probe_items, *inputs.ends_items):
        rows.setdefault(
            item.question_ix,
            question_row(
                item.question,
                item.question_ix,
                prompt_tokens=len(item.prompt_ids),
                has_demo=item.question_ix in with_demo,
            ),
        )
    return pd.DataFrame([rows[ix] for ix in sorted(rows)])
