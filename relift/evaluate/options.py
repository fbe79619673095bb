"""Hold the options of one `relift eval`, `probe` or `topup`, as the command line filled them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints
from urllib.parse import urlsplit, urlunsplit

from pydantic import TypeAdapter, ValidationError

from relift.errors import InputError
from relift.evaluate.collect import DEFAULT_COMMITS, Commits
from relift.suggest import hint


@dataclass(frozen=True)
class EvalOptions:
    """One command. None: not given, so the protocol's, the benchmark's or the engine's own value holds."""

    models: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    protocol: str | None = None
    samples: int | None = None
    seed: int = 0
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    template: str | None = None
    second_grader: str | None = None
    limit: int | None = None  # questions of each benchmark
    show: int = 0  # answers printed at the end
    engine: str = "torch"
    engine_options: Mapping[str, Any] = field(default_factory=dict)  # fields of the engine's options
    revision: str | None = None
    tokenizer: str | None = None
    data: Path | None = None
    out: Path | None = None
    commits: Commits = DEFAULT_COMMITS
    quiet: bool = False

    def record(self, model: str) -> dict[str, Any]:
        """For config.toml: what was asked for, without what was left out and without secrets."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("models", "commits", "quiet", "show", "out", "engine_options"):
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


def parse_engine_options(given: Sequence[str], *, engine: str, base_url: str | None = None) -> dict[str, Any]:
    """Read `key=value` as typed values of an engine's options (relift.engines.options).

    Raises InputError for an unknown engine, an unknown key (with the nearest of this engine), or a value of another
    type.
    """
    from relift.engines.open import engine_kind

    kind = engine_kind(engine)
    types, known = get_type_hints(kind.options), kind.option_names()
    if base_url is not None and "base_url" not in known:
        raise InputError(f"--base-url: engine {engine} asks no server; use --engine openai")
    values: dict[str, Any] = {} if base_url is None else {"base_url": base_url}
    for word in given:
        key, equals, text = word.partition("=")
        if not equals or key not in known:
            what = (
                f"engine {engine} has no option {key!r}" if equals and key.isidentifier() else "write it as key=value"
            )
            near = hint(key, known) or f"; known: {', '.join(known)}"
            shown = repr(f"{key}=..." if equals else key) if key.isidentifier() else "given"  # its value may be a key
            raise InputError(f"--engine-option {shown}: {what}{near}")
        try:
            values[key] = TypeAdapter(types[key]).validate_python(_typed(text, types[key]))
        except ValidationError as error:
            raise InputError(f"--engine-option {word!r}: {error.errors()[0]['msg']}") from None
    return values


def _typed(text: str, kind: Any) -> Any:
    """A pair is written with a comma between."""
    return tuple(text.split(",")) if get_origin(kind) is tuple else text
