"""Open the source of demonstrations that a configuration names, and what takes them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from relift.config import Config
from relift.engines.model_source import ModelSource
from relift.engines.open import open_answerer
from relift.engines.options import OpenAIOptions
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError, ReliftError
from relift.grading.base import Scorer
from relift.prompts import completion_ids, turns_of
from relift.schema import seed_of
from relift.store import RunWriter
from relift.store.ledger import ARRIVALS, TEACHER, Ledger
from relift.trainer import parallel
from relift.trainer.admission import admit
from relift.trainer.base_model import stop_tokens
from relift.trainer.demos import DemoBuffer
from relift.trainer.inputs import Inputs
from relift.trainer.step import Item
from relift.trainer.teacher_online import Arrivals, Row, Source
from relift.trainer.teacher_sources import HumanSource, SelfSource, ServerSource, in_settings

if TYPE_CHECKING:
    from relift.engines.openai import OpenAIAnswers


def open_arrivals(
    config: Config,
    inputs: Inputs,
    *,
    buffer: DemoBuffer,
    writer: RunWriter,
    grader: Scorer,
    context: int | None,
    warn: Callable[[str], None],
) -> Arrivals | None:
    """Open what `teacher.online` names; None where it names nothing. Nothing is written or asked for.

    Raises InputError for a server that does not answer, or not with this model.
    """
    if config.teacher.online.source == "none":
        return None
    tokenizer = inputs.tokenizer
    end_token = stop_tokens(tokenizer, config)[0]

    def encode(text: str, prompt_ids: Sequence[int]) -> list[int]:
        return completion_ids(text, prompt_ids, tokenizer)

    sources: list[Source] = []
    parallel.on_first(lambda: sources.append(open_source(config, inputs, folder=writer.folder, warn=warn)))
    return Arrivals(
        buffer=buffer,
        items=inputs.train_items,
        known=[] if inputs.demonstration_rows.empty else inputs.demonstration_rows["demo_id"].tolist(),
        admit=partial(
            admit,
            grader=grader,
            encode=encode,
            end_token=end_token,
            max_tokens=config.data.max_demo_tokens,
            context=context,
            bad="skip",
        ),
        encode=lambda text, prompt_ids: [*encode(text, prompt_ids), end_token],
        writer=writer,
        source=sources[0] if sources else None,
        on_first=parallel.on_first,
        on_refusal=Refusals(config.teacher.online.tries, inputs.train_items, warn=warn).tell,
    )


def enter(arrivals: Arrivals, stack: ExitStack, folder: Path, *, step: int, warn: Callable[[str], None]) -> None:
    """Begin to ask, when the run has its folder and stands where it goes on: after this step."""
    journals: list[Ledger] = []

    def begin() -> None:
        journals.append(stack.enter_context(Ledger(folder / ARRIVALS, on_event=warn)))
        source = arrivals.source
        if isinstance(source, ServerSource):
            try:
                stack.enter_context(source)
            except ReliftError as error:
                raise type(error)(in_settings(error)) from None

    parallel.on_first(begin)
    arrivals.open(journals[0] if journals else None, step=step)


def open_source(config: Config, inputs: Inputs, *, folder: Path, warn: Callable[[str], None]) -> Source:
    """Open the source of the configuration. Raises InputError for one that cannot be had."""
    online = config.teacher.online
    if online.source == "self":
        return SelfSource()
    if online.source == "human":
        path = Path(str(online.file))
        if not path.parent.is_dir():
            raise InputError(f"teacher.online.file = {path}: there is no folder {path.parent}: make it first")
        return HumanSource(path, inputs.train_items, warn=warn)
    item_of = {item.question_ix: item for item in inputs.train_items}
    sampling = sampling_of(config)
    try:
        options = server_options(config)
        model = ModelSource(str(online.model), None, "teacher")
        answerer = cast("OpenAIAnswers", open_answerer("openai", model, options=options, on_event=warn))
        answerer.ledger = folder / TEACHER
        answerer.check([request_of(config, item, 0) for item in inputs.train_items], sampling)
    except InputError as error:
        raise InputError(in_settings(error)) from None
    prices = online.usd_per_million_prompt_tokens, online.usd_per_million_completion_tokens
    return ServerSource(
        answerer,
        sampling,
        request=lambda ix, number: request_of(config, item_of[ix], number),
        tries=online.tries,
        prices=prices,
        warn=warn,
    )


def server_options(config: Config) -> OpenAIOptions:
    """Give the evaluator's client the settings of [teacher.online]."""
    online = config.teacher.online
    return OpenAIOptions(
        base_url=online.url,
        api="chat",  # turns, by its own template: its tokens are not ours
        api_key_env=online.api_key_env,
        concurrency=online.concurrency,
        omit=online.omit,
        length_field=online.length_field,
        timeout_seconds=online.timeout_seconds,
        deadline_seconds=online.deadline_seconds,
        max_requests=online.max_requests,
        max_completion_tokens=online.max_completion_tokens,
        max_usd=online.max_usd,
        usd_per_million_prompt_tokens=online.usd_per_million_prompt_tokens,
        usd_per_million_completion_tokens=online.usd_per_million_completion_tokens,
        tokenizer=config.model.path,
    )


def sampling_of(config: Config) -> Sampling:
    """Say how a teacher's answers are drawn; a long one is bought whole, since it cannot be trained on cut."""
    online = config.teacher.online
    return Sampling(online.max_tokens or config.data.max_demo_tokens, online.temperature, online.top_p)


def request_of(config: Config, item: Item, number: int) -> AttemptRequest:
    """Make the request for the number-th text of a question: the same in every start of a run."""
    question, online = item.question, config.teacher.online
    turns = turns_of(question.problem, online.prompt, system=online.system)
    assert turns is not None, "the recipes refuse a prompt without turns"
    seed = seed_of(config.seed, "teacher", number, 0, question.question_id, 0)
    return AttemptRequest(f"{question.question_id}/{number}/0", Prompt((), turns), seed)


class Refusals:
    """Tell of demonstrations that came and cannot be trained on: a person's each, a server's by their number."""

    def __init__(self, tries: int, items: Sequence[Item], *, warn: Callable[[str], None]) -> None:
        self._tries, self._warn = tries, warn
        self._problem = {item.question_ix: item.question.problem for item in items}
        self._n = 0

    def tell(self, row: Row) -> None:
        """Take note of a row that was refused."""
        problem, reason = self._problem[row["question_ix"]][:40], row["reject_reason"]
        if row["source"] == "human":
            self._warn(f"teacher.online.file: the demonstration of {problem!r} is not trained on: {reason}")
            return
        self._n += 1
        if self._n in (1, 10, 100, 1_000, 10_000):
            self._warn(
                f"{self._n} answers of the teacher cannot be trained on so far, of at most {self._tries} a question; "
                f"the last, to {problem!r}: {reason} (table demonstrations has all)"
            )
