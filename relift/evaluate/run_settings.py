"""Read the settings of an existing run, so that more attempts at its questions are put the same way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

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
from relift.run_record import RunRecord
from relift.schema import Origin, Question, RunKind
from relift.store import RunReader
from relift.store.rows import options_of


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run. `model`: what MODEL would name it; `identity`: that of an evaluation, to be met again;
    empty for a training run."""

    protocol: Protocol
    sampling: Sampling
    seed: int
    origin: Origin
    step: int
    decoding_id: str
    model: str
    revision: str | None
    identity: Identity


def run_settings(reader: RunReader) -> RunSettings:
    """Read them from the record (evaluations, probes) or the configuration (training runs, probed at step 0).

    Raises InputError for a run that cannot be gone on with.
    """
    run, folder = reader.run, reader.folder
    if run.kind is not RunKind.train:
        origin = Origin.benchmark if run.kind is RunKind.eval else Origin.probe
        protocol = _protocol_of(run, folder)
        sampling = sampling_from(run.decodings.get(str(origin), {}), where=folder)
        model = run.model
        if model is None or model.path is None or run.seed is None:
            raise InputError(f"{folder}: its record names no model and seed to go on with")
        return RunSettings(
            protocol, sampling, run.seed, origin, model.step or 0, str(origin), model.path, model.revision,
            run.identity,
        )  # fmt: skip
    if "probe" not in run.decodings or run.seed is None:
        raise InputError(f"{folder}: a run of recipe {run.recipe!r} has no probe to go on with")
    if run.imported_from is not None:
        raise InputError(
            f"{folder}: comes from {run.imported_from}, so relift cannot put questions as that did: probe its "
            "checkpoints with relift probe MODEL --questions FILE, into a run of their own"
        )
    config = read_recorded(reader.config_toml, where=str(folder / "config.toml"))
    sampling = sampling_from(run.decodings["probe"], where=folder)
    protocol = Protocol(
        f"probe of {run.run_id}",
        sampling,
        template=config.data.prompt,
        system=config.data.system,
        thinking=tuple(THINKING_TAGS),  # as the trainer's grader
    )
    return RunSettings(protocol, sampling, run.seed, Origin.probe, 0, "probe", f"{folder}@0", None, {})


def _protocol_of(run: RunRecord, folder: Path) -> Protocol:
    """Read the protocol that the record spells out."""
    known = {f.name for f in fields(Protocol)} - {"sampling"}
    kept = {name: value for name, value in run.protocol.items() if name in known}
    try:
        sampling = sampling_from(run.protocol["sampling"], where=folder)
        kept["thinking"] = tuple((str(opening), str(closing)) for opening, closing in kept["thinking"])
        return Protocol(**kept, sampling=sampling)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{folder}: its record spells out no protocol to go on with (it may be imported, or another's)"
        ) from None


def questions_of(reader: RunReader) -> list[tuple[int, Question]]:
    """(question_ix, question) of every question of the run, in order."""
    table = reader.read("questions").sort_values("question_ix")
    found = []
    for row in table.to_dict("records"):
        options = options_of(row["options"], where=reader.folder)
        named = {n: row[n] if isinstance(row[n], str) else None for n in ("subject", "level")}
        question = Question(
            row["question_id"], row["problem"], row["answer"], str(row["answer_kind"]), str(row["source"]),
            str(row["split"]), named["subject"], named["level"], options,
        )  # fmt: skip
        found.append((int(row["question_ix"]), question))
    return found


def plan_again(
    reader: RunReader, settings: RunSettings, model: Model, *, chosen: Collection[int], samples: int
) -> Plan:
    """The plan of `samples` attempts at the chosen questions, put as the run put them.

    Raises ResumeRefused when a prompt is not the one that the run asked (another tokenizer or template).
    """
    questions = questions_of(reader)
    benchmarks = reader.run.benchmarks
    home = {ix: of.sample_of or name for name, of in reversed(list(benchmarks.items())) for ix in of.question_ixs}
    prompts = {ix: _prompt(q, home.get(ix, q.source), settings, model) for ix, q in questions}
    _require_same_prompts(reader, settings, prompts)
    render = {q.question_id: prompts[ix] for ix, q in questions}
    mine = [q for ix, q in questions if ix in chosen]
    benchmark = Benchmark("top-up", "Top-up", mine[0].answer_kind if mine else "exact", len(mine), samples=samples)
    loaded = LoadedBenchmark(benchmark, tuple(mine), "", None, str(reader.folder), pinned=False)
    return make_plan(
        [loaded], protocol=settings.protocol, sampling=settings.sampling, seed=settings.seed, samples=samples,
        render=lambda question, benchmark: render[question.question_id],
    )  # fmt: skip


def _require_same_prompts(reader: RunReader, settings: RunSettings, prompts: Mapping[int, Prompt]) -> None:
    """By the hashes of an evaluation's identity; in a training run by their lengths."""
    for name, was in settings.identity.get("prompts", {}).items():
        entry = reader.run.benchmarks.get(name)
        if entry is None or prompts_hash([prompts[ix] for ix in entry.question_ixs]) != was:
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


def _prompt(question: Question, benchmark: str, settings: RunSettings, model: Model) -> Prompt:
    declared = BENCHMARKS.get(benchmark) or Benchmark(benchmark, benchmark, question.answer_kind, 1)
    declared = replace(declared, answer_kind=question.answer_kind)
    return render_prompt(question, protocol=settings.protocol, benchmark=declared, tokenizer=model.tokenizer)
