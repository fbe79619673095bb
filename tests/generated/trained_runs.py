"""Change the checkpoints of runs that were trained, seal them again, and go on training, evaluate and export."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from relift.config import Config
from relift.engines.model_source import resolve_model
from relift.errors import ReliftError
from relift.evaluate.models import read_model
from relift.store import check_run
from relift.store.files import read_record, record_bytes, sha256_of_file
from relift.trainer.export import export
from relift.trainer.loop import train
from relift.trainer.setup import open_run
from tests.generated.makers import ODD, json_text, odd_bytes, odd_json
from tests.resume.harness import config_of, lay_inputs, run_here

STATE_FILES = ("state.json", "state.tensors")
N_STEPS = 3  # of the run that is there; it is continued to one more


def lay_runs(folder: Path) -> tuple[Config, dict[str, Path]]:
    """Train a run of three steps, checkpoints at 2 and 3; and lay it once more as two processes would have saved it."""
    inputs = lay_inputs(folder)
    changes: dict[str, Any] = {"checkpoint": {"every": 1}, "probe": {"every": 2, "attempts": 1}}
    run_here(config_of(inputs, steps=N_STEPS, **changes), folder / "one" / "run")
    shutil.copytree(folder / "one", folder / "two")
    for checkpoint in (folder / "two" / "run" / "weights").glob("step-*"):
        _lay_shards(checkpoint)
        seal(checkpoint)
    return config_of(inputs, steps=N_STEPS + 1, **changes), {name: folder / name / "run" for name in ("one", "two")}


def _lay_shards(checkpoint: Path) -> None:
    """Divide weights and state over two files each, with the names that two processes give them (trainer/shards.py)."""
    weights, state = load_file(checkpoint / "model.safetensors"), load_file(checkpoint / "state.tensors")
    own = {name: tensor for name, tensor in state.items() if name.startswith(("record/", "random/"))}
    moments = {name: tensor for name, tensor in state.items() if name not in own}
    for rank in (0, 1):
        number = f"{rank + 1:05d}-of-00002"
        save_file(dict(sorted(weights.items())[rank::2]), checkpoint / f"model-{number}.safetensors", {"format": "pt"})
        save_file(dict(sorted(moments.items())[rank::2]), checkpoint / f"state-{number}.tensors")
    save_file(own, checkpoint / "state.tensors")
    (checkpoint / "model.safetensors").unlink()
    places = {name: f"model-{i % 2 + 1:05d}-of-00002.safetensors" for i, name in enumerate(sorted(weights))}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def seal(checkpoint: Path) -> None:
    """Write the manifest anew, as whoever changed the files can."""
    manifest = read_record(checkpoint / "manifest.json")
    files = sorted(path for path in checkpoint.iterdir() if path.name != "manifest.json" and path.is_file())
    manifest["files"] = {f.name: {"bytes": f.stat().st_size, "sha256": sha256_of_file(f)} for f in files}
    (checkpoint / "manifest.json").write_bytes(record_bytes(manifest))


def use_trained_run(rng: random.Random, folder: Path, *, runs: dict[str, Path], config: Config) -> None:
    """Spoil one file of every checkpoint in the same way. Each command goes on, or refuses in one line."""
    own = folder / "run"
    shutil.copytree(rng.choice(sorted(runs.values())), own)
    checkpoints = sorted((own / "weights").glob("step-*"))
    spoil, state = rng.choice((_state, _state, _state, _tensors, _tensors, _bytes, _index)), rng.getstate()
    for checkpoint in checkpoints:
        rng.setstate(state)
        spoil(rng, checkpoint)
        seal(checkpoint)
    for act in (check_run, _evaluate, lambda run: export(str(run), folder / "out"), lambda run: _go_on(run, config)):
        try:
            act(own)
        except ReliftError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2_000, str(error)[:300]
            assert error.exit_status in (2, 3, 5), repr(error)
    left = [path.name for path in own.rglob("*") if path.name.startswith((".tmp-", ".del-"))]
    assert {path.name for path in folder.iterdir()} <= {"run", "out"} and left == []
    shutil.rmtree(folder)


def _evaluate(run: Path) -> None:
    source = resolve_model(str(run), on_event=lambda line: None)
    read_model(source.path, engine="torch", revision=None, tokenizer=None, warn=lambda line: None)


def _go_on(run: Path, config: Config) -> None:
    with open_run(config, run, allow_changes={"steps"}) as opened:
        train(opened)
    check_run(run)  # totals that lie may be told


def _state(rng: random.Random, checkpoint: Path) -> None:
    path = checkpoint / "state.json"
    body = json.loads(path.read_text())
    part = rng.choice((None, None, "totals", "buffer", "learner", "random"))
    if part is None:
        body = odd_json(rng, body)
    else:
        body[part] = odd_json(rng, body[part])
    path.write_text(json_text(body), "utf-8", "surrogatepass")


def _tensors(rng: random.Random, checkpoint: Path) -> None:
    """Give one tensor of the state or the weights another type, another shape or odd numbers, or leave it out."""
    files = sorted([*checkpoint.glob("state*.tensors"), *checkpoint.glob("model*.safetensors")])
    path = rng.choice(files)
    tensors = load_file(path)
    if not tensors:
        return
    name = rng.choice(sorted(tensors))
    tensor = tensors[name]
    act = rng.randrange(6)
    if act == 0:
        tensors[name] = tensor.to(rng.choice((torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)))
    elif act == 1:
        tensors[name] = rng.choice((tensor[:-1], tensor[None], tensor.flatten(), tensor[:0])).contiguous()
    elif act == 2 and tensor.is_floating_point():
        tensor.view(-1)[0] = rng.choice((float("nan"), float("inf"), -1.0, 3e38))
    elif act == 3:
        del tensors[name]
    elif act == 4:
        tensors[str(rng.choice(ODD))[:50].encode("utf-8", "replace").decode() or "w"] = tensor.clone()
    else:
        tensors[name] = torch.full_like(tensor, rng.choice((0, 1, 255)) if tensor.dtype == torch.uint8 else 1)
    save_file(tensors, path, {"format": "pt"})


def _bytes(rng: random.Random, checkpoint: Path) -> None:
    path = rng.choice(sorted(path for path in checkpoint.iterdir() if path.name != "manifest.json"))
    path.write_bytes(odd_bytes(rng, path.read_bytes()))


def _index(rng: random.Random, checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors.index.json"
    body: Any = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    if path.is_file():
        body = json.loads(path.read_text())
    path.write_text(json_text(odd_json(rng, body)), "utf-8", "surrogatepass")
