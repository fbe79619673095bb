"""Run `relift probe`: per-question accuracy of any checkpoint, in a run of its own or added to a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from relift.analysis.scores.table import render_scores, scored_run
from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.benchmarks.prompting import render_prompt
from relift.data.questions import read_questions
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.evaluate.append import append
from relift.evaluate.command import ending_on_signals, opened_work, protocol_of, require_options
from relift.evaluate.evaluate import LEDGER, evaluate
from relift.evaluate.identity import sampling_values
from relift.evaluate.models import Model, read_model
from relift.evaluate.options import EvalOptions
from relift.evaluate.plan import Destination, Plan, make_plan, require_room
from relift.evaluate.run_settings import run_settings
from relift.evaluate.tally import Standing
from relift.fingerprints import digest
from relift.grading import Grader, require_kind
from relift.grading.gold_check import kind_of_golds, require_readable_golds
from relift.inert import PlainConsole
from relift.schema import Origin, Question
from relift.store import RunReader, RunWriter
from relift.terminal import warn_on

ROOT = Path("runs") / "probe"
SAMPLES = 8  # attempts at each question where --samples does not say


@dataclass(frozen=True)
class Into:
    """The training run, step and draw that a probe goes to. `step` None: the checkpoint's own."""

    run: Path
    step: int | None
    draw: int


def run_probe(options: EvalOptions, *, questions: str, into: Into | None) -> None:
    """Probe one model. Raises InputError with nothing written; exit status 130 or 143 after a signal."""
    if len(options.models) != 1:
        raise InputError("relift probe takes one MODEL")
    require_options(options)
    console = PlainConsole(stderr=True, quiet=options.quiet)
    options = replace(options, samples=options.samples or SAMPLES)
    loaded = loaded_questions(questions, warn=warn_on(console))
    with ending_on_signals(console):
        if into is None:
            folder = probe_alone(options, loaded, console)
            print(render_scores([scored_run(folder, origin=Origin.probe)]))
            console.print(f"answers: {folder}", soft_wrap=True, markup=False, highlight=False)
        else:
            for standing in probe_into(into, options, loaded, console):
                print(standing_line(standing))


def standing_line(s: Standing) -> str:
    """Say in a sentence what came of a destination; the interval is that for questions like these."""
    if s.mean is None or s.low is None or s.high is None:
        return f"{s.name}: {s.done} answers to {s.n_questions} questions, none decided"
    return (
        f"{s.name}: {s.n_questions} questions, {s.done} answers, {100 * s.mean:.1f} % correct [{100 * s.low:.1f}, "
        f"{100 * s.high:.1f}]; {s.n_truncated} truncated, {s.n_undecided} undecided"
    )


def loaded_questions(source: str, *, warn: Callable[[str], None]) -> LoadedBenchmark:
    """Read a file of questions as a benchmark of its own, named after it. Raises InputError for golds nobody reads."""
    read = read_questions(source, answer_kind=kind_of_golds, repeats="equal")
    for note in read.notes:
        warn(f"{source}: {note}")
    kinds = sorted({q.answer_kind for q in read.questions})
    for kind in kinds:
        require_kind(kind)
    with Grader() as grader:
        require_readable_golds(source, read.questions, grader, row_of=read.row_of, warn=warn)
    name = Path(source).stem if not source.startswith("hf:") else source.removeprefix("hf:").replace("/", "-")
    benchmark = Benchmark(name, name, kinds[0], len(read.questions))
    return LoadedBenchmark(benchmark, read.questions, digest(read.fingerprint), None, source, pinned=False)


def probe_plan(
    model: Model, loaded: LoadedBenchmark, *, protocol: Protocol, sampling: Sampling, seed: int, samples: int
) -> Plan:
    """Plan `samples` attempts at every question, put as the protocol says."""

    def prompt(question: Question, benchmark: Benchmark):  # type: ignore[no-untyped-def]
        mine = replace(benchmark, answer_kind=question.answer_kind)
        return render_prompt(question, protocol=protocol, benchmark=mine, tokenizer=model.tokenizer)

    plan = make_plan([loaded], protocol=protocol, sampling=sampling, seed=seed, samples=samples, render=prompt)
    require_room(plan, model.context, stretched=model.stretched)
    return plan


def probe_alone(options: EvalOptions, loaded: LoadedBenchmark, console: Console) -> Path:
    """Probe into a run of kind probe."""
    protocol = protocol_of(options)
    model = _model(options, options.models[0], console)
    sampling = replace(protocol.sampling, stop_token_ids=model.stop_token_ids)
    plan = probe_plan(
        model, loaded, protocol=protocol, sampling=sampling, seed=options.seed, samples=options.samples or SAMPLES
    )
    with opened_work(model, options, protocol, console=console) as work:
        outcome = evaluate(
            plan,
            model,
            work=work,
            folder=options.out,
            options=options.record(options.models[0]),
            root=ROOT,
            origin=Origin.probe,
        )
    return outcome.folder


def probe_into(into: Into, options: EvalOptions, loaded: LoadedBenchmark, console: Console) -> tuple[Standing, ...]:
    """Add attempts of origin probe to a training run, with its own template, sampling, seed unless others are given."""
    settings = run_settings(RunReader(into.run))
    if settings.origin is not Origin.probe:
        raise InputError(f"{into.run}: an evaluation holds no probes: name a training run, or leave --into out")
    model = _model(options, options.models[0], console)
    step = model.source.step if into.step is None else into.step
    if step is None:
        raise InputError(f"MODEL {options.models[0]!r} is no checkpoint of a run: say with --step which step it is")
    sampling = replace(
        settings.sampling,
        stop_token_ids=model.stop_token_ids,
        max_tokens=options.max_tokens or settings.sampling.max_tokens,
        temperature=settings.sampling.temperature if options.temperature is None else options.temperature,
        top_p=settings.sampling.top_p if options.top_p is None else options.top_p,
    )
    protocol = replace(settings.protocol, sampling=sampling, template=options.template or settings.protocol.template)
    plan = probe_plan(
        model, loaded, protocol=protocol, sampling=sampling, seed=settings.seed, samples=options.samples or SAMPLES
    )
    same = sampling == replace(settings.sampling, stop_token_ids=model.stop_token_ids)
    decoding = "probe" if same else f"probe-{digest(sampling_values(sampling))[:6]}"
    destination = Destination(Origin.probe, into.draw, step, decoding, policy_version=step)
    return append_to(into.run, destination, plan, model, options, why=loaded.benchmark.name, console=console)


def append_to(
    folder: Path,
    destination: Destination,
    plan: Plan,
    model: Model,
    options: EvalOptions,
    *,
    why: str,
    console: Console,
) -> tuple[Standing, ...]:
    """Take the run folder, open grader and engine, and append."""
    with (
        RunWriter(folder, on_event=warn_on(console)) as writer,
        opened_work(model, options, plan.protocol, console=console) as work,
    ):
        work.answerer.ledger = folder / LEDGER
        return append(writer, destination, plan, model, why=why, work=work)


def _model(options: EvalOptions, name: str, console: Console) -> Model:
    return read_model(
        name,
        engine=options.engine,
        revision=options.revision,
        tokenizer=options.tokenizer,
        warn=warn_on(console),
    )
