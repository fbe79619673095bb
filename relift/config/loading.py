"""Load a configuration: TOML files, presets, the numbers of recipes, `--set key=value`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from relift.config.renamed import RENAMED, old_names
from relift.config.sections import Config, field_changes
from relift.errors import InputError
from relift.suggest import hint, nearest

Defaults = Mapping[str, Mapping[str, Any]]  # recipe -> values of sections


def preset_names() -> list[str]:
    """Names of the presets that ship with relift."""
    return sorted(p.name[:-5] for p in resources.files("relift.config.presets").iterdir() if p.name.endswith(".toml"))


def load_config(source: str | Path, *, recipes: Defaults, overrides: Sequence[str] = ()) -> Config:
    """Resolve the configuration of a TOML file or preset.

    Layers, later ones win: defaults of the models, the preset named by `extends`, the file, `overrides` as
    "key.path=value" (TOML values; what is no TOML value is a string); beneath each layer that changes the recipe
    stand the new recipe's numbers, `recipes[name]`. Relative paths in a file are relative to that file. Raises
    InputError naming file, key and the nearest known key.
    """
    own = _own_values(source)
    layers: list[Mapping[str, Any]] = [own]
    while "extends" in layers[0]:
        name = layers[0]["extends"]
        layers[0] = {k: v for k, v in layers[0].items() if k != "extends"}
        layers.insert(0, _preset(str(name), where=str(source)))
    layers.append(_parse_overrides(overrides))
    recipe, merged = Config.model_fields["recipe"].default, dict[str, Any]()
    for number, layer in enumerate(layers):
        named = str(layer.get("recipe", recipe))
        if named not in recipes:
            raise InputError(f"{source}: no recipe {named!r}{hint(named, recipes)}; known: {', '.join(recipes)}")
        if number == 0 or named != recipe:  # naming the recipe in force changes nothing: a preset's choices stay
            merged = _merge(merged, _numbers_of(recipes[named]))
        merged, recipe = _merge(merged, layer), named
    return parse_config(merged, where=str(source))


def _numbers_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a recipe's own numbers: what it does not name in [rl] and [sft] falls back to the default, and so does
    rollout.refill, so that nothing of another recipe's method is left. How much is trained on at a time stays."""
    whole = _spell_none(Config().model_dump(include={"rl": True, "sft": True, "rollout": {"refill"}}))
    for section, key in (("rl", "updates_per_batch"), ("sft", "batch"), ("sft", "phase_steps")):
        del whole[section][key]
    return _merge(whole, recipe)


