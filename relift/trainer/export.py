"""Copy a run's checkpoint out as a plain transformers checkpoint, with a model card of what the record says of it."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from relift.engines.adapters import is_adapter
from relift.engines.hf_model import load_model
from relift.engines.model_source import ANSWERING_FILES, ModelSource, resolve_model
from relift.errors import InputError, StoreError
from relift.schema import Origin
from relift.store import RunReader
from relift.trainer.recipes import RECIPES

CARD = "README.md"
# What the card says of training, by column of `checkpoints`.
TOTALS = {
    "rl_updates": "RL updates",
    "sft_updates": "fine-tuning updates",
    "samples": "rollouts",
    "generated_tokens": "tokens of rollouts",
    "trained_tokens": "tokens trained on",
    "demonstration_tokens": "of these, of demonstrations",
    "distinct_demonstrations": "different demonstrations trained on",
}
SETTINGS = (
    "seed", "data.prompt", "data.system", "rollout.questions_per_step", "rollout.attempts_per_question",
    "rollout.temperature", "rollout.max_tokens", "rl.loss", "rl.advantage", "rl.denominator", "rl.reward",
    "rl.truncated", "lora.rank", "lora.alpha", "rl.optimizer.lr", "sft.loss", "sft.batch", "sft.optimizer.lr",
)  # fmt: skip


def export(
    name: str, out: Path | None, *, as_adapter: bool = False, warn: Callable[[str], None] = lambda line: None
) -> Path:
    """Copy the checkpoint that RUN or RUN@STEP names to a folder of its own; give that folder.

    `out` None: exports/RUN-stepN. An adapter is merged into its base, or copied `as_adapter`. Raises InputError for
    what is no run or an `out` that holds something, StoreError for a damaged checkpoint or a full disk.
    """
    source = resolve_model(name, on_event=warn)
    if source.run_id is None or source.step is None:
        raise InputError(f"{name}: not a training run; name RUN (its newest checkpoint) or RUN@STEP")
    checkpoint = Path(source.path)
    if checkpoint.parent.name != "weights":
        raise InputError(f"{name}: the run kept no weights of step {source.step}; its base model is {source.path}")
    folder = checkpoint.parent.parent
    target = out or Path("exports") / source.name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: there is something already; name another folder with --out")
    if as_adapter and not is_adapter(checkpoint):
        raise InputError(f"{name}: --adapter is of runs with lora.rank, and this checkpoint is a whole model")
    text = card(RunReader(folder), source, name=target.name, as_adapter=as_adapter)
    merged = None
    if is_adapter(checkpoint) and not as_adapter:
        merged = load_model(str(checkpoint), dtype="auto", device=torch.device("cpu"))
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in sorted({file for pattern in ANSWERING_FILES for file in checkpoint.glob(pattern)}):
            if merged is None or not file.name.startswith("adapter_"):
                shutil.copyfile(file, partial / file.name)
        if merged is not None:
            merged.save_pretrained(partial)
        (partial / CARD).write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}; nothing is left there") from None
    return target


def card(run: RunReader, source: ModelSource, *, name: str, as_adapter: bool = False) -> str:
    """Write the model card of a checkpoint: base, recipe, data, numbers of the record, how it is loaded."""
    kind = "AutoPeftModelForCausalLM" if as_adapter else "AutoModelForCausalLM"
    lines = "from transformers import AutoModelForCausalLM, AutoTokenizer"
    if as_adapter:
        lines = "from peft import AutoPeftModelForCausalLM\nfrom transformers import AutoTokenizer"
    config = tomllib.loads(run.config_toml)
    base = _public(_value(config, "model.path"))
    questions = _public(_value(config, "data.questions"))
    parts = [
        _front_matter(base, questions, library="peft" if as_adapter else "transformers"),
        f"# {name}",
        f"`{base}` after {source.step} steps of the recipe `{run.run.recipe}`, trained with relift "
        f"{run.run.versions.get('relift', '?')} (run `{run.run_id}`).",
        _data(run, config, questions),
        "## Numbers\n\n" + "\n".join([*_totals(run, source), *_probes(run, source), *_scores(run, source)]),
        "## Settings\n\n| setting | value |\n|---|---|\n" + "\n".join(_settings(config, run.run.recipe or "")),
        f"""## Loading

