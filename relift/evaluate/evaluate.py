"""Evaluate one model under one protocol into one folder: from a plan and an engine to scores."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relift.analysis.scores.score import score_run
from relift.errors import ReliftError, RunInUse
from relift.evaluate.collect import guard
from relift.evaluate.fill import Work, assign, fill
from relift.evaluate.folder import begin, go_on, protocol_values, require_resumable, wanted_samples
from relift.evaluate.identity import Identity, default_folder, identity_of, sampling_values
from relift.evaluate.models import Model
from relift.evaluate.plan import Destination, Plan
from relift.evaluate.tally import Standing, Tally
from relift.fingerprints import digest, plain_name, plain_values, versions
from relift.run_record import RecordedModel, RunRecord, Spent
from relift.schema import WARN_UNDECIDED, Origin, RunKind, RunStatus
from relift.store import RunReader, RunWriter
from relift.terminal import warn_on

ROOT = Path("runs") / "eval"
LEDGER = "requests.jsonl"


@dataclass(frozen=True)
class Outcome:
    """The result of an evaluation. `asked`: answers that were sampled now, not by an earlier start."""

    folder: Path
    standings: tuple[Standing, ...]
    asked: int


def evaluate(
    plan: Plan,
    model: Model,
    *,
    work: Work,
    folder: Path | None,
    options: Mapping[str, Any],
    root: Path = ROOT,
    origin: Origin = Origin.benchmark,
) -> Outcome:
    """Sample what is missing, grade, commit, score. `folder` None: the identity's own under `root`. `origin` probe
    makes a run of kind probe, which has trajectories and no scores.

    Raises ResumeRefused, InputError with nothing written; what `fill` raises with what had arrived committed.
    """
    engine = work.answerer.describe()
    identity = identity_of(plan, model, engine=engine)
    folder = folder or default_folder(root, identity, model=model.source.name, protocol=plan.protocol.name)
    work.answerer.ledger = folder / LEDGER
    now = record_of(plan, model, work, folder, identity=identity, engine=engine, origin=origin)
    destination = Destination(origin, step=model.source.step or 0, decoding_id=str(origin))
    warn = warn_on(work.console)
    with ExitStack() as stack:
        writer, samples = None, plan.samples
        if (folder / "run.json").is_file():
            writer = stack.enter_context(RunWriter(folder, on_event=warn))
            require_resumable(writer.run, now, plan=plan, folder=folder)
            samples = wanted_samples(plan, writer.run)
        assignment = assign(RunReader(folder) if writer else None, destination, plan, samples=samples)
        work.answerer.check([planned.request for planned in assignment.attempts], plan.sampling)
        if writer is not None:
            go_on(writer, assignment, now, warn=warn)
        else:
            writer = stack.enter_context(RunWriter(folder, on_event=warn))
            if not writer.is_new:
                raise RunInUse(f"{folder}: another process has just begun a run there: start again")
            begin(writer, assignment, now, options=options)
        tally = Tally({name: (of.question_ixs, of.samples or 0) for name, of in writer.run.benchmarks.items()})
        tally.add_frame(assignment.done)
        with keeping_totals(writer, tally):
            fill(writer, assignment, work, tally)
            guard(Counter(), tally, least=1)  # answers of earlier starts alone may be too many undecided ones
        standings = tuple(tally.standings())
        if origin is Origin.benchmark:
            writer.write_whole("scores", score_run(folder))
        complete = all(s.done == s.total for s in standings)
        writer.update_run(status=RunStatus.done if complete else RunStatus.interrupted)
    if tally.undecided > WARN_UNDECIDED * tally.answers:
        warn(f"{tally.undecided} of {tally.answers} verdicts are undecided, {tally.undecided / tally.answers:.1%}")
    return Outcome(folder, standings, len(assignment.attempts))


@contextmanager
def keeping_totals(writer: RunWriter, tally: Tally) -> Iterator[None]:
    """Add this start's totals to the record however the work inside ends; unless it ends well, say "interrupted"."""
    began, answers, tokens = time.monotonic(), tally.answers, tally.tokens
    status = RunStatus.interrupted
    try:
        yield
        status = RunStatus.running
    finally:
        before = writer.run.totals or Spent()
        totals = replace(
            before,
            answers=before.answers + tally.answers - answers,
            tokens=before.tokens + tally.tokens - tokens,
            seconds=round(before.seconds + time.monotonic() - began, 3),
        )
        with suppress(ReliftError):  # a store that fails has said so already
            writer.update_run(status=status, totals=totals)


def record_of(
    plan: Plan,
    model: Model,
    work: Work,
    folder: Path,
    *,
    identity: Identity,
    engine: Mapping[str, object],
    origin: Origin,
) -> RunRecord:
    """Make the record of this evaluation but for its benchmarks."""
    source = model.source
    kind = RunKind.eval if origin is Origin.benchmark else RunKind.probe
    described = plain_values(work.grader.describe())
    answer_kinds = {question.answer_kind for question in plan.questions.values()}
    return RunRecord(
        run_id=f"{plain_name(folder)}-{digest({**identity, 'prompts': None})[:8]}",
        kind=kind,
        recipe=str(kind),
        name=source.name,
        seed=plan.seed,
        status=RunStatus.running,
        identity=identity,
        model=RecordedModel(
            name=source.name,
            path=source.path,
            revision=source.revision,
            fingerprint=model.fingerprint,
            run_id=source.run_id,
            step=source.step,
        ),
        protocol=protocol_values(plan.protocol),
        decodings={str(origin): sampling_values(plan.sampling)},
        graders={kind: facts for kind, facts in described.items() if kind in answer_kinds},
        second_grader=described.get("second"),
        engine=plain_values(engine),
        versions=versions(),
        hardware={"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        totals=Spent(),
    )
