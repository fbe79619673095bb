"""Read state.json of a checkpoint, which may be a stranger's: each value of its type, or one line that says which not.

What it means is said where it is written (relift.trainer.checkpoint, DemoBuffer, Draws, NamedOptimizer).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relift.errors import StoreError

Count = Annotated[int, Field(ge=0, lt=2**53)]
Word = Annotated[int, Field(ge=0, lt=2**32)]  # of a random state
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    # Fields of newer versions of the same format are left alone.
    model_config = ConfigDict(extra="ignore", strict=True)


class _Totals(_Part):
    rl_updates: Count
    sft_updates: Count
    samples: Count
    generated_tokens: Count
    trained_tokens: Count
    demonstration_tokens: Count
    demonstrations: Count
    distinct_demonstrations: Count
    wall_seconds: Annotated[Number, Field(ge=0)]
    updates: Count
    events: Count


class _Entry(_Part):
    demo_id: str
    question_ix: Count
    step: Count
    n_correct: Count
    n_attempts: Count
    seen: Count | None = None


class _Flush(_Part):
    signal: list[Number]
    last_step: int | None


class _Buffer(_Part):
    entries: list[_Entry]
    uses: dict[str, Count]
    flush: _Flush | None = None


class _Learner(_Part):
    optimizer_steps: dict[str, Count]


class _Random(_Part):
    python: tuple[Count, Annotated[list[Word], Field(min_length=625, max_length=625)], Number | None]
    numpy: tuple[str, Annotated[list[Word], Field(min_length=624, max_length=624)], Count, Count, Number]


class _State(_Part):
    step: Count
    skipped_in_a_row: Count
    ended_by: dict[str, Any] | None = None
    totals: _Totals
    buffer: _Buffer
    draws: dict[str, Any] | None = None
    learner: _Learner
    random: _Random


def read_state(path: Path) -> dict[str, Any]:
    """Read the file; what is not named above is given as it stands there. Raises StoreError for what is no state of a
    run, and for what cannot be read."""
    try:
        data = path.read_bytes()
        _State.model_validate_json(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))[:80] or "the file"
        raise not_a_state(path, f"{at}: {first['msg'][:120]}") from None
    state: dict[str, Any] = json.loads(data)
    return state


def not_a_state(path: Path, what: str) -> StoreError:
    """Make the error for a checkpoint whose files are whole and hold no state of this run."""
    return StoreError(f"{path}: not the state of this run: {what}: take another checkpoint")


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn what is raised over values of the right type that are none of this run's into a StoreError of one line.

    A tensor is missing or of another shape, a library refuses its random state, a question is not there.
    """
    try:
        yield
    except (torch.OutOfMemoryError, torch.distributed.DistError):  # of this machine, not of the files
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
        words = " ".join(str(error).split())[:160]
        raise not_a_state(path, f"{type(error).__name__} {words}") from None
