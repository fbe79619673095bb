"""One model under one protocol into one folder: from a plan and an engine to scores."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from relift.engines.texts import Answerer
from relift.errors import ReliftError
from relift.evaluate.collect import DEFAULT_COMMITS, WARN_UNDECIDED, Commits, collect, guard
from relift.evaluate.folder import open_session, protocol_values, require_kind_of_run
from relift.evaluate.identity import default_folder, identity_of, require_same, sampling_values
from relift.evaluate.models import Model
from relift.evaluate.parts import PartWriter, committed_attempts, next_part
from relift.evaluate.plan import AskOf, Item, Place, Plan, asks_of
from relift.evaluate.progress import display
from relift.evaluate.tally import Standing, Tally
from relift.fingerprints import digest, plain_name, versions
from relift.grading import Grader
from relift.schema import Origin
from relift.store import RunReader, RunWriter
from relift.terminal import signals_raise, warn_on

Score = Callable[[Path], pd.DataFrame]
OpenAnswerer = Callable[[Path | None], Answerer]  # with its ledger in this file, None: without one
ROOT = Path("runs") / "eval"
LEDGER = "requests.jsonl"
NUMERICS = "numerics"  # of an engine's description: what moves the last bit of a logit; recorded, no part of identity


@dataclass(frozen=True)
class Outcome:
    """What an evaluation came to. `asked`: answers that were sampled now, not by an earlier start."""

    folder: Path
    standings: tuple[Standing, ...]
    asked: int


def require_resumable_folder(plan: Plan, model: Model, folder: Path | None, *, kind: str) -> None:
    """Refuse another run's folder before an engine is opened: what is known without one is compared."""
    if folder is not None and (folder / "run.json").is_file():
        stored = RunReader(folder).run_json
        require_kind_of_run(stored, kind, folder=folder)
        require_same(stored["identity"], identity_without_engine(plan, model), folder=folder)


def identity_without_engine(plan: Plan, model: Model) -> dict[str, Any]:
    """What is known of the identity before an engine is opened."""
    return _identity(plan, model, engine=None)


def _identity(plan: Plan, model: Model, *, engine: Mapping[str, object] | None) -> dict[str, Any]:
    return identity_of(
        plan,
        model=model.fingerprint,
        revision=model.source.revision,
        chat_template=model.chat_template,
        engine=engine,
    )


def evaluate(
    plan: Plan,
    model: Model,
    *,
    open_answerer: OpenAnswerer,
    grader: Grader,
    folder: Path | None,
    options: Mapping[str, Any],
    score: Score,
    console: Console,
    commits: Commits = DEFAULT_COMMITS,
    root: Path = ROOT,
    origin: Origin = Origin.benchmark,
) -> Outcome:
    """Sample what is missing, grade, commit, score. `folder` None: the identity's own under `root`. `origin` probe
    makes a run of kind probe, which has trajectories and no scores.

    The engine is entered only if something is missing.

    Raises ResumeRefused, InputError with nothing written; what `collect` raises with what had arrived committed;
    relift.terminal.Stopped after a signal.
    """
    warn = warn_on(console)
    engine = open_answerer(None).describe()
    identity = _identity(plan, model, engine={name: value for name, value in engine.items() if name != NUMERICS})
    folder = folder or default_folder(root, identity, model=model.source.name, protocol=plan.protocol.name)
    place = Place(origin, step=model.source.step or 0, decoding_id=str(origin))
    answerer = open_answerer(folder / LEDGER)
    answerer.check([of.ask for of in missing_asks(folder, plan, place)], plan.sampling)
    facts = facts_of(plan, model, grader, folder, core=identity, engine=engine, origin=origin)
    with open_session(folder, plan, identity=identity, facts=facts, options=options, warn=warn) as session:
        done = committed_attempts(session.reader, place)
        tally = Tally(session.members())
        tally.add_frame(done)
        asks = asks_of(session.items, place, seed=plan.seed, done=pairs(done))
        with keeping_totals(session.writer, tally):
            if asks:
                samples = {item.question_ix: item.samples for item in session.items}
                parts = PartWriter(session.writer, place, next_part(session.reader, place), samples)
                sample(
                    parts, asks, plan, answerer=answerer, grader=grader, tally=tally, commits=commits, console=console
                )
            guard(Counter(), tally, least=1)  # answers of earlier starts alone may be too many undecided ones
        standings = tuple(tally.standings())
        complete = all(s.done == s.total for s in standings)
        if origin is Origin.benchmark:
            session.writer.write_whole("scores", score(folder))
        session.writer.update_run_json(status="done" if complete else "interrupted")
    if tally.undecided > WARN_UNDECIDED * tally.answers:
        warn(f"{tally.undecided} of {tally.answers} verdicts are undecided, {tally.undecided / tally.answers:.1%}")
    return Outcome(folder, standings, len(asks))


