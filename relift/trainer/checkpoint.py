"""Save the state of a run, and put a run back to it. The files' protocol is the store's (relift.store).

weights/step-000120/
    config.json, tokenizer files, model*.safetensors   a transformers checkpoint that loads anywhere
    state.tensors   safetensors too, by another name, for servers load every *.safetensors of a folder as weights:
                    moments of every optimizer, exposures, random state of torch
    of an adapter (LoRA) adapter_config.json and adapter_model.safetensors in place of the model's weights
    of several processes model-00001-of-00002.safetensors with its index, and state-00001-of-00002.tensors: one of each
                    from every process (relift.trainer.shards)
    state.json      step, totals, demonstration buffer in order, optimizers' counts, other random states, and where the
                    drawing of questions stands, if it is no function of the step
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from relift.engines.adapters import ADAPTER_WEIGHTS
from relift.errors import StoreError
from relift.fingerprints import files_in
from relift.learner.learner import Learner
from relift.learner.lora import name_in_model
from relift.trainer.record import Totals
from relift.trainer.run import Run
from relift.trainer.shards import MODEL, can_shard, save_by_shards
from relift.trainer.tensor_files import StoredTensor, TensorFiles

STATE, STATE_FILES, STATE_JSON = "state.tensors", "state*.tensors", "state.json"
MODEL_FILES = "model*.safetensors"
WriteModel = Callable[[Path, dict[str, torch.Tensor]], None]


def save(run: Run, kind: str | None, *, write_model: WriteModel, write_config: Callable[[Path], None]) -> None:
    """A checkpoint of the last finished step. `kind` None: unscheduled, it leaves no row in `checkpoints`."""
    assert run.step is not None and isinstance(run.learner, Learner)
    step, writer, learner = run.step, run.record.writer, run.learner
    state = json.dumps(_state_of(run), allow_nan=False)
    kl = run.record.kl_to_base
    row = None if kind is None else {"step": step, "kind": kind, **run.record.totals.row(), "kl_to_base": kl}
    info = {"row": row}
    if learner.adapter is None and can_shard(learner.model.config.model_type):

        def write_rest(folder: Path) -> None:
            with writing(folder):
                write_config(folder)
                save_file(_own_tensors(run), folder / STATE)
                (folder / STATE_JSON).write_text(state)

        def save_sharded(write: Callable[[Path], dict[str, str]]) -> None:
            writer.save_checkpoint(step, write, info=info)

        save_by_shards(save_sharded, learner.parts(), write_rest)
    else:
        tensors, _ = learner.state_dict()
        adapter = learner.adapter
        weights = learner.model_state_dict() if adapter is None else _of_model(tensors)

        def write_all(folder: Path) -> None:
            with writing(folder):
                if adapter is None:
                    write_model(folder, weights)
                else:
                    write_config(folder)
                    adapter.save(folder, weights)
                there = {f"{MODEL}{name}" for name in _stored_weights(folder)}
                rest = {name: t.contiguous() for name, t in tensors.items() if name not in there}
                save_file(rest | _own_tensors(run), folder / STATE)
                (folder / STATE_JSON).write_text(state)

        writer.save_checkpoint(step, write_all, info=info)
    if row is not None and learner.rank == 0:
        keep_row(run, row)


def _of_model(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pick the weights out of a learner's tensors, by the model's names."""
    return {n.removeprefix(MODEL): t for n, t in tensors.items() if n.startswith(MODEL)}


def _stored_weights(folder: Path) -> dict[str, StoredTensor]:
    """Open the weights of a checkpoint, a model's or an adapter's, by the model's names."""
    weights = dict(TensorFiles(files_in(folder, MODEL_FILES)))
    adapter = TensorFiles(files_in(folder, ADAPTER_WEIGHTS))
    return weights | {name_in_model(name): tensor for name, tensor in adapter.items()}


