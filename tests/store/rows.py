"""Small frames and a scripted training run, shared by the tests of the store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from relift.run_record import RunRecord
from relift.schema import demo_id_of, question_id_of
from relift.store import RunWriter, split_responses, trajectories_of
from relift.store.files import DISK, Disk

N_QUESTIONS, K = 3, 2
RUN = RunRecord(run_id="run-1", name="test")


def questions(n: int = N_QUESTIONS) -> pd.DataFrame:
    problems = [f"{i}+{i}?" for i in range(n)]
    return pd.DataFrame(
        {
            "question_id": [question_id_of(problem) for problem in problems],
            "question_ix": np.arange(n),
            "source": "test",
            "split": "train",
            "problem": problems,
            "answer": [str(2 * i) for i in range(n)],
            "answer_kind": "exact",
            "prompt_tokens": 4,
            "has_demo": True,
        }
    )


def demonstrations(n: int = N_QUESTIONS) -> pd.DataFrame:
    texts = [f"\\boxed{{{2 * i}}}" for i in range(n)]
    ids = [demo_id_of(q, text) for q, text in zip(questions(n)["question_id"], texts, strict=True)]
    columns = {"demo_id": ids, "question_ix": np.arange(n), "source": "dataset", "text": texts}
    return pd.DataFrame({**columns, "n_tokens": 9, "verified": True, "accepted": True})


def attempts(n: int = N_QUESTIONS, k: int = K, *, seed: int = 0) -> pd.DataFrame:
    """n x k attempts with everything the schema asks for, and `text`."""
    rng = np.random.default_rng(seed)
    size = n * k
    return pd.DataFrame(
        {
            "question_ix": np.repeat(np.arange(n), k),
            "attempt": np.tile(np.arange(k), n),
            "verdict": rng.choice(["correct", "wrong"], size),
            "verdict_rule": "box.number",
            "reward": rng.random(size).astype(np.float32),
            "finish": rng.choice(["stop", "length"], size),
            "n_tokens": rng.integers(1, 40, size),
            "answer": rng.integers(0, 9, size).astype(str),
            "sum_logprob": -rng.random(size),
            "mean_entropy": rng.random(size).astype(np.float32),
            "advantage": rng.normal(size=size).astype(np.float32),
            "used_in_update": rng.random(size) < 0.7,
            "policy_version": 0,
            "decoding_id": "rollout",
            "seed": rng.integers(0, 2**62, size),
            "text": [f"answer {i} of seed {seed}" for i in range(size)],
        }
    )


def update(number: int) -> pd.DataFrame:
    row = {"update": number, "kind": "rl", "optimizer": "rl", "loss": np.nan, "grad_norm": np.inf, "lr": 0.1}
    return pd.DataFrame([{**row, "n_sequences": 6, "n_tokens": 60, "skipped": True, "seconds": 0.0}])


def checkpoint_row(step: int, path: Path | None) -> pd.DataFrame:
    counts = ["rl_updates", "sft_updates", "samples", "generated_tokens", "trained_tokens"]
    counts += ["demonstration_tokens", "demonstrations", "distinct_demonstrations"]
    where = None if path is None else f"weights/{path.name}"
    row = {"step": step, "kind": "train", **dict.fromkeys(counts, step), "wall_seconds": 0.0, "path": where}
    return pd.DataFrame([row])


def write_step(writer: RunWriter, step: int, *, seed: int, exposures: np.ndarray, origin: str = "rollout") -> None:
    """attempts, responses, trajectories and one update of a step; adds the step to exposures [Q]."""
    frame, texts = split_responses(attempts(seed=seed))
    if origin == "rollout":
        exposures[frame.loc[frame["used_in_update"], "question_ix"].unique()] += 1
        writer.write("updates", update(step), step=step)
    writer.write("attempts", frame, step=step, origin=origin)
    writer.write("responses", texts, step=step, origin=origin)
    rows = trajectories_of(frame, rl_exposures=exposures, sft_exposures={}, in_buffer={})
    writer.write("trajectories", rows, step=step, origin=origin)


def train(folder: Path, *, disk: Disk = DISK, n_steps: int = 4, weights: int = 200, every: int = 2) -> None:
    """A training run in numpy: the state of a step is a hash of the one before, and all rows come from it.

    Starts or resumes as the trainer does, saves a checkpoint every `every` steps and keeps two.
    """
    with RunWriter(folder, disk=disk) as writer:
        if writer.is_new:
            writer.start(RUN, config_toml="seed = 1\n", questions=questions(), demonstrations=demonstrations())
        saved = next(iter(writer.checkpoints()), None)
        writer.roll_back(None if saved is None else saved.step)
        state, exposures, first = b"\0" * 32, np.zeros(N_QUESTIONS, np.int64), 0
        if saved is not None:
            data = (saved.path / "model.safetensors").read_bytes()
            state, exposures, first = data[:32], np.array(saved.info["exposures"]), saved.step + 1
            finish_saving(writer, saved.step, saved.path)  # a kill may have come between the checkpoint and this
        for step in range(first, n_steps):
            state = hashlib.sha256(state).digest()
            write_step(writer, step, seed=int.from_bytes(state[:4], "big"), exposures=exposures)
            writer.commit(step)
            if step % every == every - 1:
                save(writer, step, state, exposures, weights=weights)


def save(writer: RunWriter, step: int, state: bytes, exposures: np.ndarray, *, weights: int) -> None:
    def files(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(state + b"\1" * weights)
        (folder / "state.json").write_text("{}")

    path = writer.save_checkpoint(step, files, info={"exposures": exposures.tolist()})
    finish_saving(writer, step, path)


def finish_saving(writer: RunWriter, step: int, path: Path) -> None:
    rows = writer.read_whole("checkpoints")
    if step not in set(rows["step"]):
        new = checkpoint_row(step, path).assign(run_id=RUN.run_id)
        writer.write_whole("checkpoints", pd.concat([rows, new], ignore_index=True) if len(rows) else new)
    writer.retire_checkpoints(keep=2)


def table_bytes(folder: Path) -> dict[str, bytes]:
    """All that two equal runs must share, by relative name: every table file and every weight file."""
    files = [*folder.glob("*.parquet"), *folder.glob("[a-z]*/step-*.parquet"), *folder.glob("weights/*/*.safetensors")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}
