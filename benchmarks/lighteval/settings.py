"""Read from environment variables the settings that lighteval's command line has no options for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relift.benchmarks.benchmark import Benchmark, Protocol
from relift.benchmarks.protocols import find_protocol
from relift.errors import InputError

DATA, PROTOCOL, SAMPLES, SEED = "RELIFT_DATA", "RELIFT_PROTOCOL", "RELIFT_SAMPLES", "RELIFT_SEED"
MAX_TOKENS, ANY_CONTENT = "RELIFT_MAX_TOKENS", "RELIFT_ANY_CONTENT"
BASE_URL, TOKENIZER = "RELIFT_BASE_URL", "RELIFT_TOKENIZER"


@dataclass(frozen=True)
class Settings:
    """Hold the tasks' and the model's settings; what is not set is the protocol's or the benchmark's own.

    RELIFT_DATA         folder with local copies of the benchmarks
    RELIFT_PROTOCOL     a preset; relift if unset
    RELIFT_SAMPLES      attempts at each question
    RELIFT_MAX_TOKENS   of one answer
    RELIFT_SEED         of the run; 0 if unset
    RELIFT_ANY_CONTENT  1: take contents that are not the declared ones
    RELIFT_BASE_URL     of the engine openai
    RELIFT_TOKENIZER    a checkpoint, of the engines openai and replay, which have none
    """

    protocol: Protocol  # with RELIFT_MAX_TOKENS in its sampling
    data: Path | None = None
    samples: int | None = None
    seed: int = 0
    any_content: bool = False
    base_url: str | None = None
    tokenizer: str | None = None

    def samples_of(self, benchmark: Benchmark) -> int:
        """Return the attempts at each question of this benchmark."""
        return self.samples or self.protocol.samples.get(benchmark.name) or benchmark.samples


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises InputError, one line, for a value that cannot be used."""
    protocol = find_protocol(environment.get(PROTOCOL) or "relift")
    max_tokens = _number(environment, MAX_TOKENS, least=1) or protocol.sampling.max_tokens
    data = environment.get(DATA)
    return Settings(
        protocol=replace(protocol, sampling=replace(protocol.sampling, max_tokens=max_tokens)),
        data=Path(data) if data else None,
        samples=_number(environment, SAMPLES, least=1),
        seed=_number(environment, SEED, least=0) or 0,
        any_content=environment.get(ANY_CONTENT) == "1",
        base_url=environment.get(BASE_URL) or None,
        tokenizer=environment.get(TOKENIZER) or None,
    )


def _number(environment: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text!r}: needs a whole number, {least} or more")
    return int(text)
