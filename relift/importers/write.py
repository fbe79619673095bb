"""Write a source as a run folder, whole or not at all: answers graded by us, trajectories, what the source lacks."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from relift.analysis.scores.score import score_run
from relift.errors import InputError, StoreError
from relift.fingerprints import digest, plain_name, plain_values, versions
from relift.grading import Grader, Judgement, Submission
from relift.importers.answers import About, Batch, ImportedAnswer, Source
from relift.run_record import RecordedBenchmark, RecordedModel, RunRecord, Spent
from relift.schema import Finish, Origin, Question, RunKind, RunStatus, Verdict
from relift.store import RunWriter, split_responses, trajectories_of
from relift.store.rows import attempt_row, attempts_frame, question_row

UNKNOWN_SEED = -1  # seeds are 0 or more
REWARD_RULE, NO_GOLD_RULE = "theirs.reward", "none.no_gold"


@dataclass
class _Written:
    """Keep what is needed until the end: the questions, their benchmarks, and what was missing where."""

    ix_of: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    benchmarks: dict[str, dict[str, int]] = field(default_factory=dict)  # attempts by question_id, by name
    places: dict[str, list[int]] = field(default_factory=dict)  # steps by origin
    answers: int = 0
    tokens: int = 0
    without: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Probes:
    """The questions that every probe asked, and how often each of them was asked at least, by step."""

    question_ids: frozenset[str]
    attempts: dict[int, int]


def write_imported(source: Source, into: Path, *, grader: Grader, where: Path) -> Path:
    """Write a source, which lies at `where`, as the new run folder `into`; return it.

    Raises InputError, with nothing written, for a source that cannot be read or holds nothing, and for a folder that
    holds something.
    """
    _require_free(into)
    probes = _probes(source)
    unfinished = into.with_name(f".{into.name}.importing-{os.getpid()}")
    written, name = _Written(), where.absolute().name
    try:
        with RunWriter(unfinished) as writer:
            place = digest([str(into.absolute()), str(where.absolute())])[:8]  # two folders of one name are two runs
            first = RunRecord(run_id=f"{plain_name(into)}-{place}", kind=RunKind.train, status=RunStatus.running)
            config = f"imported_from = {json.dumps(name)}\n"
            writer.start(first, config_toml=config, questions=_no_questions(), demonstrations=None)
            for part, batch in enumerate(source.batches()):
                _write_batch(writer, batch, part, probes, written, grader)
            if not written.answers:
                raise InputError(f"{where}: holds no answers")
            about = source.about()
            writer.write_whole("questions", pd.DataFrame(written.rows))
            record = _record(about, written, name=name, grader=grader)
            writer.update_run(**record)
            if about.kind is RunKind.eval:
                writer.write_whole("scores", score_run(unfinished))
        if into.is_dir():
            into.rmdir()
        unfinished.rename(into)
    except OSError as error:
        raise StoreError(f"{into}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return into


def _require_free(into: Path) -> None:
    try:
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise InputError(f"{into}: is there already: choose another folder")
        into.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{into}: cannot write there: {error.strerror}; choose another folder") from error


def _no_questions() -> pd.DataFrame:
    return pd.DataFrame(columns=list(question_row(Question("", "", ""), 0, prompt_tokens=None)))


def _probes(source: Source) -> _Probes:
    """Find what all probes have in common: an analysis of trajectories needs the same questions, equally often."""
    asked: dict[int, Counter[str]] = {}
    for batch in source.batches():
        if batch.origin is Origin.probe:
            asked.setdefault(batch.step, Counter()).update(a.question.question_id for a in batch.answers)
    common = frozenset.intersection(*(frozenset(counts) for counts in asked.values())) if asked else frozenset()
    attempts = {step: min((counts[q] for q in common), default=0) for step, counts in asked.items()}
    return _Probes(common, attempts)


def _kept(batch: Batch, probes: _Probes, written: _Written) -> list[tuple[int, ImportedAnswer]]:
    """Number the answers by question, and leave out those that a probe or an earlier benchmark has no place for."""
    kept: list[tuple[int, ImportedAnswer]] = []
    times: Counter[str] = Counter()
    earlier = {q for name, counts in written.benchmarks.items() if name != batch.benchmark for q in counts}
    for answer in batch.answers:
        question_id = answer.question.question_id
        number = times[question_id]
        times[question_id] += 1
        if batch.origin is Origin.probe and question_id not in probes.question_ids:
            written.left_out["answers to questions that not every probe asked"] += 1
        elif batch.origin is Origin.probe and number >= probes.attempts[batch.step]:
            written.left_out["answers beyond the number that every question has"] += 1
        elif batch.origin is Origin.benchmark and question_id in earlier:
            written.left_out["answers to questions that an earlier benchmark holds too"] += 1
        else:
            kept.append((number, answer))
    if batch.origin is Origin.benchmark:
        written.benchmarks.setdefault(batch.benchmark, {}).update(times)
    return kept


def _write_batch(
    writer: RunWriter, batch: Batch, part: int, probes: _Probes, written: _Written, grader: Grader
) -> None:
    kept = _kept(batch, probes, written)
    for answer in batch.answers:  # also of those that are left out: a benchmark has all of its questions
        _note_question(answer, written)
    if not kept:
        return
    judged = _judge([answer for _, answer in kept], grader)
    pairs = zip(kept, judged, strict=True)
    rows = [_row(number, answer, verdict, batch, written) for (number, answer), verdict in pairs]
    attempts, responses = split_responses(attempts_frame(rows))
    is_eval = batch.origin is Origin.benchmark
    place: dict[str, Any] = {"step": batch.step, "origin": str(batch.origin), "draw": 0}
    writer.write("responses", responses, **place, part=part if is_eval else None)
    writer.write("attempts", attempts, **place, part=part if is_eval else None)
    if not is_eval:
        made = trajectories_of(attempts.assign(**place), rl_exposures={}, sft_exposures={}, in_buffer={})
        writer.write("trajectories", made, **place)
    writer.commit(batch.step, suffix=f".{batch.origin}-p{part:04d}")
    written.places.setdefault(str(batch.origin), []).append(batch.step)
    written.answers += len(rows)


def _note_question(answer: ImportedAnswer, written: _Written) -> None:
    """Number a question when it first comes."""
    question = answer.question
    if question.question_id in written.ix_of:
        return
    ix = written.ix_of[question.question_id] = len(written.ix_of)
    written.kinds.add(question.answer_kind)
    written.rows.append(question_row(question, ix, prompt_tokens=answer.prompt_tokens))


def _judge(answers: Sequence[ImportedAnswer], grader: Grader) -> list[Judgement]:
    """Grade the answers whose gold is known; of the others the source's own verdict is taken, if it gives one."""
    asked = [i for i, answer in enumerate(answers) if answer.question.answer]
    submissions = [
        Submission(
            a.question.answer, a.text, a.finish, kind=a.question.answer_kind, options=a.question.options,
            opened=a.opened,
        )
        for a in (answers[i] for i in asked)
    ]  # fmt: skip
    ours = dict(zip(asked, grader.judge(submissions), strict=True))
    return [ours[i] if i in ours else _theirs(answer) for i, answer in enumerate(answers)]


