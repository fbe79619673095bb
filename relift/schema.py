"""The words and the tables of relift: what a question, an attempt and a verdict are, and every column.

This module is the contract of the run folder (docs/schema.md is generated from it). It imports nothing
but pyarrow, so that whoever reads a run needs neither torch nor the trainer.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

# Shares of undecided verdicts: from the first on people are told, above the second the numbers would be the grader's
# failures, and an evaluation stops (a training run has guard.max_undecided).
WARN_UNDECIDED, MAX_UNDECIDED = 0.02, 0.20
SCHEMA_VERSION = 2  # 2: counts of attempts have 32 bits


class Verdict(StrEnum):
    """Name what the grader says of one attempt. Undecided is never counted as wrong."""

    correct = "correct"
    wrong = "wrong"
    undecided = "undecided"  # the grader timed out or crashed, or the gold answer is unreadable


class Finish(StrEnum):
    """Why an answer ended."""

    stop = "stop"  # the model closed its answer
    length = "length"  # cut off at max_tokens
    refused = "refused"  # withheld or broken off by a server: a filter, or a reason that it alone knows
    unknown = "unknown"  # an imported answer whose source does not say


class Origin(StrEnum):
    """Why an attempt was made. Origins are never averaged together."""

    probe = "probe"  # a fixed set of questions at fixed steps: what trajectories are drawn from
    rollout = "rollout"  # training samples: biased by order, filters and temperature
    benchmark = "benchmark"  # written by relift eval


class RunKind(StrEnum):
    """Name what a run folder came from."""

    train = "train"
    eval = "eval"  # benchmarks
    probe = "probe"  # questions of a file, asked of one checkpoint


class RunStatus(StrEnum):
    """Name how far a run is."""

    running = "running"  # or ended without a chance to say so
    done = "done"
    interrupted = "interrupted"  # the same command goes on


class Assistance(StrEnum):
    """Name what an attempt was given beside the question. Assisted attempts never count as what the model can do."""

    none = "none"
    hint = "hint"  # text in the prompt
    prefix = "prefix"  # the start of the answer
    retry = "retry"  # feedback on an attempt before
    privileged = "privileged"  # a solution


class UpdateKind(StrEnum):
    """Name what an optimizer step was made of."""

    rl = "rl"
    sft = "sft"
    mixed = "mixed"


class DemoEvent(StrEnum):
    """Name what happened to a demonstration in the buffer."""

    enqueue = "enqueue"
    train = "train"
    evict = "evict"


@dataclass(frozen=True)
class Question:
    """One question with its gold answer. Example: Question("b1…", "47+3*8-5?", "66")."""

    question_id: str
    problem: str
    answer: str
    answer_kind: str = "exact"  # which scorer reads the answer: exact, math, choice
    source: str = ""
    split: str = ""
    subject: str | None = None
    level: str | None = None
    options: tuple[str, ...] = ()  # of a multiple-choice question, in the order shown; the gold is then a letter


@dataclass(frozen=True)
class Demonstration:
    """One worked solution of one question, as text that follows the prompt (without the end token)."""

    demo_id: str
    question_id: str
    text: str
    source: str = "dataset"  # dataset, teacher, human, self


def normalise_problem(problem: str) -> str:
    """The text that is hashed: NFC, white space folded to single blanks."""
    return " ".join(unicodedata.normalize("NFC", problem).split())


def question_id_of(problem: str, options: Sequence[str] = ()) -> str:
    """Content hash of a question: the same everywhere and for ever (16 bytes, hex).

    The gold answer is left out, so a corrected gold keeps its question. Options (multiple choice)
    enter in source order.
    """
    key = json.dumps([normalise_problem(problem), [normalise_problem(o) for o in options]], ensure_ascii=False)
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def demo_id_of(question_id: str, text: str) -> str:
    """Content hash of a demonstration: question and text (16 bytes, hex)."""
    return hashlib.blake2b(json.dumps([question_id, text]).encode(), digest_size=16).hexdigest()


def seed_of(run_seed: int, purpose: str, draw: int, step: int, question_id: str, attempt: int) -> int:
    """Counter-based seed of one attempt: finishing order, retries and process count change nothing.

    63 bits, so that it fits the int64 column `seed`.
    """
    key = json.dumps([run_seed, purpose, draw, step, question_id, attempt]).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Column:
    """One column: name, Arrow type, unit ("" when it has none), meaning; `nullable`: null says "not measured"."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    nullable: bool = False
    clock: bool = False  # wall-clock time: the one thing two identical runs differ in
    default: str | None = None  # what rows have that do not say: those of versions without the column


