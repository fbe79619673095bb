"""Lay out the runs of a study: their folders, their data, the configuration of each, in the order of their start."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from relift.arith.world import make_demonstrations, make_questions
from relift.config.loading import PATH_FIELDS
from relift.config.sections import Config
from relift.data.questions import write_questions
from relift.demo.experiment import base_folder
from relift.demo.methods import FULL, OOD, QUICK, SKILL, Size, write_config
from relift.errors import InputError
from relift.store import RunReader
from relift.study.spec import CONTROL, Demonstrations, Study, Values
from relift.trainer.configuration import load_config

LARGE = 1_000_000  # steps of a run that its budget ends


@dataclass(frozen=True)
class Planned:
    """Name one run: its method, base and seed, its folder, and the sweep's factor on its learning rates, if any."""

    method: str
    base: str
    seed: int
    folder: Path
    factor: float | None = None

    @property
    def name(self) -> str:
        """Give the name of the job."""
        return f"{self.folder.parent.name}/{self.folder.name}"


def cell_folder(out: Path, base: str, seed: int) -> Path:
    """Return the folder of all runs of one base and seed."""
    return out / "runs" / f"{base}-seed-{seed}"


def planned_run(out: Path, method: str, base: str, seed: int) -> Planned:
    """Name a run of the comparison."""
    return Planned(method, base, seed, cell_folder(out, base, seed) / method)


def planned_runs(study: Study, out: Path) -> list[Planned]:
    """List the runs of the comparison in the order of their start: stage by stage, each cell's control first."""
    listed: dict[tuple[str, str, int], Planned] = {}
    whole = [(study.bases, study.seeds, study.methods)]
    stages = [(s.bases or study.bases, s.seeds or study.seeds, s.methods or study.methods) for s in study.stages]
    for bases, seeds, methods in [*stages, *whole]:
        for base, seed in ((b, s) for b in bases for s in seeds if s in study.seeds):
            for method in (CONTROL, *(m for m in study.methods if m in methods)):
                listed.setdefault((method, base, seed), planned_run(out, method, base, seed))
    return list(listed.values())


def swept_runs(study: Study, out: Path) -> list[Planned]:
    """List the runs of the sweep, method by method."""
    if study.sweep is None:
        return []
    bases = study.sweep.bases or (next(iter(study.bases)),)
    return [
        Planned(method, base, seed, out / "sweep" / f"{method}-x{factor:g}-{base}-seed-{seed}", factor)
        for method in study.swept
        for base in bases
        for seed in study.sweep.seeds
        for factor in study.sweep.factors
    ]


def size_of(study: Study) -> Size:
    """Return the size of the demo that has the embedded base models of this study."""
    assert study.arith is not None
    return FULL if study.arith.base == "full" else QUICK


def base_path(study: Study, base: str) -> str:
    """Return the folder or hub id of a base model."""
    of = study.bases[base]
    return of.path if of.path is not None else str(base_folder(size_of(study), of.arith or 0))


def train_file(out: Path, demonstrations: Demonstrations) -> Path:
    """Return the file of training questions with these demonstrations."""
    limit = "all" if demonstrations.limit is None else str(demonstrations.limit)
    return out / "data" / f"train-{limit}-{demonstrations.error_rate:g}.jsonl"


def write_arith(study: Study, out: Path) -> None:
    """Write the questions of the embedded world that are not there yet."""
    if study.arith is None:
        return
    world, folder = study.arith, out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    ends = [q for split in (*OOD, SKILL) for q in make_questions(split, world.ends, seed=world.seed)]
    for name, questions in (
        ("probe", make_questions("test", world.test, seed=world.seed)),
        ("dev", make_questions("dev", world.dev, seed=world.seed)),
        ("ends", ends),
    ):
        if not (folder / f"{name}.jsonl").exists():
            write_questions(folder / f"{name}.jsonl", questions, [])
    train = make_questions("train", world.train, seed=world.seed)
    for wanted in {method.arith for method in study.methods.values()}:
        path = train_file(out, wanted)
        if not path.exists():
            made = make_demonstrations(train, seed=world.seed, limit=wanted.limit, error_rate=wanted.error_rate)
            write_questions(path, train, made)


