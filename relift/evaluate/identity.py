"""Name what decides an answer, in nine parts; where one differs, nothing of the old answers is used.

part              where it stands
model             identity.model of the record: hash of weights, configuration and tokenizer
revision          identity.revision: the hub's, null for a folder
prompt            identity.prompts by benchmark: hash of the token ids of all its prompts, in order
template          identity.template: hash of the template's name, system turn, instructions, the chat template's text
sampling          identity.sampling, identity.thinking: every field, stops included
seed              identity.seed
attempt           attempts.attempt with draw and step: an attempt that is not there is asked for
generation code   identity.generation_code: GENERATION_CODE of the relift that asked
engine            identity.engine: what the engine says can change an answer (name, version, dtype, parallelism)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relift.engines.tokens import Sampling
from relift.errors import ResumeRefused
from relift.evaluate.models import Model
from relift.evaluate.plan import Plan
from relift.fingerprints import differences, digest, plain_values
from relift.store import RunReader

# Raise this when a change of the code that makes answers (tests/evaluate/generation_code.json lists the files) lets
# the same prompt, weights, sampling and seed give another answer. tests/evaluate/test_generation_code.py fails when
# one of the files changes and says what to do.
GENERATION_CODE = 1
NUMERICS = "numerics"  # of an engine's description: what moves the last bit of a logit; recorded, no part of identity

Identity = Mapping[str, Any]


def sampling_values(sampling: Sampling) -> dict[str, Any]:
    """Sampling as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(sampling).items()}


def identity_of(plan: Plan, model: Model, *, engine: Mapping[str, object]) -> Identity:
    """Make the identity of answers. `engine`: its description."""
    protocol = plan.protocol
    wording = [protocol.template, protocol.system, dict(protocol.instruction), protocol.layout, protocol.wording]
    template = digest([*wording, model.chat_template])
    return {
        "model": model.fingerprint,
        "revision": model.source.revision,
        "template": template,
        "prompts": plan.prompt_hashes(),
        "sampling": sampling_values(plan.sampling),
        "thinking": [list(tags) for tags in protocol.thinking],
        "seed": plan.seed,
        "generation_code": GENERATION_CODE,
        "engine": plain_values({name: value for name, value in engine.items() if name != NUMERICS}),
    }


def require_same(stored: Identity, now: Identity, *, folder: Path) -> None:
    """Refuse to pool answers of two identities, naming what differs. Of prompts those of shared benchmarks count."""
    found = differences(
        {name: stored.get(name) for name in now if name != "prompts"},
        {name: value for name, value in now.items() if name != "prompts"},
    )
    found = [_readable(phrase) for phrase in found]
    found += [f"the prompts of {name} are others" for name in conflicting_prompts(stored, now)]
    if found:
        raise ResumeRefused(
            f"{folder} was sampled otherwise: {'; '.join(found)}; answers cannot be pooled: choose another folder"
        )


def conflicting_prompts(stored: Identity, now: Identity) -> list[str]:
    """Benchmarks of both whose prompts differ."""
    there, here = _prompts(stored), _prompts(now)
    return sorted(name for name in here if name in there and there[name] != here[name])


def _prompts(identity: Identity) -> Mapping[str, object]:
    prompts = identity.get("prompts")
    return prompts if isinstance(prompts, Mapping) else {}


def default_folder(root: Path, identity: Identity, *, model: str, protocol: str) -> Path:
    """`<model>-<protocol>-<hash>` under `root`. The hash leaves the prompts out, so that benchmarks may be added
    later; where that folder holds other prompts of a benchmark, their hash makes another name."""
    core = digest({name: value for name, value in identity.items() if name != "prompts"})
    folder = root / f"{_in_path(model)}-{_in_path(protocol)}-{core[:8]}"
    there = RunReader(folder).run.identity if (folder / "run.json").is_file() else {}
    clash = conflicting_prompts(there, identity)
    if clash:
        mine = digest({name: identity["prompts"][name] for name in clash})
        folder = folder.with_name(f"{folder.name}-{mine[:4]}")
    return folder


def _in_path(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:60] or "model"


def _readable(phrase: str) -> str:
    """Hashes are shortened: nobody compares 64 digits by eye."""
    words = phrase.split("'")
    short = [word[:8] if len(word) >= 24 and _is_hex(word) else word for word in words]
    return "'".join(short)


def _is_hex(word: str) -> bool:
    return all(c in "0123456789abcdef" for c in word)


def merged(stored: Identity, now: Identity) -> Identity:
    """The identity after benchmarks were added."""
    return {**stored, "prompts": {**_prompts(stored), **_prompts(now)}}