def sample(
    parts: PartWriter,
    asks: Sequence[AskOf],
    plan: Plan,
    *,
    answerer: Answerer,
    grader: Grader,
    tally: Tally,
    commits: Commits,
    console: Console,
) -> None:
    """Open the engine and collect the answers, with a display. A signal raises relift.terminal.Stopped."""
    golds = sorted({of.item.question.answer for of in asks if of.item.question.answer_kind == "math"})
    if golds:  # else nobody needs the workers
        grader.prepare(golds)
    with signals_raise(), answerer, display(console, tally) as show:
        collect(
            asks, answerer=answerer, sampling=plan.sampling, grader=grader, parts=parts, tally=tally, commits=commits,
            on_change=show,
        )  # fmt: skip


@contextmanager
def keeping_totals(writer: RunWriter, tally: Tally) -> Iterator[None]:
    """However the work inside ends: status "interrupted" unless it ends well, and the totals of this start added."""
    began, answers, tokens = time.monotonic(), tally.answers, tally.tokens
    status = "interrupted"
    try:
        yield
        status = "running"
    finally:
        before = writer.run_json["totals"]
        totals = {
            "answers": before["answers"] + tally.answers - answers,
            "tokens": before["tokens"] + tally.tokens - tokens,
            "seconds": round(before["seconds"] + time.monotonic() - began, 3),
        }
        with suppress(ReliftError):  # a store that fails has said so already
            writer.update_run_json(status=status, totals=totals)


def missing_asks(folder: Path, plan: Plan, place: Place) -> list[AskOf]:
    """What a start in this folder will ask, before anything of it is opened for writing."""
    known: dict[str, int] = {}
    done: frozenset[tuple[int, int]] = frozenset()
    if (folder / "run.json").is_file():
        reader = RunReader(folder)
        table = reader.read("questions", columns=["question_id", "question_ix"])
        known = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
        done = pairs(committed_attempts(reader, place))
    items = [
        Item(question, known.get(q, -1), plan.prompts[q], plan.samples[q]) for q, question in plan.questions.items()
    ]
    return asks_of(items, place, seed=plan.seed, done=done)


def pairs(attempts: pd.DataFrame) -> frozenset[tuple[int, int]]:
    """(question_ix, attempt) of each row."""
    return frozenset(zip(attempts["question_ix"].tolist(), attempts["attempt"].tolist(), strict=True))


def facts_of(
    plan: Plan,
    model: Model,
    grader: Grader,
    folder: Path,
    *,
    core: Mapping[str, Any],
    engine: Mapping[str, object],
    origin: Origin,
) -> dict[str, Any]:
    """run.json but for identity, benchmarks, status and totals."""
    source, kind = model.source, "eval" if origin is Origin.benchmark else str(origin)
    described = grader.describe()
    kinds = {question.answer_kind for question in plan.questions.values()}
    return {
        "run_id": f"{plain_name(folder)}-{digest({**core, 'prompts': None})[:8]}",
        "kind": kind,
        "recipe": kind,
        "name": source.name,
        "seed": plan.seed,
        "model": {
            "name": source.name, "path": source.path, "revision": source.revision, "fingerprint": model.fingerprint,
            "run_id": source.run_id, "step": source.step,
        },
        "protocol": protocol_values(plan.protocol),
        "decodings": {str(origin): sampling_values(plan.sampling)},
        "graders": {kind: facts for kind, facts in described.items() if kind in kinds},
        "second_grader": described.get("second"),
        "engine": dict(engine),
        "exact": True,
        "versions": versions(),
        "hardware": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }  # fmt: skip
