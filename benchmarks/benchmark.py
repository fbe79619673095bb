"""Define a benchmark and a protocol as values; load.py loads the one, prompting.py applies the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relift.benchmarks.layouts import Layout, text_layout
from relift.engines.tokens import Sampling
from relift.schema import Question


@dataclass(frozen=True)
class Benchmark:
    """State the facts of one benchmark. Every number has its source in `sources` or in a comment beside it.

    `hub` None: embedded, made by `relift.arith`; `split` is then one of its splits. `columns`: our names (problem,
    answer, options, subject, level) to theirs. `layout`: brings a published row into the shape of our columns, a
    function of layouts.py or of the task's own file. `rows`, `content_hash` (load.content_hash_of): a load must find
    them; hash None: not known yet (`relift eval --pin NAME`).
    """

    name: str  # aime24
    title: str  # AIME 2024
    answer_kind: str  # exact, math, choice
    rows: int  # different questions
    hub: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    content_hash: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = text_layout
    permute_options: bool = False  # the right option stands first in the data: show them in an order of the id's
    licence: str | None = None  # None: the card names none; "unknown": nobody has looked
    gated: bool = False
    out_of_distribution: bool = False
    template: str | None = None  # a prompt template of relift.prompts that replaces the protocol's
    samples: int = 1  # attempts for each question under the default protocol
    gold_repairs: Mapping[str, str] = field(default_factory=dict)  # question_id -> gold, with its reason in a comment
    unreadable_golds: Sequence[str] = ()  # question_ids whose gold no grader reads; declared, else a load refuses
    sources: Sequence[str] = ()
    notes: Sequence[str] = ()  # traps, alternates
    sample_of: str | None = None  # name of the whole benchmark, where this is a stated sample of it (sample.py)

    @property
    def known_as(self) -> str:
        """Name the benchmark as tables of protocols and wordings know it, a sample as the whole."""
        return self.sample_of or self.name

    @property
    def pinned(self) -> bool:
        """Tell whether revision and content hash (embedded: the hash) are known, so that a load can be checked."""
        return self.content_hash is not None and (self.hub is None or self.revision is not None)


@dataclass(frozen=True)
class LoadedBenchmark:
    """Hold a benchmark's questions in source order, and facts of the load.

    `pinned`: revision and hash were both declared and both hold (of local data: the hash). `notes`: repairs and
    collapsed repeats, in sentences.
    """

    benchmark: Benchmark
    questions: tuple[Question, ...]
    content_hash: str
    revision: str | None
    origin: str  # hub id, file, or "embedded"
    pinned: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Protocol:
    """Fix prompt, sampling, attempts and grader under a name, with their sources.

    `instruction`: by benchmark name or else by answer_kind; it stands where `layout` says ("" or absent: the problem
    alone). `wording`: "lighteval" takes the text from the installed lighteval. `template`: of relift.prompts.
    `samples`: by benchmark name, before Benchmark.samples. `grader`: a name of relift.grading.
    """

    name: str
    sampling: Sampling
    template: str = "chat"
    system: str | None = None
    instruction: Mapping[str, str] = field(default_factory=dict)
    layout: str = "{problem}\n{instruction}"
    wording: str | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    grader: str = "relift"
    thinking: Sequence[tuple[str, str]] = (("<think>", "</think>"),)
    sources: Sequence[str] = ()  # where each number comes from
    notes: Sequence[str] = ()  # where we depart from the original
