"""Open data sets of the hub, and say in one line why one cannot be had."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from relift.data.bounds import LARGEST_DATA, limit, require_rows, too_much
from relift.errors import InputError

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^/:]+))?/(?P<split>[\w.-]+)")


class HubFault(InputError):
    """A data set of the hub that cannot be had. `reason`: gated, offline, absent, package (`datasets` is missing), or
    other."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class HubData:
    """One split of a data set of the hub, or of a folder laid out like one. `revision`: a commit; None: the newest."""

    name: str
    split: str
    config: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf:{self.name}{f':{self.config}' if self.config else ''}/{self.split}"


def hub_data(source: str) -> HubData | None:
    """Read `hf:owner/name[:config]/split`; None for what does not begin with hf:. InputError for another form."""
    match = _HUB.fullmatch(source)
    if match is not None:
        return HubData(match["name"], match["split"], match["config"])
    if source.startswith("hf:"):
        raise InputError(f"{source}: write a data set of the hub as hf:owner/name/split or hf:owner/name:config/split")
    return None


def open_hub(source: HubData) -> Any:
    """Open a split of a data set of the hub: rows are read from its local copy one by one. Raises HubFault."""
    try:
        import datasets
        from datasets.exceptions import DatasetsError
        from huggingface_hub.utils import logging
    except ImportError:
        raise HubFault(
            f"{source}: reading from the hub needs the extra: pip install 'relift[train]'", reason="package"
        ) from None
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it would tell of each of its retries
    try:
        _require_few(source, datasets)
        return datasets.load_dataset(source.name, source.config, split=source.split, revision=source.revision)
    except (OSError, ValueError, DatasetsError) as error:  # not there, gated, no network; unknown split or revision
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise HubFault(f"{source}: {said}", reason=_reason(error)) from None
    finally:
        logging.set_verbosity(verbosity)


def _require_few(source: HubData, datasets: Any) -> None:
    """Refuse a data set of the hub by what it says of its own size, where it does: before it is fetched."""
    try:
        builder = datasets.load_dataset_builder(source.name, source.config, revision=source.revision)
        split = (builder.info.splits or {}).get(source.split)
        rows, n_bytes = getattr(split, "num_examples", None), getattr(split, "num_bytes", None)
    except (OSError, ValueError, AttributeError, datasets.exceptions.DatasetsError):
        return  # loading says what is wrong with it
    if isinstance(rows, int):
        require_rows(str(source), rows)
    most = limit("RELIFT_MAX_DATA_BYTES", LARGEST_DATA)
    if isinstance(n_bytes, int) and n_bytes > most:
        raise too_much(str(source), f"it unpacks to {n_bytes:,} bytes", most, "RELIFT_MAX_DATA_BYTES")


def _reason(error: Exception) -> str:
    """Why the hub gave nothing, by the types that `datasets` 5 raises; gated ones differ by their text alone."""
    said = str(error).lower()
    if "gated" in said:
        return "gated"
    if isinstance(error, ConnectionError) or "offline" in said:
        return "offline"
    return "absent" if isinstance(error, FileNotFoundError) else "other"
