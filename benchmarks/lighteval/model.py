"""Offer our engines as a model of lighteval: `lighteval custom ENGINE:MODEL .../custom_model.py TASKS`.

lighteval makes a model of its own file from nothing but a name; so the name says which engine answers and with what
(`vllm:FOLDER`, `torch:HUB_ID`, `replay:RUN`), and settings.py the rest. Every attempt has the prompt and the seed that
`relift eval` gives it, so that both get the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from lighteval.models.abstract_model import LightevalModel, ModelConfig
from lighteval.models.model_input import GenerationParameters
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc

from relift.benchmarks.benchmark import Protocol
from relift.benchmarks.lighteval.questions import question_of
from relift.benchmarks.lighteval.settings import Settings, read_settings
from relift.benchmarks.load import find_benchmark
from relift.benchmarks.prompting import render_prompt
from relift.engines.texts import Answerer, AttemptRequest, Prompt, Reply
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.prompts import render
from relift.schema import Origin, question_id_of, seed_of


@dataclass
class ReliftResponse(ModelResponse):
    """Extend lighteval's response by what it has no field for: why each answer ended, its tokens."""

    finishes: list[str] = field(default_factory=list)
    n_tokens: list[int] = field(default_factory=list)
    thoughts_opened: bool = False


@dataclass(frozen=True)
class Opened:
    """Hold an engine that is not entered yet, the tokenizer of its prompts, and sampling with its stop tokens."""

    answerer: Answerer
    tokenizer: Any | None
    sampling: Sampling


def open_engine(engine: str, model: str, settings: Settings) -> Opened:
    """Open the engine of this name for what MODEL means to it, as for `relift eval`. Raises InputError."""
    from relift.engines import hf_model as checkpoint
    from relift.engines.model_source import ModelSource, resolve_model
    from relift.engines.open import make_options, open_answerer

    elsewhere = engine in ("openai", "replay")
    source = ModelSource(model, None, model) if elsewhere else resolve_model(model)
    path = settings.tokenizer if elsewhere else source.path
    tokenizer: Any | None = None
    stops: tuple[int, ...] = ()
    if path is not None:
        tokenizer, _ = checkpoint.load_tokenizer(path, revision=source.revision)
        stops = checkpoint.stop_tokens(tokenizer, path, revision=source.revision)
    options = make_options(
        engine,
        {},
        base_url=settings.base_url,
        tokenizer=settings.tokenizer,
        recorded=Path(model) if engine == "replay" else None,
    )
    sampling = replace(settings.protocol.sampling, stop_token_ids=stops)
    return Opened(open_answerer(engine, source, options=options), tokenizer, sampling)


class _NoCache:
    """Replace lighteval's cache, whose keys lack the weights: an overwritten checkpoint would get old answers."""

    def _init_registry(self, registry: Any) -> None:
        pass


class ReliftModel(LightevalModel):
    """Answer lighteval's documents with an Answerer, num_samples texts each.

    `of` makes one from an Answerer that was entered; the constructor, which lighteval calls, opens an engine by the
    name and closes it when lighteval is done with it. `sampling` includes what ends an answer.
    """

    def __init__(self, config: ModelConfig) -> None:
        engine, _, model = config.model_name.partition(":")
        if not model:
            raise InputError(f"model {config.model_name!r}: say ENGINE:MODEL, for example vllm:FOLDER or replay:RUN")
        settings = read_settings()
        opened = open_engine(engine, model, settings)
        self._set(config, opened.answerer.__enter__(), opened.tokenizer, settings.protocol, opened.sampling)
        self._seed, self._owned = settings.seed, True

    @classmethod
    def of(
        cls, answerer: Answerer, *, tokenizer: Any, protocol: Protocol, sampling: Sampling, name: str, seed: int = 0
    ) -> Self:
        """Make a model for `lighteval.pipeline.Pipeline(model=...)`."""
        model = cls.__new__(cls)
        model._set(ModelConfig(model_name=name), answerer, tokenizer, protocol, sampling)
        model._seed, model._owned = seed, False
        return model

    def _set(
        self, config: ModelConfig, answerer: Answerer, tokenizer: Any, protocol: Protocol, sampling: Sampling
    ) -> None:
        drawn = GenerationParameters(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k if sampling.top_k > 0 else None,
            max_new_tokens=sampling.max_tokens,
        )
        self.config = config.model_copy(update={"generation_parameters": drawn})  # for lighteval's results
        self._cache = _NoCache()
        self._answerer, self._tokenizer, self._protocol, self._sampling = answerer, tokenizer, protocol, sampling

    def greedy_until(self, docs: list[Doc]) -> list[ReliftResponse]:
        """Return `num_samples` answers to each document, at the protocol's temperature whatever the name says."""
        prompts = [self._prompt(doc) for doc in docs]
        asks = [ask for doc, prompt in zip(docs, prompts, strict=True) for ask in self._asks(doc, prompt)]
        self._answerer.check(asks, self._sampling)
        replies: dict[int, Reply] = dict(self._answerer.stream(asks, self._sampling))
        in_order = (replies[index] for index in range(len(asks)))
        return [self._response(doc, prompt, in_order) for doc, prompt in zip(docs, prompts, strict=True)]

    def _prompt(self, doc: Doc) -> Prompt:
        """Make the prompt: of our tasks that of `relift eval`; of others their query as the user's turn."""
        if "question_id" not in (doc.specific or {}):
            turns = (("user", doc.query),)
            return Prompt(render(doc.query, "chat", self._tokenizer).token_ids, turns=turns)
        question = question_of(doc.specific)
        benchmark = find_benchmark(question.split)
        return render_prompt(question, protocol=self._protocol, benchmark=benchmark, tokenizer=self._tokenizer)

    def _asks(self, doc: Doc, prompt: Prompt) -> Iterator[AttemptRequest]:
        question_id = (doc.specific or {}).get("question_id") or question_id_of(doc.query)
        for attempt in range(doc.num_samples):
            seed = seed_of(self._seed, str(Origin.benchmark), 0, 0, question_id, attempt)
            yield AttemptRequest(f"{question_id}/0/{attempt}", prompt, seed)

    def _response(self, doc: Doc, prompt: Prompt, replies: Iterator[Reply]) -> ReliftResponse:
        mine = [next(replies) for _ in range(doc.num_samples)]
        return ReliftResponse(
            input=doc.query,
            input_tokens=list(prompt.token_ids),
            text=[reply.text for reply in mine],
            finishes=[str(reply.finish) for reply in mine],
            n_tokens=[reply.n_tokens for reply in mine],
            thoughts_opened=prompt.thoughts_opened,
        )

    def cleanup(self) -> None:
        """Close the engine."""
        if self._owned:
            self._answerer.__exit__(None, None, None)

    @property
    def tokenizer(self) -> Any:
        """Return the tokenizer that prompts are made with."""
        return self._tokenizer

    @property
    def add_special_tokens(self) -> bool:
        """Tell lighteval that prompts hold their special tokens already."""
        return False

    @property
    def max_length(self) -> int:
        """Return the tokens that the engine can read; None where it does not say."""
        return self._sampling.max_tokens

    def loglikelihood(self, docs: Sequence[Doc]) -> list[ModelResponse]:
        """Refuse: our engines generate."""
        raise InputError("relift's engines write answers and give no log-likelihoods: choose a generative task")

    def loglikelihood_rolling(self, docs: Sequence[Doc]) -> list[ModelResponse]:
        """Refuse: our engines generate."""
        return self.loglikelihood(docs)
