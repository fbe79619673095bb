"""Send a run's numbers to experiment trackers as well: TensorBoard, Weights & Biases, trackio.

The tables of the run folder stay the truth: a tracker gets copies, after each step is committed, and one that cannot be
reached or fails is let go with one line and never stops a run. It is told the settings of the run, without addresses
and the folders of files; keys and tokens come from the environment or the tracker's own files and pass through nothing
of ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from relift.config import Config, flatten
from relift.errors import InputError
from relift.suggest import hint

PROJECT = "relift"
PRIVATE = ("url", "folder")  # fields of any section that are not told: an address may hold a password


@dataclass(frozen=True)
class About:
    """Tell a tracker which run it is given."""

    run_id: str
    name: str
    folder: Path
    settings: Mapping[str, Any]
    first_step: int  # the first one that will be sent


class Tracker(Protocol):
    """Describe what is asked of a tracker; `log` is given numbers by name."""

    def log(self, values: Mapping[str, float], *, step: int) -> None: ...
    def close(self) -> None: ...


class TensorBoard:
    """Event files in RUN/tensorboard, by torch's writer; what an interrupted launch sent beyond its last checkpoint is
    taken back."""

    def __init__(self, about: About) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = str(about.folder / "tensorboard")
        self._writer = SummaryWriter(folder, purge_step=about.first_step)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Write one scalar for each value."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases under the run's own id, so that a resume goes on with it. WANDB_PROJECT and WANDB_MODE
    hold as everywhere."""

    def __init__(self, about: About) -> None:
        wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=about.run_id,
            name=about.name,
            config=dict(about.settings),
            dir=str(about.folder),
            resume="allow",
        )

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Send one row; steps that it has already are left alone by wandb."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Trackio:
    """A run of trackio under the run's id, resumed where it is there. TRACKIO_PROJECT names another project."""

    def __init__(self, about: About) -> None:
        self._trackio = importlib.import_module("trackio")
        self._trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=about.run_id,
            config=dict(about.settings),
            resume="allow",
        )

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Send one row."""
        self._trackio.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._trackio.finish()


TRACKERS: dict[str, tuple[Callable[[About], Tracker], str]] = {  # what makes it, and the package that it needs
    "tensorboard": (TensorBoard, "tensorboard"),
    "wandb": (WandB, "wandb"),
    "trackio": (Trackio, "trackio"),
}


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not known or whose package is not there. Raises InputError."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(
                f"runtime.trackers: no tracker {name!r}{hint(name, TRACKERS)}; known: {', '.join(TRACKERS)}"
            )
        package = TRACKERS[name][1]
        if importlib.util.find_spec(package) is None:
            raise InputError(f"runtime.trackers: {name} needs the package {package}: pip install 'relift[{name}]'")


class Trackers:
    """The trackers of one run, from its start to its end. A tracker that fails is left out from then on."""

    def __init__(self, names: Sequence[str], about: About, *, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._open: dict[str, Tracker] = {}
        for name in names:
            made = self._try(name, partial(TRACKERS[name][0], about))
            if made is not None:
                self._open[name] = made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def log(self, values: Mapping[str, float | None], step: int) -> None:
        """Send the numbers of a step; what was not measured is left out."""
        known = {name: float(value) for name, value in values.items() if value is not None}
        for name, tracker in list(self._open.items()):
            self._try(name, partial(tracker.log, known, step=step))

    def close(self) -> None:
        """End them."""
        for name, tracker in list(self._open.items()):
            self._try(name, tracker.close)
        self._open = {}

    def _try(self, name: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Exception as error:  # a tracker is somebody else's program over a network: no run ends for it
            self._open.pop(name, None)
            said = " ".join(str(error).split())[:200]
            self._warn(f"tracker {name} failed and is left out: {type(error).__name__}: {said}; the run goes on")
            return None


def settings_of(config: Config) -> dict[str, Any]:
    """List a configuration for a tracker: dotted names and values, without addresses and the folders of files."""
    values = flatten(config.model_dump())
    public = {name: value for name, value in values.items() if name.rpartition(".")[2] not in PRIVATE}
    return {name: _without_folder(value) for name, value in public.items() if "://" not in str(value)}


def _without_folder(value: Any) -> Any:
    """Cut the folder off an absolute path, also behind `file:`, as in data.prompt."""
    if not isinstance(value, str):
        return value
    kind, colon, path = value.rpartition("file:")
    return f"{kind}{colon}{Path(path).name}" if Path(path).is_absolute() else value