@dataclass(frozen=True)
class Table:
    """One table: what a row is, its key, its columns, whether it has one file per step."""

    name: str
    one_row_per: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    per_step: bool  # a folder of files, one for each step (and origin and draw); else one file

    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema, metadata included, with which files of this table are written."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


STR = pa.string()
CAT = pa.dictionary(pa.int32(), pa.string())  # enumerations and constants: dictionary-encoded
I16, I32, I64 = pa.int16(), pa.int32(), pa.int64()
F32, F64, BOOL = pa.float32(), pa.float64(), pa.bool_()

RUN_ID = Column("run_id", CAT, "", "the run this row belongs to; equal to run.json's run_id")
STEP = Column(
    "step",
    I32,
    "steps",
    "training step: its rollouts are sampled before its updates, its probes after them; 0 is the base model",
)
QUESTION_IX = Column(
    "question_ix", I32, "", "dense index of the question inside this run; across runs join on question_id"
)
ORIGIN = Column("origin", CAT, "", "probe, rollout or benchmark; never averaged together")
DRAW = Column(
    "draw", I16, "", "independent draw of the same questions; bands are assigned on draw 0 and measured on draw 1"
)
ATTEMPT = Column("attempt", I32, "", "number of the attempt at this question, from 0")

QUESTIONS = Table(
    "questions", "question of the run", ("question_id",),
    (
        Column("question_id", STR, "", "content hash of the problem (and options): the same everywhere"),
        QUESTION_IX,
        Column("source", CAT, "", "data set the question came from"),
        Column("split", CAT, "", "train, probe, test, or a benchmark's name"),
        Column("problem", STR, "", "the question's text"),
        Column("answer", STR, "", "the gold answer"),
        Column("answer_kind", CAT, "", "which scorer reads the answer: exact, math, choice"),
        Column("options", STR, "", "options of a multiple-choice question as shown, a JSON list of texts; the gold is then a letter", nullable=True),
        Column("prompt_tokens", I32, "tokens", "length of the rendered prompt; null where the source of an imported run does not say", nullable=True),
        Column("subject", CAT, "", "subject, where the source names one", nullable=True),
        Column("level", CAT, "", "difficulty, where the source names one", nullable=True),
        Column("has_demo", BOOL, "", "an accepted demonstration of this question exists"),
        Column("dup_group", I32, "", "group of near-duplicates, the cluster of bootstraps", nullable=True),
    ),
    per_step=False,
)  # fmt: skip

ATTEMPTS = Table(
    "attempts", "attempt at a question", ("run_id", "origin", "draw", "step", "question_ix", "attempt"),
    (
        RUN_ID, ORIGIN, DRAW, STEP, QUESTION_IX, ATTEMPT,
        Column("assistance", CAT, "", "none, hint, prefix, retry or privileged: what the attempt was given beside the question; assisted ones count in no trajectory, band, gate or accuracy", default=Assistance.none.value),
        Column("verdict", CAT, "", "correct, wrong or undecided"),
        Column("verdict_rule", CAT, "", "which rule decided, as WHERE.RULE, or why it is undecided"),
        Column("reward", F32, "", "what training saw, shaping and rewards of one's own included; 1 and 0 outside training; null when undecided", nullable=True),
        Column("rewards", STR, "", "what each of several reward functions gave, a JSON object by its name; null: there was one", nullable=True),
        Column("finish", CAT, "", "stop, length or refused (by a server); unknown where the source of an imported run does not say"),
        Column("n_tokens", I32, "tokens", "tokens of the answer, the end token included; null where the source of an imported run does not say", nullable=True),
        Column("answer", STR, "", "normalised final answer; null when none was found", nullable=True),
        Column("sum_logprob", F64, "nats", "log-probability of the answer's tokens under the policy that wrote them, at its temperature", nullable=True),
        Column("sum_logprob_base", F64, "nats", "the same under the base model", nullable=True),
        Column("mean_entropy", F32, "nats", "mean entropy of the next-token distributions along the answer", nullable=True),
        Column("round", I16, "", "round of sampling within the step in which the question was asked: 0 the first, later ones refill it; null where steps have one round", nullable=True),
        Column("draw_weight", F32, "", "weight with which the curriculum drew the question in this step; null where all are alike", nullable=True),
        Column("advantage", F32, "", "advantage used in the update; null outside training, without a reward, for masked attempts, and beyond what a refilled step trains on", nullable=True),
        Column("used_in_update", BOOL, "", "the attempt's tokens entered an optimizer step", nullable=True),
        Column("policy_version", I32, "", "version of the published weights that wrote the answer"),
        Column("decoding_id", CAT, "", "sampling settings, spelled out in run.json"),
        Column("grader_agrees", BOOL, "", "a second grader gives the same verdict", nullable=True),
        Column("seed", I64, "", "seed of this attempt's random numbers"),
        Column("response_id", I64, "", "row of the answer's text in the responses file of the same name", nullable=True),
    ),
    per_step=True,
)  # fmt: skip

