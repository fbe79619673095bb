"""The record of a run: run.json as frozen dataclasses, read as attributes by whoever reads a run.

One function makes a record of JSON values (`parse_run`), one makes JSON values of a record (`as_json`). The words in
`Annotated` are the page in docs/schema.md. A key that a file lacks means the default given here: what a relift that
wrote no such key did. Keys that are not named here are left in the file and read by nobody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from relift.errors import InputError
from relift.schema import SCHEMA_VERSION, RunKind, RunStatus

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Values = Mapping[str, Any]  # JSON values by name


@dataclass(frozen=True, kw_only=True)
class Start:
    """One launch of a run."""

    start: Annotated[int, "number of the launch, from 1"]
    from_step: Annotated[int | None, "step of the checkpoint it went on from; null: from nothing"] = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """Fields of the configuration that one launch changed with --allow-change."""

    from_step: Annotated[int | None, "step of the checkpoint it went on from"] = None
    fields: Annotated[Mapping[str, tuple[Any, Any]], "value before and after, by field"] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordedModel:
    """The model that was evaluated."""

    name: Annotated[str, "name for tables"]
    path: Annotated[str | None, "folder, hub id, or name at its server"] = None
    revision: Annotated[str | None, "revision on the hub"] = None
    fingerprint: Annotated[str | None, "hash of everything that decides its answers"] = None
    run_id: Annotated[str | None, "training run that made it"] = None
    step: Annotated[int | None, "step of that run"] = None


@dataclass(frozen=True, kw_only=True)
class RecordedBenchmark:
    """One benchmark that was sampled: what was loaded, and which questions of the run belong to it."""

    question_ixs: Annotated[tuple[int, ...], "its questions in order of their source"]
    samples: Annotated[int | None, "attempts at each question"] = None
    title: Annotated[str | None, "name for tables"] = None
    rows: Annotated[int | None, "questions that it is declared to have"] = None
    origin: Annotated[str | None, "hub id, file, or embedded"] = None
    revision: Annotated[str | None, "revision on the hub"] = None
    content_hash: Annotated[str | None, "hash of its questions and gold answers"] = None
    pinned: Annotated[bool, "revision and content were declared, and both held"] = False
    out_of_distribution: Annotated[bool, "far from what reasoning models are trained on"] = False
    thoughts_opened: Annotated[bool, "the prompt opens the thoughts already"] = False
    sample_of: Annotated[str | None, "name of the whole benchmark, where this is a stated sample (--limit)"] = None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Sum what all launches of an evaluation took."""

    answers: Annotated[int, "answers sampled"] = 0
    tokens: Annotated[int, "tokens of these answers"] = 0
    seconds: Annotated[float, "wall time"] = 0.0


@dataclass(frozen=True, kw_only=True)
class Appended:
    """Attempts that were added to a finished run as a draw or step of their own."""

    why: Annotated[str, "reason, as the command said it"]
    samples: Annotated[int, "attempts at each question"]
    questions: Annotated[str, "hash of the ids of its questions"]
    identity: Annotated[Values, "model, prompts, sampling, seed, code and engine of its answers"]
    sampling: Annotated[Values, "sampling settings"]
    question_ixs: Annotated[tuple[int, ...], "its questions"] = ()
    engine: Annotated[Values, "description of the engine"] = field(default_factory=dict)
    status: Annotated[RunStatus, "running or done"] = RunStatus.running