```python
{lines}

model = {kind}.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
```

or `relift eval {name} -b math500`. Prompts as in training: `data.prompt` above. The license is that of the base model
and of the data; neither is stated here.""",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(base: str, questions: str, *, library: str) -> str:
    lines = ["---", f"library_name: {library}", "tags: [relift, reasoning]"]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base):  # an id on the hub
        lines.append(f"base_model: {base}")
    if dataset := re.match(r"hf:([\w.-]+/[\w.-]+)", questions):
        lines.append(f"datasets: [{dataset[1]}]")
    return "\n".join([*lines, "---"])


def _data(run: RunReader, config: Mapping[str, Any], questions: str) -> str:
    n_questions = len(run.read("questions", columns=["question_ix"]))
    lines = [f"- questions: `{questions}` ({n_questions} with those of the probes)"]
    if demonstrations := _value(config, "data.demonstrations"):
        lines.append(f"- demonstrations: `{_public(demonstrations)}`")
    if probe := _value(config, "probe.questions"):
        lines.append(f"- probe: `{_public(probe)}`")
    return "## Data\n\n" + "\n".join(lines)


def _totals(run: RunReader, source: ModelSource) -> list[str]:
    """List what training took until this step, where a scheduled checkpoint says it."""
    rows = run.read("checkpoints")
    row = rows[rows["step"] == source.step]
    return [f"- {words}: {int(row[column].iloc[0]):,}" for column, words in TOTALS.items() if len(row)]


def _probes(run: RunReader, source: ModelSource) -> list[str]:
    """Tell the accuracy on the questions probed both at step 0 and at this step, as counts."""
    steps = sorted({0, source.step or 0} & set(run.steps("trajectories", origin=Origin.probe, draw=0)))
    frame = run.read("trajectories", origin=Origin.probe, steps=steps, draws=[0]) if steps else pd.DataFrame()
    lines = []
    for step in steps:
        common = [set(frame.loc[frame["step"] == s, "question_ix"]) for s in steps]
        rows = frame[(frame["step"] == step) & frame["question_ix"].isin(set.intersection(*common))]
        right, decided = int(rows["n_correct"].sum()), int((rows["n_attempts"] - rows["n_undecided"]).sum())
        if decided:
            lines.append(
                f"- probe at step {step}: {right:,} of {decided:,} decided attempts correct ({right / decided:.1%}), "
                f"{len(rows)} questions"
            )
    return lines


def _scores(run: RunReader, source: ModelSource) -> list[str]:
    rows = run.read("scores")
    lines = []
    for row in rows[rows["step"] == source.step].to_dict("records"):
        interval = f"95 % interval {row['ci_low']:.3f} to {row['ci_high']:.3f}, " if pd.notna(row["ci_low"]) else ""
        lines.append(
            f"- {row['benchmark']} {row['metric']}@{row['parameter']:g} ({row['estimand']}): {row['value']:.3f}, "
            f"{interval}{row['n_questions']} questions"
        )
    return lines


def _settings(config: Mapping[str, Any], recipe: str) -> list[str]:
    """List the settings that describe the method, where the run's version had them and the recipe has the part."""
    method = RECIPES.get(recipe)
    other = {"rl", "sft"} - set(method.defaults if method else ("rl", "sft"))
    found = [(name, _value(config, name)) for name in SETTINGS if name.partition(".")[0] not in other]
    return [f"| `{name}` | `{_public(value)}` |" for name, value in found if value is not None]


def _value(config: Mapping[str, Any], name: str) -> Any:
    """Look a dotted name up in a stored configuration; None where it is absent or says none."""
    value: Any = config
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value == "none" or value == "" else value


def _public(value: Any) -> str:
    """Spell a value for a page that others read: no folders of this machine, nothing that ends a cell or a mark."""
    text = " ".join(str(value).split())
    head, colon, path = text.rpartition("file:")
    if Path(path).is_absolute():
        text = f"{head}{colon}{Path(path).name}"
    return text.replace("`", "'").replace("|", "/")