RESPONSES = Table(
    "responses", "answer text that was kept", ("response_id", "run_id", "origin", "draw", "step"),
    (
        Column("response_id", I64, "", "row number, referred to by attempts.response_id of the file of the same name"),
        RUN_ID, ORIGIN, DRAW, QUESTION_IX, STEP, ATTEMPT,
        Column("text", STR, "", "the answer as decoded, special tokens left out"),
    ),
    per_step=True,
)  # fmt: skip

TRAJECTORIES = Table(
    "trajectories", "question at a step", ("run_id", "origin", "draw", "step", "question_ix"),
    (
        RUN_ID, ORIGIN, DRAW, STEP, QUESTION_IX,
        Column("n_attempts", I32, "attempts", "attempts made"),
        Column("n_correct", I32, "attempts", "attempts judged correct"),
        Column("n_undecided", I32, "attempts", "attempts the grader could not decide; never counted as wrong"),
        Column("n_truncated", I32, "attempts", "attempts known to be cut off at max_tokens"),
        Column("n_distinct_answers", I32, "answers", "different final answers among the attempts"),
        Column("mean_tokens", F32, "tokens", "mean length of the answers; null where no length is known", nullable=True),
        Column("mean_tokens_correct", F32, "tokens", "mean length of the correct ones; null if there are none or no length is known", nullable=True),
        Column("mean_entropy", F32, "nats", "mean of the attempts' mean_entropy", nullable=True),
        Column("rl_exposures", I32, "steps", "steps so far whose RL update used an attempt at this question"),
        Column("sft_exposures", I32, "uses", "times so far a demonstration of this question was trained on"),
        Column("in_buffer", BOOL, "", "a demonstration of this question waits in the buffer after this step"),
    ),
    per_step=True,
)  # fmt: skip

DEMONSTRATIONS = Table(
    "demonstrations", "demonstration offered to the run", ("demo_id",),
    (
        Column("demo_id", STR, "", "content hash of question and text"),
        QUESTION_IX,
        Column("source", CAT, "", "dataset, teacher, human or self"),
        Column("text", STR, "", "the demonstration"),
        Column("n_tokens", I32, "tokens", "its length, the end token included"),
        Column("verified", BOOL, "", "the grader found its answer correct"),
        Column("accepted", BOOL, "", "it may be trained on"),
        Column("reject_reason", CAT, "", "wrong_answer, undecided, too_long, empty, no_final_answer, duplicate, teacher_error", nullable=True),
        Column("cost", F64, "USD", "what the teacher charged", nullable=True),
        Column("step", I32, "", "step before which it arrived; null: there from the start", nullable=True),
        Column("sum_logprob_base", F64, "nats", "log-probability of its tokens under the base model", nullable=True),
    ),
    per_step=False,
)  # fmt: skip

DEMO_EVENTS = Table(
    "demo_events", "event of a demonstration", ("run_id", "event_ix"),
    (
        RUN_ID,
        Column("event_ix", I64, "", "running number of the event in the run"),
        STEP,
        Column("demo_id", STR, "", "the demonstration"),
        QUESTION_IX,
        Column("event", CAT, "", "enqueue, train or evict"),
        Column("reason", CAT, "", "why it was evicted (age, solved, capacity), or refused: the update it was in was not made, it was not trained on", nullable=True),
        Column("buffer_len", I32, "demonstrations", "length of the buffer after the event"),
        Column("age_steps", I32, "steps", "steps since it was enqueued; null when it never was", nullable=True),
        Column("n_correct", I32, "attempts", "correct attempts in the last group that called for it", nullable=True),
        Column("n_attempts", I32, "attempts", "attempts in that group", nullable=True),
    ),
    per_step=True,
)  # fmt: skip

