"""Tell runs apart: fingerprints of configuration, data, model and surroundings, and their comparison."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping
from pathlib import Path

from relift.config import Config, field_changes, flatten, with_new_names
from relift.errors import ResumeRefused
from relift.fingerprints import differences
from relift.grading.rewards import plain_name
from relift.prompts import template_identity

PATHS = (
    "model.path",
    "data.questions",
    "data.demonstrations",
    "probe.questions",
    "probe.ends_only",
    "teacher.path",
)  # by content


RENDERING = "rendering"  # relift.trainer.rendering says what it holds; older runs lack it


def identity_of(config: Config, fingerprints: Mapping[str, object]) -> dict[str, object]:
    """List what must be equal for a resume: identity fields (files by content, not by place) and fingerprints."""
    values = flatten(config.model_dump())
    for name in ("data.prompt", "teacher.online.prompt"):
        values[name] = template_identity(str(values[name]))
    values["rl.reward"] = plain_name(values["rl.reward"])
    fields = {name: values[name] for name, change in field_changes() if change == "identity" and name not in PATHS}
    return json.loads(json.dumps({"config": fields, **fingerprints}))


def surroundings(config: Config, *, world_size: int, torch_version: str, isa: str) -> dict[str, object]:
    """List what changes bits but not what is computed: another value resumes with `exact = false`."""
    values = flatten(config.model_dump())
    numeric = {name: values[name] for name, change in field_changes() if change == "numeric"}
    return {**numeric, "world_size": world_size, "torch": torch_version, "isa": isa, "machine": platform.machine()}


def same_surroundings(stored: Mapping[str, object], now: Mapping[str, object]) -> bool:
    """Say whether nothing differs that changes bits. A field that the stored version had not stands at its default,
    which is what that version did; its one thread is what None means where no GPU computes."""
    defaults = flatten(Config().model_dump())
    then = {name: defaults[name] for name, change in field_changes() if change == "numeric"}
    alike = [{**then, **values} for values in (stored, now)]
    for values in alike:
        values["runtime.threads"] = values["runtime.threads"] or 1
    return alike[0] == alike[1]


def tunables(config: Config) -> dict[str, object]:
    """Fields that may change on a resume when the change is allowed by name."""
    values = flatten(config.model_dump())
    return json.loads(json.dumps({name: values[name] for name, change in field_changes() if change == "tunable"}))


def compare(stored: Mapping[str, object], now: Mapping[str, object], *, folder: Path) -> None:
    """Refuse a resume whose identity differs, naming every difference in one line.

    What renders prompts (RENDERING) is not compared with a run of a version that did not note it.
    """
    now = {name: value for name, value in now.items() if name in stored or name != RENDERING}
    found = differences({**stored, "config": _completed(stored.get("config"))}, now, bare="config")
    if found:
        raise ResumeRefused(
            f"{folder} holds another run: {'; '.join(found)}; use another folder, or put the value back"
        )


def changed_tunables(
    stored: Mapping[str, object], config: Config, *, folder: Path, allowed: Collection[str]
) -> dict[str, tuple[object, object]]:
    """Tunable fields that differ from the stored configuration; refused unless allowed by name."""
    values = tunables(config)
    changed = {n: (stored[n], values[n]) for n in values if n in stored and stored[n] != values[n]}
    refused = [name for name in changed if name not in allowed]
    if refused:
        what = "; ".join(f"{name} was {stored[name]!r} and is now {values[name]!r}" for name in refused)
        allow = " ".join(f"--allow-change {name}" for name in refused)
        raise ResumeRefused(f"{folder}: {what}; to go on with what is new: {allow}")
    return changed


def _completed(config: object) -> dict[str, object]:
    """Give a recorded configuration today's names, and the fields that its version did not have at the values it
    worked with: the defaults. A field whose default leaves its first value needs that value here.
    """
    assert isinstance(config, Mapping)
    defaults = flatten(Config().model_dump())
    known = {name for name, change in field_changes() if change == "identity" and name not in PATHS}
    then = {name: defaults[name] for name in known}
    if config.get("recipe") == "hpt":  # one optimizer for both parts was the recipe's, not a setting
        then["sft.moments"] = "shared"
    return json.loads(json.dumps(then)) | with_new_names(config)
