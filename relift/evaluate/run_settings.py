"""How a run that is there puts its questions, so that more attempts at them are put the same way."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.benchmarks.prompting import render_prompt
from relift.benchmarks.table import BENCHMARKS
from relift.config import read_recorded
from relift.engines.texts import Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError, ResumeRefused
from relift.evaluate.identity import Identity
from relift.evaluate.models import Model, sampling_from
from relift.evaluate.plan import Plan, make_plan, prompts_hash
from relift.grading.extract import THINKING_TAGS
from relift.schema import Origin, Question
from relift.store import RunReader


@dataclass(frozen=True)
class Asking:
    """The settings of a run. `model`: what MODEL would name it; `fingerprint`: of its contents where run.json has it.

    `prompts`: identity.prompts of an evaluation, to be met again; empty for a training run.
    """

    protocol: Protocol
    sampling: Sampling
    seed: int
    origin: Origin
    step: int
    decoding_id: str
    model: str
    revision: str | None
    identity: Identity


def asking_of(reader: RunReader) -> Asking:
    """From run.json (evaluations, probes) or the configuration (training runs, which are probed at step 0)."""
    run = reader.run_json
    kind = run.get("kind")
    if kind in ("eval", "probe"):
        origin = Origin.benchmark if kind == "eval" else Origin.probe
        protocol = protocol_from(run["protocol"])
        sampling = sampling_from(run["decodings"][str(origin)])
        model = run["model"]
        return Asking(
            protocol, sampling, run["seed"], origin, model["step"] or 0, str(origin), model["path"],
            model["revision"], run["identity"],
        )  # fmt: skip
    if kind is not None or "probe" not in run.get("decodings", {}):
        raise InputError(f"{reader.folder}: a run of kind {kind or run.get('recipe')!r} has no probe to go on with")
    config = read_recorded(reader.config_toml, where=str(reader.folder / "config.toml"))
    sampling = sampling_from(run["decodings"]["probe"])
    protocol = Protocol(
        f"probe of {run['run_id']}",
        sampling,
        template=config.data.prompt,
        system=config.data.system,
        thinking=tuple(THINKING_TAGS),  # as the trainer's grader
    )
    return Asking(protocol, sampling, run["seed"], Origin.probe, 0, "probe", f"{reader.folder}@0", None, {})


def protocol_from(values: Mapping[str, Any]) -> Protocol:
    """The protocol that run.json spells out."""
    known = {f.name for f in fields(Protocol)}
    kept = {name: value for name, value in values.items() if name in known}
    kept["thinking"] = tuple((opening, closing) for opening, closing in kept["thinking"])
    return Protocol(**{**kept, "sampling": sampling_from(values["sampling"])})


def questions_of(reader: RunReader) -> list[tuple[int, Question]]:
    """(question_ix, question) of every question of the run, in order."""
    table = reader.read("questions").sort_values("question_ix")
    found = []
    for row in table.to_dict("records"):
        options = tuple(json.loads(row["options"])) if isinstance(row["options"], str) else ()
        named = {n: row[n] if isinstance(row[n], str) else None for n in ("subject", "level")}
        question = Question(
            row["question_id"], row["problem"], row["answer"], str(row["answer_kind"]), str(row["source"]),
            str(row["split"]), named["subject"], named["level"], options,
        )  # fmt: skip
        found.append((int(row["question_ix"]), question))
    return found


def plan_again(reader: RunReader, asking: Asking, model: Model, *, chosen: Collection[int], samples: int) -> Plan:
    """The plan of `samples` attempts at the chosen questions, put as the run put them.

    Raises ResumeRefused when a prompt is not the one that the run asked (another tokenizer or template).
    """
    questions = questions_of(reader)
    entries = reader.run_json.get("benchmarks", {})
    home = {ix: name for name, entry in reversed(entries.items()) for ix in entry["question_ixs"]}
    prompts = {ix: _prompt(q, home.get(ix, q.source), asking, model) for ix, q in questions}
    _require_same_prompts(reader, asking, prompts)
    render = {q.question_id: prompts[ix] for ix, q in questions}
    mine = [q for ix, q in questions if ix in chosen]
    benchmark = Benchmark("top-up", "Top-up", mine[0].answer_kind if mine else "exact", len(mine), samples=samples)
    loaded = LoadedBenchmark(benchmark, tuple(mine), "", None, str(reader.folder), pinned=False)
    return make_plan(
        [loaded], protocol=asking.protocol, sampling=asking.sampling, seed=asking.seed, samples=samples,
        render=lambda question, benchmark: render[question.question_id],
    )  # fmt: skip


def _require_same_prompts(reader: RunReader, asking: Asking, prompts: Mapping[int, Prompt]) -> None:
    """By the hashes of an evaluation's identity; in a training run by their lengths."""
    for name, was in asking.identity.get("prompts", {}).items():
        entry = reader.run_json["benchmarks"][name]
        if prompts_hash([prompts[ix] for ix in entry["question_ixs"]]) != was:
            raise ResumeRefused(
                f"{reader.folder}: the prompts of {name} are others now (tokenizer, template or options changed): "
                "the answers cannot be pooled"
            )
    table = reader.read("questions", columns=["question_ix", "prompt_tokens"])
    for ix, length in zip(table["question_ix"], table["prompt_tokens"], strict=True):
        now = len(prompts[ix].token_ids)
        if now != length:
            raise ResumeRefused(
                f"{reader.folder}: the prompt of question_ix {ix} had {length} tokens and has {now} now: the answers "
                "cannot be pooled"
            )


def _prompt(question: Question, benchmark: str, asking: Asking, model: Model) -> Prompt:
    declared = BENCHMARKS.get(benchmark) or Benchmark(benchmark, benchmark, question.answer_kind, 1)
    declared = replace(declared, answer_kind=question.answer_kind)
    return render_prompt(question, protocol=asking.protocol, benchmark=declared, tokenizer=model.tokenizer)
