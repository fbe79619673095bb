"""Write a merged checkpoint with a model card that says of what it was merged."""

from __future__ import annotations

import copy
import shutil
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from relift.engines.checkpoint_files import INDEX
from relift.engines.model_source import ANSWERING_FILES
from relift.fingerprints import plain_name, versions
from relift.store import RunReader
from relift.trainer.export import CARD, front_matter, loading, new_folder, public, require_free, value_of
from relift.trainer.merge import Merged, Plan, plan_merge, spelled, write_merged

OWN_FILES = ("*.safetensors", INDEX, "config.json")  # written anew; the others are the first model's


def export_merged(
    names: Sequence[str],
    out: Path | None,
    *,
    weights: Sequence[float] | None = None,
    base: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Path:
    """Merge models into a folder of its own; give that folder. `out` None: exports/FIRST-and-SECOND.

    Each of `names`, and `base`, is a training run (its newest checkpoint), RUN@STEP, a checkpoint's folder, or a model
    of the hub. Raises InputError for what cannot be merged, StoreError for a damaged checkpoint or a full disk.
    """
    if out is not None:
        require_free(out)
    plan = plan_merge(names, weights=weights, base=base, warn=warn)
    target = require_free(out or Path("exports") / "-and-".join(model.source.name for model in plan.models))
    first = plan.models[0]
    with new_folder(target) as partial:
        own = {file for pattern in OWN_FILES for file in first.folder.glob(pattern)}
        for file in sorted({file for pattern in ANSWERING_FILES for file in first.folder.glob(pattern)} - own):
            shutil.copyfile(file, partial / file.name)
        config = copy.deepcopy(first.config)
        config.dtype = plan.dtype
        config.save_pretrained(partial)
        write_merged(plan, partial)
        (partial / CARD).write_text(card(plan, name=target.name), encoding="utf-8")
    return target


def card(plan: Plan, *, name: str) -> str:
    """Write the model card: the formula, the models with their weights, how it is loaded."""
    if plan.base is None:
        formula = (
            "The weights are the weighted mean of those of the models below (Wortsman et al., arXiv 2203.05482): "
            "`theta = sum_i w_i theta_i`."
        )
    else:
        formula = (
            f"To the weights of the base model, `{_origin(plan.base)[0]}`, the weighted differences of the models "
            "below were added (task arithmetic, Ilharco et al., arXiv 2212.04089): "
            "`theta = theta_0 + sum_i w_i (theta_i - theta_0)`."
        )
    rows = [
        f"| {share:g} | `{shown}` | {recipe} | {step} |"
        for share, (shown, recipe, step) in zip(plan.weights, map(_origin, plan.models), strict=True)
    ]
    tensors = len(plan.models[0].tensors)
    parts = [
        front_matter(_bases(plan), tags="relift, reasoning, merge"),
        f"# {name}",
        f"Merged of {len(plan.models)} checkpoint{'s' if len(plan.models) > 1 else ''} with relift "
        f"{versions()['relift']}; nothing was trained. {formula}",
        "| w | model | recipe | step |\n|---|---|---|---|\n" + "\n".join(rows),
        f"{tensors} tensors, computed in float64 and written in {spelled(plan.dtype)}. Tokenizer, "
        "chat template and defaults of generation are the first model's. It was not evaluated: no number of the merged "
        "models is one of this one's.",
        loading(name),
        "The license is that of the models and of their data; neither is stated here.",
    ]
    return "\n\n".join(parts) + "\n"


def _origin(model: Merged) -> tuple[str, str, str]:
    """Tell what a model is: its run or name, its recipe, its step."""
    if model.source.run_id is None:
        path = Path(model.source.path)
        return public(plain_name(path) if path.is_dir() else model.source.path), "", ""
    return public(model.source.run_id), public(_run(model).run.recipe or ""), str(model.source.step)


def _bases(plan: Plan) -> list[str]:
    found = [] if plan.base is None else [plan.base.source.path]
    for model in plan.models:
        if model.source.run_id is None:
            found.append(model.source.path)
        else:
            found.append(str(value_of(tomllib.loads(_run(model).config_toml), "model.path")))
    return found


def _run(model: Merged) -> RunReader:
    """Open the run that a checkpoint belongs to."""
    given = Path(model.name)
    folder = given if given.exists() else Path(model.name.rpartition("@")[0])
    return RunReader(next(f for f in (folder, *folder.absolute().parents) if (f / "run.json").is_file()))