@dataclass(frozen=True, kw_only=True)
class RegradedFrom:
    """The run whose answers were graded again."""

    run_id: Annotated[str, "its run_id"]
    folder: Annotated[str, "name of its folder"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Hold what run.json says of a run. `kind` tells which of the later fields are filled in."""

    run_id: Annotated[str, "the run, in every table; letters, digits, `.`, `_`, `-`"]
    kind: Annotated[RunKind, "train, eval or probe; a run without it was trained"] = RunKind.train
    name: Annotated[str | None, "name for figures"] = None
    recipe: Annotated[str | None, "recipe of a training run, else the kind"] = None
    seed: Annotated[int | None, "seed of all random numbers"] = None
    status: Annotated[RunStatus | None, "running, done or interrupted"] = None
    exact: Annotated[bool, "no launch changed threads, batches, versions or hardware"] = True
    identity: Annotated[Values, "what must be equal for the run to go on"] = field(default_factory=dict)
    decodings: Annotated[Mapping[str, Values], "sampling settings by `attempts.decoding_id`"] = field(
        default_factory=dict
    )
    graders: Annotated[Mapping[str, Values], "name and versions of the grader, by answer_kind"] = field(
        default_factory=dict
    )
    second_grader: Annotated[str | Values | None, "grader behind `attempts.grader_agrees`"] = None
    engine: Annotated[Values, "description of the engine"] = field(default_factory=dict)
    versions: Annotated[Values, "versions of the libraries"] = field(default_factory=dict)
    hardware: Annotated[Values, "processor and device"] = field(default_factory=dict)
    imported_from: Annotated[str | None, "project whose run or evaluation this was"] = None
    lacks: Annotated[tuple[str, ...], "what the source of an imported run does not tell, and what is weaker"] = ()
    regraded_from: Annotated[RegradedFrom | None, "run whose answers were graded again"] = None
    appended: Annotated[Mapping[str, Appended], "attempts added later, by `ORIGIN.step-SSSSSS.dDRAW`"] = field(
        default_factory=dict
    )
    # of training runs
    tunable: Annotated[Values, "fields that --allow-change may change, as they are now"] = field(default_factory=dict)
    surroundings: Annotated[Values, "what changes the last bit of a number"] = field(default_factory=dict)
    changes: Annotated[tuple[Change, ...], "changes that launches made"] = ()
    n_parameters: Annotated[int | None, "parameters of the model"] = None
    skipped_prompts: Annotated[Mapping[str, int], "prompts left out for their length, by file"] = field(
        default_factory=dict
    )
    repairs: Annotated[Mapping[str, Values], "repairs of texts at load, by file"] = field(default_factory=dict)
    lost_batches: Annotated[int, "batches of another trainer that its recorder could not write"] = 0
    # of evaluations and probes
    model: Annotated[RecordedModel | None, "model that was evaluated"] = None
    protocol: Annotated[Values, "protocol, spelled out"] = field(default_factory=dict)
    benchmarks: Annotated[Mapping[str, RecordedBenchmark], "benchmarks by name"] = field(default_factory=dict)
    totals: Annotated[Spent | None, "what all launches took"] = None
    # set by the store alone
    starts: Annotated[tuple[Start, ...], "launches"] = ()
    files: Annotated[Mapping[str, tuple[str, ...]], "SHA-256 that a whole file may have, by name"] = field(
        default_factory=dict
    )
    schema_version: Annotated[int, "version of the tables"] = SCHEMA_VERSION

    @property
    def method(self) -> str:
        """Name what was done without the seed: the recipe and a hash of its configuration, as `relift-1f2e3d4c`.

        Model and data are left out: experiments that make them from the seed have others in every run. So are the
        number of steps, the budget that ended the run and when and how it was probed: a run that is given what another
        spent has another budget in every seed. Of evaluations the
        protocol, the sampling and the model count. Of a run that recorded no configuration the recipe alone.
        """
        recipe = self.recipe or str(self.kind)
        if self.kind is RunKind.train:
            config = self.identity.get("config")
            settings = {**config, **self.tunable} if isinstance(config, Mapping) else {}
            parts = {
                k: v for k, v in settings.items() if k.partition(".")[0] not in ("seed", "steps", "budget", "probe")
            }
        else:
            parts = {k: v for k, v in self.identity.items() if k not in ("seed", "prompts")}
        if not parts:
            return recipe
        text = json.dumps(parts, sort_keys=True).encode()
        return f"{recipe}-{hashlib.blake2b(text, digest_size=4).hexdigest()}"


PARTS = (RunRecord, RecordedModel, RecordedBenchmark, Spent, Appended, RegradedFrom, Change, Start)  # for the docs
STORED = ("run_id", "starts", "files", "schema_version")  # fields that the store alone sets
_ADAPTER = TypeAdapter(RunRecord)


def parse_run(body: Mapping[str, Any], where: str) -> RunRecord:
    """Make a record of the JSON values of run.json.

    Raises InputError of one line, naming `where`, for a newer schema and for values of another type.
    """
    version = body.get("schema_version", SCHEMA_VERSION)
    if type(version) is not int or version > SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema version {str(version)[:40]}; this relift reads up to {SCHEMA_VERSION}: update relift"
        )
    try:
        # As JSON, because there a list may stand for a tuple and a word for an enumeration, and nothing else is cast.
        run = _ADAPTER.validate_json(json.dumps({**body, **_of_then(body)}), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))[:80]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"{where}: not the record of a run: {at!r}: {first['msg'].lower()}{more}") from None
    if not RUN_ID.fullmatch(run.run_id):
        raise InputError(
            f"{where}: not the record of a run: 'run_id' must be letters, digits, '.', '_' and '-', not "
            f"{run.run_id[:40]!r}"
        )
    return run


def _of_then(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that relift 0.1.0 wrote in another way."""
    found: dict[str, Any] = {}
    identity = body.get("identity")
    if "imported_from" not in body and isinstance(identity, Mapping) and isinstance(identity.get("imported"), str):
        found["imported_from"] = identity["imported"]
    return found


def as_json(run: RunRecord) -> dict[str, Any]:
    """Make JSON values of a record; what is null or empty is left out."""
    values = {f.name: _plain(getattr(run, f.name)) for f in fields(run)}
    return {name: value for name, value in values.items() if value is not None and value != {} and value != []}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, StrEnum) else value
