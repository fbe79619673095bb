"""Run `relift eval`: options in, a run folder and a table out. Torch is imported by the engines that need it."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from rich.console import Console

from relift.analysis.scores.table import render_scores, scored_run
from relift.analysis.scores.text_table import Format
from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.benchmarks.load import find_benchmarks, load_benchmark
from relift.benchmarks.prompting import render_prompt
from relift.benchmarks.protocols import DEFAULT, customised, default_protocol, find_protocol
from relift.benchmarks.sample import limited
from relift.engines.open import engine_kind, make_options, open_answerer
from relift.errors import InputError
from relift.evaluate.estimate import plan_values, print_plan
from relift.evaluate.evaluate import Outcome, evaluate
from relift.evaluate.fill import Work
from relift.evaluate.models import Model, read_model
from relift.evaluate.options import EvalOptions
from relift.evaluate.plan import Plan, make_plan, require_room
from relift.evaluate.samples import sample_answers
from relift.grading import Grader, require_grader
from relift.inert import PlainConsole
from relift.terminal import Stopped, warn_on

LOADING = ("torch", "vllm")  # engines that read weights when they are entered


@dataclass(frozen=True)
class Prepared:
    """A model and what it is to be asked; nothing has been written and no weights have been read."""

    name: str
    model: Model
    plan: Plan


def run_eval(options: EvalOptions, *, format: Format) -> None:
    """Evaluate every model, print one table. Exit status 130 or 143 after a signal, committed answers kept."""
    console = PlainConsole(stderr=True, quiet=options.quiet)
    prepared = prepare(options, console)
    with ending_on_signals(console):
        outcomes = [evaluate_one(each, options, console=console) for each in prepared]
    print(render_scores([scored_run(outcome.folder) for outcome in outcomes], format=format))
    for outcome in outcomes if options.show else ():
        # Beside a table for programs they go where programs do not read.
        print(f"\n{sample_answers(outcome.folder, options.show)}", file=None if format == "terminal" else sys.stderr)
    for outcome in outcomes:
        console.print(f"answers: {outcome.folder}", soft_wrap=True, markup=False, highlight=False)


@contextmanager
def ending_on_signals(console: Console) -> Iterator[None]:
    """After a signal: a line, and the exit status that shells expect of it."""
    try:
        yield
    except Stopped as stop:
        console.print("stopped; what had arrived is kept: start the same command again to continue", soft_wrap=True)
        sys.exit(128 + stop.number)


def run_plan(options: EvalOptions, *, tokens_per_second: float | None, as_json: bool) -> None:
    """Say what an evaluation would cost and could detect. Writes nothing, opens no engine."""
    prepared = prepare(options, PlainConsole(stderr=True, quiet=options.quiet))
    if as_json:
        values = [plan_values(each.plan, model=each.name, tokens_per_second=tokens_per_second) for each in prepared]
        print(json.dumps({"plans": values}, indent=2))
        return
    for each in prepared:
        print_plan(each.plan, model=each.name, tokens_per_second=tokens_per_second)


def evaluate_one(prepared: Prepared, options: EvalOptions, *, console: Console) -> Outcome:
    """Evaluate one model into its folder."""
    with opened_work(prepared.model, options, prepared.plan.protocol, console=console) as work:
        return evaluate(
            prepared.plan,
            prepared.model,
            work=work,
            folder=options.out,
            options=options.record(prepared.name),
        )


@contextmanager
def opened_work(model: Model, options: EvalOptions, protocol: Protocol, *, console: Console) -> Iterator[Work]:
    """Open the grader and make the engine, which is entered when there is something to ask. Raises InputError."""
    warn = warn_on(console)
    tags = tuple(protocol.thinking)
    with Grader(grader=protocol.grader, second=options.second_grader, tags=tags, warn=warn) as grader:
        given: dict[str, Any] = {"tokenizer": options.tokenizer}
        if tags and "thinking" not in options.engine_options:
            given["thinking"] = tuple(tags[0])
        settings = make_options(options.engine, options.engine_options, **given)
        answerer = open_answerer(options.engine, model.source, options=settings, on_event=warn)
        loading = f"loading {model.source.path} ({options.engine})" if options.engine in LOADING else None
        yield Work(answerer, grader, console, options.commits, loading)


def prepare(options: EvalOptions, console: Console) -> list[Prepared]:
    """Everything that can be wrong with the input is found here, for all models, before weights are read."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    require_options(options)
    benchmarks = benchmarks_of(options.benchmarks)
    protocol = protocol_of(options, default=default_protocol(benchmarks))
    loaded = [limited(load_benchmark(benchmark, data=options.data), options.limit) for benchmark in benchmarks]
    for each in loaded:
        for note in each.notes:
            console.print(f"{each.benchmark.name}: {note}", soft_wrap=True, markup=False, highlight=False)
    return [prepare_one(name, options, protocol, loaded, console) for name in options.models]


def require_options(options: EvalOptions) -> None:
    """Refuse what can be seen to be wrong before anything is read. Raises InputError."""
    if not options.models:
        raise InputError("no MODEL is named: give a checkpoint's folder, a hub id, a training run or RUN@STEP")
    if options.out is not None and len(options.models) > 1:
        raise InputError(f"--out is one folder for {len(options.models)} models: leave it out, or evaluate one model")
    if options.top_p is not None and not 0 < options.top_p <= 1:
        raise InputError(f"--top-p {options.top_p:g}: it must be above 0 and at most 1")
    if options.temperature is not None and not math.isfinite(options.temperature):
        raise InputError(f"--temperature {options.temperature}: a finite number is needed")
    engine_kind(options.engine)
    if options.second_grader is not None:
        require_grader(options.second_grader)


def prepare_one(
    name: str, options: EvalOptions, protocol: Protocol, loaded: Sequence[LoadedBenchmark], console: Console
) -> Prepared:
    model = read_model(
        name,
        engine=options.engine,
        revision=options.revision,
        tokenizer=options.tokenizer,
        warn=warn_on(console),
    )
    sampling = replace(protocol.sampling, stop_token_ids=model.stop_token_ids)
    if model.recorded_with is not None:  # the protocol may choose the grader; how answers were drawn is past
        sampling = model.recorded_with
        drawn = {f.name: getattr(sampling, f.name) for f in fields(sampling) if f.name != "stop_token_ids"}
        protocol = customised(protocol, **drawn)
    plan = make_plan(
        loaded,
        protocol=protocol,
        sampling=sampling,
        seed=options.seed,
        samples=options.samples,
        render=lambda question, benchmark: render_prompt(
            question, protocol=protocol, benchmark=benchmark, tokenizer=model.tokenizer
        ),
    )
    require_room(plan, model.context, stretched=model.stretched)
    return Prepared(name, model, plan)


def protocol_of(options: EvalOptions, *, default: str = DEFAULT) -> Protocol:
    """The preset with what the command changes of it; then it is called "custom (from NAME)"."""
    return customised(
        find_protocol(default if options.protocol is None else options.protocol),
        samples=options.samples,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        template=options.template,
    )


def benchmarks_of(wanted: Sequence[str]) -> list[Benchmark]:
    """Benchmarks by name or group, `a,b` taken apart. Raises InputError with the nearest names."""
    names = [name.strip() for each in wanted for name in each.split(",") if name.strip()]
    if not names:
        raise InputError("no benchmark is named: give -b NAME[,NAME...]; see: relift eval --list")
    return find_benchmarks(names)
