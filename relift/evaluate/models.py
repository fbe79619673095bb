"""Find the model of an evaluation before its weights are read: its contents, its tokenizer, its limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from relift.engines.context import context_of, stretched
from relift.engines.model_source import ModelSource, content_fingerprint, resolve_model
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.fingerprints import plain_name
from relift.store import RunReader

HUB = "hub:"
_SAMPLING = TypeAdapter(Sampling)
SERVED, RECORDED = "openai", "replay"  # engines whose answers come from weights that are not here


@dataclass(frozen=True)
class Model:
    """`fingerprint`: of its contents. Of a served model or of recorded answers there may be no tokenizer; then prompts
    are turns of text, and their lengths are not known. `recorded_with`: how recorded answers were drawn, if known."""

    source: ModelSource
    fingerprint: str
    tokenizer: Any | None
    context: int | None  # tokens it reads; None: not known
    stop_token_ids: tuple[int, ...]
    recorded_with: Sampling | None = None
    stretched: str | None = None  # what the papers did about a context that is too short

    @property
    def chat_template(self) -> str | None:
        return getattr(self.tokenizer, "chat_template", None)


def read_model(
    name: str, *, engine: str, revision: str | None, tokenizer: str | None, warn: Callable[[str], None]
) -> Model:
    """Find the model and read its tokenizer and configuration. Raises InputError, StoreError.

    `tokenizer`: where the tokenizer of a served model stands; others have their own.
    """
    if engine == SERVED:
        source = ModelSource(name, revision, plain_name(Path(name)))
        return _with_tokenizer(source, f"served:{name}", tokenizer, revision=None)
    if engine == RECORDED:
        source, fingerprint, sampling = _recorded(name)
        return replace(_with_tokenizer(source, fingerprint, tokenizer, revision=None), recorded_with=sampling)
    source = resolve_model(name, revision=revision, on_event=warn)
    fingerprint = content_fingerprint(source.path, revision=source.revision)
    if fingerprint.startswith(HUB):  # the commit that was hashed is the one to load, whatever "main" means by then
        source = replace(source, revision=fingerprint.removeprefix(HUB))
    if source.positions:  # the same files answer otherwise with other positions
        fingerprint = f"{fingerprint}:{source.positions.max_positions}:{source.positions.rope_theta}"
    return _with_tokenizer(source, fingerprint, source.path, revision=source.revision)


def _recorded(name: str) -> tuple[ModelSource, str, Sampling | None]:
    """Answers of a run folder are of that run's model; those of a file are of nobody known."""
    folder = Path(name)
    if (folder / "run.json").is_file():
        run = RunReader(folder).run
        known = (run.model and run.model.fingerprint) or run.run_id
        drawn = run.decodings.get("benchmark")
        sampling = None if drawn is None else sampling_from(drawn, where=folder)
        return ModelSource(name, None, plain_name(folder), run.run_id, None), f"recorded:{known}", sampling
    return ModelSource(name, None, plain_name(folder.with_suffix(""))), f"recorded:{folder.name}", None


def sampling_from(values: Mapping[str, Any], *, where: Path) -> Sampling:
    """Read sampling settings of the record of the run in `where`. Raises InputError where they are none."""
    known = {f.name for f in fields(Sampling)}
    try:
        return _SAMPLING.validate_json(json.dumps({n: v for n, v in values.items() if n in known}), strict=True)
    except (ValidationError, ValueError) as error:
        said = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        at = ".".join(map(str, said["loc"])) or "settings"
        raise InputError(f"{where}: its record has no sampling settings to go on with: {at}: {said['msg']}") from None


def _with_tokenizer(source: ModelSource, fingerprint: str, path: str | None, *, revision: str | None) -> Model:
    if path is None:
        return Model(source, fingerprint, None, None, ())
    from transformers.utils import logging

    from relift.engines import hf_model as checkpoint  # torch and transformers: seconds

    logging.set_verbosity_error()  # it warns of prompts longer than its own limit, which we check ourselves
    tokenizer, config = checkpoint.load_tokenizer(path, revision=revision, positions=source.positions)
    stops = checkpoint.stop_tokens(tokenizer, path, revision=revision)
    return Model(source, fingerprint, tokenizer, context_of(config), stops, stretched=stretched(config))