UPDATES = Table(
    "updates", "optimizer step", ("run_id", "update"),
    (
        RUN_ID,
        Column("update", I64, "", "running number of the optimizer step in the run"),
        STEP,
        Column("kind", CAT, "", "rl, sft or mixed"),
        Column("optimizer", CAT, "", "name of the optimizer that stepped"),
        Column("loss", F64, "", "value of the objective, all components (non-finite values are kept)"),
        Column("grad_norm", F64, "", "norm of the gradient before clipping (non-finite values are kept)"),
        Column("lr", F64, "", "learning rate in force"),
        Column("n_sequences", I32, "sequences", "sequences that were trained on"),
        Column("n_tokens", I64, "tokens", "completion tokens that were trained on"),
        Column("entropy", F64, "nats", "mean entropy of the policy on those tokens", nullable=True),
        Column("sampler_kl", F64, "nats", "mean of log p_sampler - log p_learner on rollout tokens: how far the two disagree", nullable=True),
        Column("n_sampled_tokens", I64, "tokens", "rollout tokens whose log-probability the sampler told: what the next three are of", nullable=True),
        Column("sampler_gap", F64, "nats", "mean of |log p_learner - log p_sampler| on those tokens", nullable=True),
        Column("sampler_gap_p99", F64, "nats", "its 99th percentile over those tokens, at most 7.5 % too large", nullable=True),
        Column("effective_tokens", F64, "tokens", "(sum w)^2 / sum w^2 with w = p_learner / p_sampler: how many tokens those are worth", nullable=True),
        Column("clip_fraction", F64, "", "share of rollout tokens whose gradient the clip removed", nullable=True),
        Column("skipped", BOOL, "", "no step was made: loss or gradient was not finite"),
        Column("seconds", F64, "seconds", "wall time of the update", clock=True),
    ),
    per_step=True,
)  # fmt: skip

CHECKPOINTS = Table(
    "checkpoints", "checkpoint", ("run_id", "step"),
    (
        RUN_ID, STEP,
        Column("kind", CAT, "", "base, train or final"),
        Column("rl_updates", I64, "updates", "RL updates so far"),
        Column("sft_updates", I64, "updates", "SFT updates so far"),
        Column("samples", I64, "attempts", "training rollouts so far"),
        Column("generated_tokens", I64, "tokens", "tokens of training rollouts so far"),
        Column("trained_tokens", I64, "tokens", "completion tokens trained on so far"),
        Column("demonstration_tokens", I64, "tokens", "of these, tokens of demonstrations"),
        Column("demonstrations", I64, "uses", "demonstrations trained on so far, repeats counted"),
        Column("distinct_demonstrations", I64, "demonstrations", "different demonstrations trained on so far"),
        Column("wall_seconds", F64, "seconds", "training time so far, pauses left out", clock=True),
        Column("kl_to_base", F64, "nats", "mean per-token KL(policy || base) on probe answers", nullable=True),
        Column("path", STR, "", "folder of the weights inside the run; null once retired", nullable=True),
    ),
    per_step=False,
)  # fmt: skip

SCORES = Table(
    "scores", "score", ("run_id", "step", "benchmark", "metric", "parameter", "estimand"),
    (
        RUN_ID, STEP,
        Column("benchmark", CAT, "", "name of the benchmark"),
        Column("metric", CAT, "", "avg, pass, maj or cover"),
        Column("parameter", F64, "", "k, or tau of cover"),
        Column("estimand", CAT, "", "these questions, or questions like these"),
        Column("value", F64, "", "the score"),
        Column("ci_low", F64, "", "lower end of the 95 % interval", nullable=True),
        Column("ci_high", F64, "", "upper end of the 95 % interval", nullable=True),
        Column("n_questions", I32, "questions", "questions that entered"),
        Column("n_attempts", I64, "attempts", "decided attempts that entered"),
    ),
    per_step=False,
)  # fmt: skip

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        QUESTIONS, ATTEMPTS, RESPONSES, TRAJECTORIES, DEMONSTRATIONS, DEMO_EVENTS, UPDATES, CHECKPOINTS, SCORES,
    )
}  # fmt: skip