def values_of(study: Study, out: Path, run: Planned) -> Values:
    """Return the configuration of a run but for learning rates and budget, which other runs decide."""
    method = study.methods[run.method]
    values = merged(study.run, method.config)
    own: Values = {"name": run.method, "seed": run.seed, "model": {"path": base_path(study, run.base)}}
    if study.arith is not None:
        own["data"] = {"questions": str(train_file(out, method.arith)), "prompt": "plain"}
        own["probe"] = {"questions": str(out / "data" / "probe.jsonl")}
        own["probe"] |= {"ends_only": str(out / "data" / "ends.jsonl")} if study.arith.ends else {}
    if run.factor is not None:
        assert study.sweep is not None
        dev = study.sweep.questions or str(out / "data" / "dev.jsonl")
        most = int(values.get("steps", Config.model_fields["steps"].default))
        steps = method.sweep_steps or min(most, study.sweep.steps or LARGE)
        own |= {"steps": steps, "probe": {"questions": dev, "ends_only": "none", "every": steps}}
    elif run.method != CONTROL:
        own.setdefault("probe", {})["base_run"] = str(run.folder.parent / CONTROL)
    if run.factor is None and "steps" not in values and method.budget:
        own["steps"] = LARGE
    return merged(values, own)


def config_of(
    study: Study, out: Path, run: Planned, *, factors: Mapping[str, float], used: Mapping[str, Mapping[str, float]]
) -> Values:
    """Return the whole configuration of a run.

    `factors`: by part ("rl", "sft"), on its learning rate; `used`: by method, what its run of the same cell has used.
    """
    values = values_of(study, out, run)
    config = resolve(values, out, run)
    for part, factor in factors.items():
        lr = getattr(config, part).optimizer.lr * factor
        values = merged(values, {part: {"optimizer": {"lr": lr}}})
    budget = study.methods[run.method].budget if run.factor is None else {}
    limits = {name: used[of][name] if isinstance(of, str) else of for name, of in budget.items()}
    whole = {name: value if name in ("flops", "seconds") else round(value) for name, value in limits.items()}
    return merged(values, {"budget": whole}) if whole else values


def resolve(values: Values, out: Path, run: Planned) -> Config:
    """Check a configuration as `relift train` does. InputError names the method."""
    path = out / "configs" / f"checked-{os.getpid()}.toml"  # of this process: a report may be written meanwhile
    write_config(path, values)
    try:
        return load_config(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"methods.{run.method}: {reason}") from None
    finally:
        path.unlink(missing_ok=True)


def config_path(out: Path, run: Planned) -> Path:
    """Return the file that holds the configuration of a run."""
    return out / "configs" / run.folder.parent.name / f"{run.folder.name}.toml"


def claim_config(out: Path, run: Planned, values: Values) -> Path:
    """Write the configuration of a run. InputError where the run there was made with another one."""
    path = config_path(out, run)
    if path.exists() and (run.folder / "run.json").is_file():
        there = _settings(path.read_text(encoding="utf-8"))
        here = _settings(tomli_w.dumps(values))
        differing = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
        if differing:
            raise InputError(
                f"{run.folder}: made with another {', '.join(differing)}: choose another folder with --out, or "
                "remove it"
            )
        return path
    return write_config(path, values)


def _settings(text: str) -> dict[str, str]:
    return {k: v for k, v in _flat(tomllib.loads(text)) if k not in PATH_FIELDS}


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value)


def used_by(folder: Path) -> dict[str, float]:
    """Read what a finished run has used, by the names of budgets."""
    reader = RunReader(folder)
    last = reader.read("checkpoints").sort_values("step").iloc[-1]
    operations = 2 * int(last["generated_tokens"]) + 6 * int(last["trained_tokens"])
    return {
        "updates": len(reader.read("updates", columns=["update"])),
        "demonstrations": int(last["demonstrations"]),
        "generated_tokens": int(last["generated_tokens"]),
        "flops": float(operations) * (reader.run.n_parameters or 0),
        "seconds": float(last["wall_seconds"]),
    }


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> Values:
    """Lay values over others, table by table."""
    result = dict(low)
    for key, value in high.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return result
