"""What a benchmark is, and what a protocol is: facts as values. How they are loaded stands in load.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relift.engines.base import Sampling
from relift.schema import Question


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. Every number has its source in `sources` or in a comment beside it.

    `hub` None: embedded, made by `relift.arith`. `columns`: our names (problem, answer, options, subject, level) to
    theirs. `rows`, `content_hash`: what a load must find; hash None: not pinned yet (`relift eval --pin NAME`).
    """

    name: str  # aime24
    title: str  # AIME 2024
    answer_kind: str  # exact, math, choice
    rows: int
    hub: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    content_hash: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None  # None: the card names none
    gated: bool = False
    out_of_distribution: bool = False
    template: str | None = None  # a prompt template of relift.prompts that replaces the protocol's
    samples: int = 1  # attempts for each question under the default protocol
    gold_repairs: Mapping[str, str] = field(default_factory=dict)  # question_id -> gold, with its reason in a comment
    unreadable_golds: Sequence[str] = ()  # question_ids whose gold no grader reads; declared, else a load refuses
    sources: Sequence[str] = ()
    notes: Sequence[str] = ()  # traps, alternates


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark's questions in source order, and what was loaded. `pinned`: revision and hash were both declared and
    both hold (of local data: the hash)."""

    benchmark: Benchmark
    questions: tuple[Question, ...]
    content_hash: str
    revision: str | None
    origin: str  # hub id, file, or "embedded"
    pinned: bool


@dataclass(frozen=True)
class Protocol:
    """How a question is put and an answer is drawn and read: a named preset with its source.

    `instruction`: by answer_kind, text put after the problem, with a newline before ("" for none). `template`: of
    relift.prompts. `samples`: by benchmark name, before Benchmark.samples. `grader`: a name of relift.grading.
    """

    name: str
    sampling: Sampling
    template: str = "chat"
    system: str | None = None
    instruction: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    grader: str = "relift"
    thinking: Sequence[tuple[str, str]] = (("<think>", "</think>"),)
    sources: Sequence[str] = ()
    notes: Sequence[str] = ()