def _state_of(run: Run) -> dict[str, Any]:
    assert isinstance(run.learner, Learner)
    return {
        "step": run.step,
        "skipped_in_a_row": run.skipped_in_a_row,
        "ended_by": run.config.budget.model_dump() if run.ended else None,
        "totals": vars(run.record.totals),
        "buffer": run.buffer.state_dict(),
        **({} if run.draws is None else {"draws": run.draws.state_dict()}),
        **({} if run.arrivals is None else {"arrivals": run.arrivals.state_dict()}),
        "learner": run.learner.scalars(),
        "random": {"python": random.getstate(), "numpy": _numpy_state()},
    }


def _own_tensors(run: Run) -> dict[str, torch.Tensor]:
    """Gather the tensors of a checkpoint that are not the learner's."""
    tensors = {
        "record/rl_exposures": torch.from_numpy(run.record.rl_exposures),
        "record/sft_exposures": torch.from_numpy(run.record.sft_exposures),
        "random/torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while files are written into one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # of safetensors a full disk comes without its errno
        raise StoreError(
            f"{folder}: cannot write the checkpoint: {error}; make room and start again, the run goes on from "
            "its last checkpoint"
        ) from None


def keep_row(run: Run, row: dict[str, Any]) -> None:
    """Add the row to `checkpoints`, retire old weights, and note which folders are left."""
    writer = run.record.writer
    table = writer.read_whole("checkpoints")
    table = table[table["step"] < row["step"]]
    frame = pd.concat([table, pd.DataFrame([{"run_id": writer.run.run_id, **row}])], ignore_index=True)
    protect = frame.loc[frame["kind"] != "train", "step"].tolist()
    writer.retire_checkpoints(keep=run.config.checkpoint.keep, protect=protect)
    kept = {p.name for p in (writer.folder / "weights").glob("step-*")}
    paths = [f"weights/step-{int(s):06d}" for s in frame["step"]]
    frame["path"] = [p if Path(p).name in kept else None for p in paths]
    writer.write_whole("checkpoints", frame)


def restore(run: Run, folder: Path) -> None:
    """Put learner, buffer, totals and random states back to a verified checkpoint. Its weights are published before
    the engine is next asked. Of several processes each reads its own part of every tensor."""
    assert isinstance(run.learner, Learner)
    state = json.loads((folder / STATE_JSON).read_text())
    wanted = set(run.learner.parts())  # a tied head is in the files, but no parameter of its own
    weights = {f"{MODEL}{name}": tensor for name, tensor in _stored_weights(folder).items()}
    rest = TensorFiles(files_in(folder, STATE_FILES))
    tensors = {n: t for n, t in weights.items() if n in wanted} | dict(rest)
    run.step, run.skipped_in_a_row = state["step"], state["skipped_in_a_row"]
    run.ended = state.get("ended_by") == run.config.budget.model_dump()  # a larger budget goes on
    run.record.totals = Totals.load(state["totals"])
    run.record.rl_exposures = tensors.pop("record/rl_exposures")[()].clone().numpy()
    run.record.sft_exposures = tensors.pop("record/sft_exposures")[()].clone().numpy()
    run.buffer.load_state_dict(state["buffer"])
    if run.draws is not None:
        run.draws.load_state_dict(state["draws"])
    if run.arrivals is not None:
        run.arrivals.load_state_dict(state["arrivals"])
    version, numbers, gauss = state["random"]["python"]
    random.setstate((version, tuple(numbers), gauss))
    _set_numpy_state(state["random"]["numpy"])
    torch.set_rng_state(tensors.pop("random/torch")[()].clone())
    cuda = tensors.pop("random/cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda[()].clone())
    run.learner.load_state_dict(tensors, state["learner"])


def _numpy_state() -> list[Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return [name, np.asarray(keys).tolist(), position, has_gauss, gauss]


def _set_numpy_state(state: list[Any]) -> None:
    name, keys, position, has_gauss, gauss = state
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
