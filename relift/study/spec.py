"""Read a STUDY.toml: methods, seeds, bases, budgets and the sweep of learning rates, checked before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from relift.config.loading import resolve_paths
from relift.config.sections import BudgetConfig
from relift.errors import InputError
from relift.suggest import hint

CONTROL = "frozen"  # the method that every study has: it is sampled, stepped and probed, and never changes
BUDGETS = tuple(BudgetConfig.model_fields)
OWN_KEYS = ("label", "rates_of", "sweep_steps", "arith")  # of a method; everything else is configuration of its runs

Values = dict[str, Any]


class Part(BaseModel):
    """A part of a study: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Demonstrations(Part):
    """The demonstrations of a method in the embedded world, where they are not all of them and not all right."""

    limit: int | None = Field(
        default=None, ge=1, description="so many, of questions drawn at random; none: of every question"
    )
    error_rate: float = Field(
        default=0.0, ge=0, lt=1, description="share that a teacher gets wrong; the door refuses those"
    )


class ArithWorld(Part):
    """The embedded world as the data of a study, the same for all its runs."""

    seed: int = Field(1, ge=0, description="of the questions and demonstrations")
    train: int = Field(384, ge=1)
    test: int = Field(320, ge=1, description="probed in every run")
    ends: int = Field(64, ge=0, description="questions of each split out of distribution, and of the side skill")
    dev: int = Field(160, ge=1, description="probed in the sweep of learning rates")
    base: Literal["full", "quick"] = Field("full", description="how long the base models are pretrained")


class Base(Part):
    """A base model: an embedded one by the seed of its pretraining, or a folder or hub id."""

    arith: int | None = Field(None, ge=0)
    path: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Base:
        if (self.arith is None) == (self.path is None):
            raise ValueError("give either arith = SEED or path = MODEL")
        return self


class Sweep(Part):
    """Learning rates to choose from on development questions (rates.RULE says by which rule)."""

    factors: tuple[float, ...] = Field((0.5, 1.0, 2.0), min_length=1, description="of every learning rate of a method")
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    bases: tuple[str, ...] = ()  # none named: the first
    steps: int | None = Field(None, ge=1, description="most steps of such a run; none: those of the method")
    questions: str | None = Field(None, description="file of development questions; the embedded world has its own")


class Method(Part):
    """A method: configuration of its runs, a budget, and whose learning rates it takes."""

    config: Values
    budget: dict[str, float | str] = {}
    label: str | None = None
    rates_of: str | dict[Literal["rl", "sft"], str] | None = None
    sweep_steps: int | None = Field(None, ge=1, description="steps of its runs in the sweep; none: as sweep.steps says")
    arith: Demonstrations = Demonstrations()

    def rates(self, own: str) -> dict[str, str]:
        """Name the method whose sweep decides the learning rate of each part."""
        of = own if self.rates_of is None else self.rates_of
        return {"rl": of, "sft": of} if isinstance(of, str) else {"rl": of.get("rl", own), "sft": of.get("sft", own)}


class Stage(Part):
    """A part of the study that is run before what follows. What is not named means all."""

    bases: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()


class Study(Part):
    """A study. Its runs are the product of bases, seeds and methods."""

    name: str
    seeds: tuple[int, ...] = Field(min_length=1)
    bases: dict[str, Base] = Field(min_length=1)
    methods: dict[str, Method] = Field(min_length=1)
    reference: str
    run: Values = {}
    arith: ArithWorld | None = None
    sweep: Sweep | None = None
    stages: tuple[Stage, ...] = ()

    @property
    def cells(self) -> list[tuple[str, int]]:
        """List (base, seed), base by base."""
        return [(base, seed) for base in self.bases for seed in self.seeds]

    @property
    def swept(self) -> list[str]:
        """List the methods whose learning rates are chosen by a sweep of their own."""
        if self.sweep is None:
            return []
        wanted = {of for name, method in self.methods.items() for of in method.rates(name).values()}
        return [name for name in self.methods if name in wanted and name != CONTROL]

    def label(self, method: str) -> str:
        """Give the name of a method in tables."""
        return self.methods[method].label or method


def study_names() -> list[str]:
    """List the studies that ship with relift."""
    files = resources.files("relift.study.files").iterdir()
    return sorted(path.name[:-5] for path in files if path.name.endswith(".toml"))


def read_study(source: str) -> Study:
    """Read a study file, or one that ships with relift by its name. InputError in one line, with what is nearest."""
    path = Path(source)
    if path.is_file():
        try:
            text, folder = path.read_bytes().decode("utf-8-sig"), path.resolve().parent
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: cannot be read: {error}") from None
    elif source in study_names():
        text, folder = (
            (resources.files("relift.study.files") / f"{source}.toml").read_text(encoding="utf-8"),
            Path.cwd(),
        )
    else:
        known = study_names()
        raise InputError(f"no study file {source!r}{hint(source, known)}; studies by name: {', '.join(known)}")
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{source}: not a TOML file: {str(error)[:200]}") from None
    return parse_study(values, where=source, folder=folder)


