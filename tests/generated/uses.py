"""List the kinds of generated inputs, each with its use and the seconds that one may take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from relift.engines.hf_model import load_tokenizer
from tests.engines.tiny import write_checkpoint
from tests.generated.answers import GRADING_LIMIT, grade
from tests.generated.checkpoints import use_checkpoint
from tests.generated.data_files import read_data
from tests.generated.layouts import write_published_layout
from tests.generated.run_folders import use_run
from tests.generated.servers import ask_server
from tests.generated.trained_runs import lay_runs, use_trained_run
from tests.generated.trials import Use
from tests.store.rows import train


def _grading(folder: Path) -> Use:
    return grade


def _checkpoint(folder: Path) -> Use:
    base = write_checkpoint(folder / "base")
    load_tokenizer(str(base))  # what is imported at the first use is no input's time or memory
    return partial(use_checkpoint, base=base)


def _published(folder: Path) -> Use:
    base = write_published_layout(folder / "base")
    load_tokenizer(str(base))
    return partial(use_checkpoint, base=base)


def _run(folder: Path) -> Use:
    train(folder / "run", n_steps=4)
    return partial(use_run, run=folder / "run")


def _trained(folder: Path) -> Use:
    config, runs = lay_runs(folder)
    return partial(use_trained_run, config=config, runs=runs)


def _server(folder: Path) -> Use:
    return ask_server


def _data(folder: Path) -> Use:
    return read_data


# Lay in a folder what the inputs are made of, and give their use; seconds of one input.
KINDS: dict[str, tuple[Callable[[Path], Use], float]] = {
    "grader text": (_grading, GRADING_LIMIT),
    "checkpoint": (_checkpoint, 20.0),
    "published layout": (_published, 20.0),
    "run record": (_run, 5.0),
    "trained run": (_trained, 20.0),
    "server reply": (_server, 15.0),
    "data file": (_data, 5.0),
}