def _theirs(answer: ImportedAnswer) -> Judgement:
    if answer.score_is is None:
        return Judgement(Verdict.undecided, NO_GOLD_RULE)
    return Judgement(Verdict.correct if answer.score_is else Verdict.wrong, REWARD_RULE)


def _row(number: int, answer: ImportedAnswer, judgement: Judgement, batch: Batch, written: _Written) -> dict[str, Any]:
    decided = judgement.verdict is not Verdict.undecided and judgement.rule != REWARD_RULE
    agrees = answer.score_is == (judgement.verdict is Verdict.correct) if answer.score_is is not None else None
    row = attempt_row(
        question_ix=written.ix_of[answer.question.question_id],
        attempt=number,
        verdict=judgement.verdict,
        rule=judgement.rule,
        answer=judgement.answer,
        finish=answer.finish,
        n_tokens=answer.n_tokens,
        policy_version=batch.step,
        decoding_id=str(batch.origin),
        seed=UNKNOWN_SEED,
        text=answer.text,
        grader_agrees=agrees if decided else None,
    )
    if answer.reward is not None and judgement.verdict is not Verdict.undecided:
        row["reward"] = answer.reward  # what training saw
    if batch.origin is Origin.rollout:
        row["advantage"] = answer.advantage
    written.tokens += answer.n_tokens or 0
    for what, missing in (
        ("lengths", answer.n_tokens is None), ("ends", answer.finish is Finish.unknown),
        ("golds", not answer.question.answer),
    ):  # fmt: skip
        written.without[what] += missing
    return row


