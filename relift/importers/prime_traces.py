"""Read prime-rl's traces: episodes of verifiers, in both of its layouts.

    RUN/rollouts/step_N/{train,eval}/{all,effective}/traces.jsonl    until August 2026 (pull request 3275)
    RUN/monitors/file/traces/stream.jsonl, or a folder of chunks     since then (3444, 3465; sealed chunks are zstd)

An episode is one row: its task, the run's work it did (training or evaluation, and the step), and a trace for each
agent (verifiers/v1/episode.py and trace.py of 0.4). Evaluations are probes, asked again at fixed steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from relift.data.files import cell
from relift.data.layouts import single
from relift.data.prompt_texts import last_turn, text_of
from relift.errors import InputError
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.schema import Finish, Origin, RunKind

STREAM = Path("monitors/file/traces")
GOLDS = ("answer", "gold", "ground_truth", "target", "solution")
PROBLEMS = ("question", "problem")
ENDED = {"stop": Finish.stop, "tool_calls": Finish.stop, "length": Finish.length}


@dataclass(frozen=True)
class _Episode:
    step: int
    origin: Origin
    where: str
    row: Mapping[str, Any]


class PrimeTraces:
    """Reads the traces of a run folder, or of one file of them."""

    def __init__(self, source: Path, options: Options) -> None:
        self._options = options
        self._stepped = sorted(source.glob("rollouts/step_*/*/all/traces.jsonl"))
        self._streams = _streams(source)
        if not self._stepped and not self._streams:
            raise InputError(
                f"{source}: no traces there: prime-rl writes {STREAM}/stream.jsonl, and before August 2026 "
                "rollouts/step_N/train/all/traces.jsonl, into the run's folder"
            )
        self._failed = self._agents = 0

    def about(self) -> About:
        """Say what was left out."""
        lacks = []
        if self._failed:
            lacks.append(f"an answer in {self._failed:,} episodes that ended with an error")
        if self._agents:
            lacks.append(f"all but the last answer of {self._agents:,} episodes of several agents or turns")
        return About(project="prime-rl", kind=RunKind.train, recipe="prime-rl", lacks=tuple(lacks))

    def batches(self) -> Iterator[Batch]:
        """Give the episodes step by step; a stream is in order of arrival, so its rows are found first."""
        self._failed = self._agents = 0
        places: dict[tuple[int, str], list[ImportedAnswer]] = {}
        for episode in self._episodes():
            found = self._answer(episode)
            if found is not None:
                places.setdefault((episode.step, str(episode.origin)), []).append(found)
        for (step, origin), answers in sorted(places.items()):
            yield Batch(step, Origin(origin), answers)

    def _episodes(self) -> Iterator[_Episode]:
        for path in self._stepped:
            kind, step = path.parts[-3], path.parts[-4].removeprefix("step_")
            if kind in ("train", "eval") and step.isdecimal():
                for where, row in _rows(path):
                    yield _Episode(int(step), Origin.rollout if kind == "train" else Origin.probe, where, row)
        for path in self._streams if not self._stepped else ():
            for where, row in _rows(path):
                step, kind = cell(row, "run.work.step"), cell(row, "run.work.type")
                if not isinstance(step, int) or kind not in ("train", "eval"):
                    raise InputError(f"{where}: names no step of training or evaluation (run.work)")
                yield _Episode(step, Origin.rollout if kind == "train" else Origin.probe, where, row)

    def _answer(self, episode: _Episode) -> ImportedAnswer | None:
        """Read the last answer of the agent that is trained; None where the episode has none."""
        traces = [t for t in episode.row.get("traces") or () if cell(t, "agent.trainable") is not False]
        if not traces or not isinstance(traces[-1].get("nodes"), list):
            self._failed += 1
            return None
        trace = traces[-1]
        sampled = [i for i, node in enumerate(trace["nodes"]) if node.get("sampled")]
        if not sampled:
            self._failed += 1
            return None
        self._agents += len(traces) > 1 or len(sampled) > 1
        node = trace["nodes"][sampled[-1]]
        call: Mapping[str, Any] = next((c for c in trace.get("calls") or () if c.get("node") == sampled[-1]), {})
        data = cell(episode.row, "task.data") or cell(trace, "task.data") or {}
        problem = _problem(data, trace["nodes"])
        if problem is None:
            raise InputError(f"{episode.where}: its task names no question")
        gold = next((found for name in GOLDS if (found := single(data.get(name))) is not None), None)
        is_train = episode.origin is Origin.rollout
        reward = _reward(trace.get("rewards") or {}, self._options.reward)
        return ImportedAnswer(
            question=self._options.question(problem, gold, source="prime-rl", split="train" if is_train else "probe"),
            text=text_of(cell(node, "message.content")) or "",
            finish=ENDED.get(call.get("finish_reason") or "", Finish.unknown),
            score_is=self._options.verdict_of(reward),
            reward=reward if is_train else None,
            n_tokens=sum(node["mask"]) if node.get("mask") else cell(call, "usage.completion_tokens"),
            prompt_tokens=cell(call, "usage.prompt_tokens"),
        )


def _problem(data: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str | None:
    """Find the question: a column of the task, its prompt, or the user's first message."""
    named = next((data[name] for name in PROBLEMS if isinstance(data.get(name), str)), None)
    prompt = data.get("prompt")
    text = named or (prompt if isinstance(prompt, str) else last_turn(prompt, "user"))
    return text or last_turn([node.get("message") for node in nodes if not node.get("sampled")], "user")


def _reward(rewards: Mapping[str, Any], named: str | None) -> float | None:
    """Sum the weighted rewards, or take the one that is named."""
    chosen = [rewards.get(named)] if named else list(rewards.values())
    scores = [(r.get("score"), r.get("weight", 1.0)) for r in chosen if isinstance(r, Mapping)]
    known = [score * (1.0 if named else weight) for score, weight in scores if isinstance(score, int | float)]
    return float(sum(known)) if known else None


def _streams(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    folder = source / STREAM
    whole = folder / "stream.jsonl"
    chunks = sorted(p for p in (folder / "stream").glob("*.jsonl*") if ".index." not in p.name)
    return [whole] if whole.is_file() else chunks


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read the rows of a stream, plain or compressed with zstd; the last line of a live one may be cut off."""
    try:
        raw = pa.input_stream(str(path), compression="zstd" if path.suffix == ".zst" else None)
        with raw:
            for number, line in enumerate(_lines(raw), start=1):
                where = f"{path}: row {number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{where}: no JSON: {str(error)[:80]}") from None
                if not isinstance(row, dict):
                    raise InputError(f"{where}: a JSON object is needed")
                yield where, row
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def _lines(stream: Any) -> Iterator[bytes]:
    """Split a stream at its line ends; what follows the last of them is being written, and left out."""
    rest = b""
    while block := stream.read(1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line for line in lines if line.strip())