def parse_config(values: Mapping[str, Any], *, where: str) -> Config:
    """Validate a nested mapping. Raises InputError, the problems joined by "; "."""
    if old := old_names(values):
        raise InputError(f"{where}: {'; '.join(old)}")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def read_recorded(text: str, *, where: str) -> Config:
    """Read the configuration that a run recorded, under whatever names its version had."""
    values = _read_toml(text.encode(), where=where)
    for old, (new, translate) in RENAMED.items():
        section, key = old.split(".")
        if key in values.get(section, {}):
            values[section][new.partition(".")[2]] = translate(values[section].pop(key))
    return parse_config(values, where=where)


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML, every field written out; TOML has no null, so None is "none"."""
    return tomli_w.dumps(_spell_none(config.model_dump()))


def _own_values(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if str(source) in preset_names() and not path.is_file():
        return _preset(str(source), where="command line")
    if not path.is_file():
        near = _nearest(str(source), preset_names())
        raise InputError(f"no configuration file or preset {str(source)!r}{near}; presets: {', '.join(preset_names())}")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return resolve_paths(_read_toml(raw, where=str(path)), path.resolve().parent)


def _preset(name: str, *, where: str) -> dict[str, Any]:
    if name not in preset_names():
        raise InputError(
            f"{where}: no preset {name!r}{_nearest(name, preset_names())}; known: {', '.join(preset_names())}"
        )
    return _read_toml((resources.files("relift.config.presets") / f"{name}.toml").read_bytes(), where=f"preset {name}")


def _read_toml(raw: bytes, *, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of 5,000 digits, brackets without end
        raise InputError(f"{where}: not a TOML file: {str(error)[:200]}") from None


PATH_FIELDS = (
    "model.path",
    "data.questions",
    "data.demonstrations",
    "probe.questions",
    "probe.ends_only",
    "probe.base_run",
)


def resolve_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make relative paths absolute. A model may be a hub id: it is a path if there is such a folder, or was: if it
    begins with a dot, or with the name of a folder that is there. What is meant as a path is not asked of the hub."""
    for name in PATH_FIELDS:
        section, key = name.split(".")
        value = values.get(section, {}).get(key) if isinstance(values.get(section), dict) else None
        if not isinstance(value, str) or value in ("", "none") or value.startswith("hf:"):
            continue
        if name != "model.path" or _means_folder(folder, value):
            values[section][key] = _resolved(folder, value, where=name)
    reward = values["rl"].get("reward") if isinstance(values.get("rl"), dict) else None
    path, colon, function = reward.rpartition(":") if isinstance(reward, str) else ("", "", "")
    if colon and path.endswith(".py"):
        values["rl"]["reward"] = f"{_resolved(folder, path, where='rl.reward')}:{function}"
    teacher = values.get("teacher")
    online = teacher.get("online") if isinstance(teacher, dict) else None
    if isinstance(online, dict) and isinstance(online.get("file"), str) and online["file"] not in ("", "none"):
        online["file"] = _resolved(folder, online["file"], where="teacher.online.file")
    for part, where in ((values.get("data"), "data.prompt"), (online, "teacher.online.prompt")):
        prompt = part.get("prompt") if isinstance(part, dict) else None
        kind, colon, path = prompt.partition(":") if isinstance(prompt, str) else ("", "", "")
        if isinstance(part, dict) and colon and path:  # file:PATH, plain-file:PATH
            part["prompt"] = f"{kind}:{_resolved(folder, path, where=where)}"
    return values


def _means_folder(folder: Path, value: str) -> bool:
    first, slash, _ = value.partition("/")
    with suppress(OSError, ValueError):  # no name of a file: what reads it says so
        return value.startswith(".") or (folder / value).is_dir() or bool(slash and (folder / first).is_dir())
    return False


def _resolved(folder: Path, path: str, *, where: str) -> str:
    try:
        return str((folder / path).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL in a name
        raise InputError(f"{where} = {path!r}: {str(error)[:200]}") from None


def _parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text!r}: write it as key=value, for example --set rl.optimizer.lr=2e-6")
        try:
            value = tomllib.loads(f"value = {raw}")["value"]
        except tomllib.TOMLDecodeError:
            value = raw.strip()
        *sections, leaf = key.strip().split(".")
        nested: dict[str, Any] = {leaf: value}
        for section in reversed(sections):
            nested = {section: nested}
        values = _merge(values, nested)
    return values


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _explain(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = [n for n, _ in field_changes()] + sorted({n.rpartition(".")[0] for n, _ in field_changes()} - {""})
        return f"unknown key {name!r}{_nearest(name, known)}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{name} = {problem['input']!r}: {problem['msg']}"


def _nearest(name: str, known: Sequence[str]) -> str:
    """`; nearest: ...` or nothing: the key whose last part is alike, else the one alike as a whole."""
    leaf = nearest(name.rpartition(".")[2], [k.rpartition(".")[2] for k in known], cutoff=0.7)
    alike = [k for k in known if k.rpartition(".")[2] == leaf]
    close = nearest(name, alike, cutoff=0.0) or nearest(name, known)
    return f"; nearest: {close}" if close else ""


def _spell_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _spell_none(v) if isinstance(v, Mapping) else "none" if v is None else v for k, v in values.items()}
