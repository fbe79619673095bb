"""Define the errors on the user's side, which the command line turns into one line.

Exit status: 0 done; 1 a bug of ours; 2 bad input, refused resume, run in use; 3 stopped by a guard or a failing engine;
4 out of memory; 5 storage, or a server that is gone; 130 and 143 signals.
"""

from __future__ import annotations

# What to do about weights or logits that are not finite.
TOO_LARGE_STEPS = (
    "check the weights; if training made them so, lower rl.optimizer.lr, sft.optimizer.lr or their weight_decay and "
    "start again: the run goes on from its last checkpoint"
)


class ReliftError(Exception):
    """Base all errors meant for people: one line that says what is wrong, where, and how to mend it."""

    exit_status = 1


class InputError(ReliftError):
    """Refuse bad input: a file, an option, a configuration key. Nothing has been run or written."""

    exit_status = 2


class ResumeRefused(InputError):
    """Refuse a folder whose run differs in identity (configuration, data, model) from what was asked for."""


class RunInUse(InputError):
    """Refuse a run folder in which another process writes."""


class GuardStop(ReliftError):
    """Stop a run by a guard: non-finite losses in a row, too many undecided verdicts."""

    exit_status = 3


class EngineFailed(ReliftError):
    """Give up an engine: a server that refuses, or answers nothing of use."""

    exit_status = 3


class ProcessLost(ReliftError):
    """Report that another process of the run is gone or silent, so that this one cannot go on."""

    exit_status = 3


class ServerGone(ReliftError):
    """Report that nobody answers any more where a server was; what it had answered is kept."""

    exit_status = 5


class OutOfMemory(ReliftError):
    """Report that memory ran out, with the setting to lower."""

    exit_status = 4


class StoreError(ReliftError):
    """Report that storage failed: disk full, unwritable folder, damaged file."""

    exit_status = 5


class ReadFailed(StoreError):
    """A file is there and cannot be read now (permission, I/O error): nothing is known to be damaged."""
