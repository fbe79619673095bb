"""What can be asked of `relift eval`, as one value; the command line fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from relift.evaluate.run import DEFAULT_COMMITS, Commits


@dataclass(frozen=True)
class EvalOptions:
    """One command. None: not given, so the protocol's, the benchmark's or the engine's own value holds."""

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    protocol: str = "relift"
    samples: int | None = None
    seed: int = 0
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    template: str | None = None
    second_grader: str | None = None
    engine: str = "torch"
    engine_options: Mapping[str, Any] = field(default_factory=dict)  # fields of relift.engines.open.EngineOptions
    revision: str | None = None
    tokenizer: str | None = None
    data: Path | None = None
    out: Path | None = None
    commits: Commits = DEFAULT_COMMITS
    quiet: bool = False

    def record(self, model: str) -> dict[str, Any]:
        """For config.toml: what was asked for, without what was left out and without secrets."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("models", "commits", "quiet", "out", "engine_options"):
            del values[name]
        values |= {"model": model, **self.engine_options}
        return {name: recorded(value) for name, value in values.items() if value is not None}


def recorded(value: Any) -> Any:
    """A plain value; an address loses what stands before its @ (names and keys are written there)."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [recorded(each) for each in value]
    if isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    return value