def parse_study(values: Mapping[str, Any], *, where: str, folder: Path) -> Study:
    """Check the values of a study file; relative paths are relative to `folder`."""
    raw = dict(values)
    shared = raw.pop("budget", {})
    methods = raw.get("methods", {})
    if not isinstance(methods, dict) or not isinstance(shared, dict):
        raise InputError(f"{where}: methods and budget are tables, as in [methods.rl] and [budget]")
    raw["methods"] = {name: _method_values(name, body, shared, where=where) for name, body in methods.items()}
    raw["methods"] = {CONTROL: {"config": {"recipe": "frozen", "steps": 1}}, **raw["methods"]}
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{where}: " + "; ".join(_explain(problem) for problem in error.errors())) from None
    _require_known(study, where=where)
    return _with_paths(study, folder)


def _method_values(name: str, body: Any, shared: Mapping[str, Any], *, where: str) -> Values:
    if not isinstance(body, dict):
        raise InputError(f"{where}: methods.{name} is no table: write [methods.{name}]")
    if not name.replace("_", "").replace("-", "").replace(".", "").replace("+", "").isalnum():
        raise InputError(f"{where}: methods.{name!r}: a method names folders: letters, digits, _ - . + alone")
    config = {key: value for key, value in body.items() if key not in (*OWN_KEYS, "budget")}
    budget = body.get("budget", {k: v for k, v in shared.items() if v != name})
    if name == CONTROL:
        budget = {}
    return {"config": config, "budget": budget, **{key: body[key] for key in OWN_KEYS if key in body}}


def _explain(problem: Any) -> str:
    *above, last = [str(part) for part in problem["loc"]]
    name = ".".join([*above, last])
    if problem["type"] == "extra_forbidden":
        part: Any = Study if not above else {"sweep": Sweep, "arith": ArithWorld, "bases": Base}.get(above[0], Stage)
        part = Demonstrations if len(above) > 1 and above[0] == "methods" else part
        return f"unknown key {name!r}{hint(last, part.model_fields)}; known: {', '.join(part.model_fields)}"
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    return f"{name} = {problem['input']!r}: {problem['msg']}"


def _require_known(study: Study, *, where: str) -> None:
    """Refuse names of methods, bases and budgets that the study does not have."""

    def known(names: Iterable[str], table: Iterable[str], *, key: str) -> None:
        table = list(table)
        for name in names:
            if name not in table:
                raise InputError(f"{where}: {key} = {name!r}: unknown{hint(name, table)}; known: {', '.join(table)}")

    known([study.reference], study.methods, key="reference")
    if study.methods[CONTROL].config.get("recipe") != CONTROL:
        raise InputError(f'{where}: methods.{CONTROL} is the control of every study: recipe = "frozen" alone')
    for name, method in study.methods.items():
        known(method.budget, BUDGETS, key=f"methods.{name}.budget")
        named = [value for value in method.budget.values() if isinstance(value, str)]
        known(named, study.methods, key=f"methods.{name}.budget")
        known(method.rates(name).values(), study.methods, key=f"methods.{name}.rates_of")
        if method.arith != Demonstrations() and study.arith is None:
            raise InputError(f"{where}: methods.{name}.arith: the study has no [arith] world; give data of its own")
    for number, stage in enumerate(study.stages):
        known(stage.bases, study.bases, key=f"stages[{number}].bases")
        known(stage.methods, study.methods, key=f"stages[{number}].methods")
    if study.sweep is not None:
        known(study.sweep.bases, study.bases, key="sweep.bases")
        if study.arith is None and study.sweep.questions is None:
            raise InputError(f"{where}: sweep.questions: name a file of development questions")
    for key in ("seeds", "sweep.seeds"):
        seeds = study.seeds if key == "seeds" else study.sweep.seeds if study.sweep else ()
        if len(set(seeds)) < len(seeds):
            raise InputError(f"{where}: {key} = {list(seeds)}: a seed stands there twice")
    _refuse_circles(study, where=where)


def _refuse_circles(study: Study, *, where: str) -> None:
    """Refuse budgets that wait for each other."""
    for start in study.methods:
        seen, waiting = set[str](), [start]
        while waiting:
            of = [v for v in study.methods[waiting.pop()].budget.values() if isinstance(v, str)]
            if start in of:
                raise InputError(f"{where}: methods.{start}.budget: waits for itself, by way of the methods it names")
            waiting += [name for name in of if name not in seen]
            seen.update(of)


def _with_paths(study: Study, folder: Path) -> Study:
    """Make relative paths absolute. A base may be a hub id: it is a path if there is such a folder."""
    bases = {
        name: base.model_copy(update={"path": str((folder / base.path).resolve())})
        if base.path is not None and (folder / base.path).is_dir()
        else base
        for name, base in study.bases.items()
    }
    sweep = study.sweep
    if sweep is not None and sweep.questions is not None and not sweep.questions.startswith("hf:"):
        sweep = sweep.model_copy(update={"questions": str((folder / sweep.questions).resolve())})
    methods = {
        name: method.model_copy(update={"config": resolve_paths(_copied(method.config), folder)})
        for name, method in study.methods.items()
    }
    run = resolve_paths(_copied(study.run), folder)
    return study.model_copy(update={"bases": bases, "sweep": sweep, "run": run, "methods": methods})


def _copied(values: Values) -> Values:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