def _record(about: About, written: _Written, *, name: str, grader: Grader) -> dict[str, Any]:
    described = plain_values(grader.describe())
    recipe = str(about.kind) if about.kind is not RunKind.train else about.recipe or about.project
    return {
        "kind": about.kind,
        "status": RunStatus.done,
        "recipe": recipe,
        "name": about.model if about.kind is RunKind.eval and about.model else None,
        "seed": about.seed,
        "identity": {"imported": about.project, "source": name, "questions": digest(sorted(written.ix_of))},
        "imported_from": about.project,
        "lacks": (*about.lacks, *_lacks(about, written)),
        "model": RecordedModel(name=about.model or "unknown", path=about.model) if about.kind is RunKind.eval else None,
        "protocol": {"name": f"imported from {about.project}"} if about.kind is RunKind.eval else {},
        "benchmarks": _benchmarks(about, written),
        "decodings": {origin: dict(about.sampling) for origin in written.places},
        "graders": {kind: said for kind, said in described.items() if kind in written.kinds},
        "second_grader": about.project if written.without["golds"] < written.answers else None,
        "versions": {**versions(), **about.versions},
        "totals": Spent(answers=written.answers, tokens=written.tokens) if about.kind is RunKind.eval else None,
    }


def _benchmarks(about: About, written: _Written) -> dict[str, RecordedBenchmark]:
    return {
        name: RecordedBenchmark(
            title=name,
            question_ixs=tuple(written.ix_of[q] for q in counts),
            rows=len(counts),
            samples=max(counts.values()),
            origin=about.project,
        )
        for name, counts in written.benchmarks.items()
    }


def _lacks(about: About, written: _Written) -> Iterable[str]:
    """Say what the answers themselves do not tell, and what is weaker for it."""
    n, without = written.answers, written.without
    if without["lengths"]:
        of = "" if without["lengths"] == n else f" of {without['lengths']:,} of {n:,} answers"
        yield f"token counts{of}: figures of lengths and tokens leave them out"
    if without["ends"]:
        of = "" if without["ends"] == n else f" of {without['ends']:,} of {n:,} answers"
        yield f"why answers ended{of}: shares cut off at the limit count those that are told alone"
    if without["golds"]:
        of = "" if without["golds"] == n else f" of {without['golds']:,} of {n:,} answers"
        yield f"gold answers{of}: verdicts are the source's own and cannot be graded again"
    for reason, count in written.left_out.items():
        yield f"a place for {count:,} {reason}, which are left out"
    if about.kind is RunKind.train:
        yield from _missing_probes(written)
    yield "seeds: answers cannot be sampled again"


def _missing_probes(written: _Written) -> Iterable[str]:
    probed = written.places.get(str(Origin.probe))
    if not probed:
        yield (
            "probes, the same questions at fixed steps: what is shown is of training rollouts, a sample that order and "
            "filters bias"
        )
    elif 0 not in probed:
        yield f"a probe at step 0 (the first is at step {min(probed)}): nothing can be compared with the base model"
    else:
        yield "a second draw at step 0: bands cannot be assigned and measured on different answers"
    steps = written.places.get(str(Origin.rollout), [])
    gaps = max(steps) - min(steps) + 1 - len(steps) if steps else 0
    if gaps:
        yield f"{gaps:,} of the {max(steps) - min(steps) + 1:,} steps from {min(steps)} to {max(steps)}"
