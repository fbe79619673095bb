"""Several processes, one run: each samples its share, the first one grades, decides and writes.

Started by torchrun; one process is the plain case and uses nothing of this module. Between processes travel tensors
and JSON, never pickled objects.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from relift.engines.tokens import Completion, Engine, Request, Sampling
from relift.errors import InputError, ProcessLost, ReliftError, StoreError
from relift.grading.base import Judgement, Submission
from relift.grading.gold_check import Judge
from relift.grading.rewards import Columns, Given, RewardFunction
from relift.learner.distributed import sum_over_ranks, world
from relift.run_record import RunRecord
from relift.schema import Finish, Verdict

FINISHES = (Finish.stop, Finish.length)
JSONValue = TypeVar("JSONValue")


def join_world(timeout_seconds: float) -> None:
    """Enter the process group that torchrun describes in the environment, if there is one.

    A process that waits for another one longer than the timeout ends with an error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(seconds=timeout_seconds)
        )


def require_shared_folder(folder: Path) -> None:
    """Refuse a run folder that processes on other hosts do not see: each reads and writes its share of it there.

    The first process leaves an empty file beside it for the moment in which all look. Raises InputError on the first
    process; the others end with its exit status.
    """
    world_size = world()[1]
    if int(os.environ.get("LOCAL_WORLD_SIZE", world_size)) == world_size:  # torchrun's: all are on this host
        return
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    mark = Path(on_first(lambda: _leave_mark(place)))
    seen = from_all(mark.is_file())

    def judge() -> None:
        mark.unlink(missing_ok=True)
        if not all(seen):
            raise InputError(
                f"--out {folder}: {seen.count(False)} of {world_size} processes, on other hosts, do not see what the "
                "first one writes there; take a folder on a file system that all hosts share"
            )

    on_first(judge)


def _leave_mark(place: Path) -> str:
    """Make an empty file in the folder; give its path."""
    try:
        handle, path = tempfile.mkstemp(prefix=".relift-", dir=place)
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {error.strerror or error}") from None
    os.close(handle)
    return path


@contextmanager
def among_peers() -> Iterator[None]:
    """Turn the errors of a process group whose other members are gone or silent into one ProcessLost."""
    try:
        yield
    except RuntimeError as error:
        of_group = isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL"))
        if world()[1] == 1 or not of_group:
            raise
        raise ProcessLost(
            "another process of this run has ended, or did not answer within runtime.collective_seconds; its own last "
            "line says why. Start all of them again: the run goes on from its last checkpoint"
        ) from None


def from_first(value: Any) -> Any:
    """The JSON value that the first process has, on every process."""
    rank, world_size = world()
    if world_size == 1:
        return value
    raw = json.dumps(value).encode() if rank == 0 else b""
    size = torch.tensor([len(raw)], device=_device())
    dist.broadcast(size, src=0)
    data = torch.zeros(int(size), dtype=torch.uint8, device=_device())
    if rank == 0:
        data.copy_(torch.frombuffer(bytearray(raw), dtype=torch.uint8))
    dist.broadcast(data, src=0)
    return json.loads(data.cpu().numpy().tobytes())


def from_all(value: Any) -> list[Any]:
    """The JSON values of all processes, by rank, on every process."""
    if world()[1] == 1:
        return [value]
    raw = np.frombuffer(bytearray(json.dumps(value).encode()), np.uint8)
    return [json.loads(part.tobytes()) for part in _gather(raw)]


def on_first(act: Callable[[], JSONValue]) -> JSONValue:
    """Let the first process act; all get the JSON value it returns.

    When it raises an error meant for people, the others end with the same exit status and leave the words to it.
    """
    rank, world_size = world()
    if world_size == 1:
        return act()
    value, failure = None, None
    if rank == 0:
        try:
            value = act()
        except ReliftError as error:
            failure = error
    value, status = from_first([value, failure and failure.exit_status])
    if failure is not None:
        raise failure
    if status is not None:
        raise SystemExit(status)
    return value


def any_process(flag: Callable[[], bool]) -> Callable[[], bool]:
    """Whether the flag is up on any process: all see the same answer."""
    if world()[1] == 1:
        return flag
    return lambda: bool(sum_over_ranks(torch.tensor([float(flag())], device=_device())).item())


class SharedEngine:
    """An engine whose requests are spread over the processes; every process gets all answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def policy_version(self) -> int:
        return self._engine.policy_version

    def describe(self) -> dict[str, object]:
        return self._engine.describe()

    def publish(self, state_dict: object, *, version: int) -> None:
        self._engine.publish(state_dict, version=version)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """Answer requests, each process its share. They go round; seeds are theirs, so the split changes no answer."""
        rank, world_size = world()
        mine = self._engine.generate(requests[rank::world_size], sampling, on_progress=on_progress)
        flat = [completion for row in mine for completion in row]
        columns = (
            np.array([len(c.token_ids_T) for c in flat], np.int64),
            np.concatenate([np.zeros(0, np.int64), *[c.token_ids_T.astype(np.int64) for c in flat]]),
            np.concatenate([np.zeros(0, np.float32), *[c.logprobs_T for c in flat]]),
            np.array([FINISHES.index(c.finish) for c in flat], np.int64),
            np.array([np.nan if c.mean_entropy is None else c.mean_entropy for c in flat], np.float64),
        )
        gathered = [_gather(column) for column in columns]
        answers: list[list[Completion]] = [[] for _ in requests]
        for r in range(world_size):
            shares = [column[r] for column in gathered]
            for q, row in zip(
                range(r, len(requests), world_size), _rows(requests[r::world_size], *shares), strict=True
            ):
                answers[q] = row
        return answers


def _rows(
    requests: Sequence[Request],
    length_N: np.ndarray,
    token_T: np.ndarray,
    logprob_T: np.ndarray,
    finish_N: np.ndarray,
    entropy_N: np.ndarray,
) -> list[list[Completion]]:
    ends = np.cumsum(length_N)
    out, n = [], 0
    for request in requests:
        row = []
        for seed in request.seeds:
            part = slice(int(ends[n] - length_N[n]), int(ends[n]))
            entropy = None if np.isnan(entropy_N[n]) else float(entropy_N[n])
            row.append(
                Completion(token_T[part].astype(np.int32), logprob_T[part], FINISHES[int(finish_N[n])], entropy, seed)
            )
            n += 1
        out.append(row)
    return out


class FirstGrader:
    """A grader that works on the first process; the others are told, so that a time limit cannot split them."""

    def __init__(self, grader: Judge) -> None:
        self._grader = grader
        self.name = grader.name

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Judge on the first process, and tell the others."""
        judged = on_first(lambda: [asdict(judgement) for judgement in self._grader.judge(submissions)])
        return [Judgement(Verdict(j["verdict"]), j["rule"], j["answer"]) for j in judged]

    def unreadable_golds(self, golds: Sequence[str]) -> list[bool]:
        """Look for unreadable golds on the first process, and tell the others."""
        return on_first(lambda: self._grader.unreadable_golds(golds))

    def describe(self) -> dict[str, object]:
        return self._grader.describe()

    def __enter__(self) -> Self:
        self._grader.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._grader.__exit__(*exc)


class FirstReward:
    """A reward function that runs on the first process; the others are told what it gave."""

    def __init__(self, name: str) -> None:
        self._function = RewardFunction(name)
        self.source = ""  # a hash of its file

    def give(self, groups: Sequence[Columns]) -> Given:
        """Reward on the first process, and tell the others."""
        return Given(**on_first(lambda: asdict(self._function.give(groups))))

    def __enter__(self) -> Self:
        self.source = on_first(lambda: self._function.__enter__().source)
        return self

    def __exit__(self, *exc: object) -> None:
        self._function.__exit__(*exc)


def on_first_process(grader: Judge) -> Judge:
    """The grader that works on the first process alone, where there are several."""
    return FirstGrader(grader) if world()[1] > 1 else grader


class SilentWriter:
    """Write nothing, on all processes but the first. Reads of the run folder go to the first process's files."""

    def __init__(self, folder: Path, *, is_new: bool) -> None:
        self.folder = folder
        self.is_new = is_new
        self.run: RunRecord

    def start(self, run: RunRecord, **contents: object) -> None:
        """The first process lays the run."""
        self.run = run

    def write(self, table: str, frame: object, **place: object) -> None:
        """The first process writes."""

    def commit(self, step: int, *, suffix: str = "") -> None:
        """The first process commits."""

    def save_checkpoint(self, step: int, write_files: object, *, info: object) -> None:
        """The first process saves."""

    def update_run(self, **fields: object) -> None:
        """The first process notes it."""


def _gather(column: np.ndarray) -> list[np.ndarray]:
    """A column of every process; they may differ in length."""
    _, world_size = world()
    sizes = [torch.zeros(1, dtype=torch.int64, device=_device()) for _ in range(world_size)]
    dist.all_gather(sizes, torch.tensor([len(column)], device=_device()))
    longest = max(int(size) for size in sizes)
    padded = torch.zeros(longest, dtype=torch.from_numpy(column[:0]).dtype, device=_device())
    padded[: len(column)] = torch.from_numpy(np.ascontiguousarray(column)).to(_device())
    parts = [torch.zeros_like(padded) for _ in range(world_size)]
    dist.all_gather(parts, padded)
    return [part[: int(size)].cpu().numpy() for part, size in zip(parts, sizes, strict=True)]


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
