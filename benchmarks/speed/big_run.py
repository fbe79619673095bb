"""Write a large synthetic run for the measurements of analysis and dashboard, through the run's own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from relift.run_record import RunRecord
from relift.schema import RunStatus, question_id_of
from relift.store import RunWriter

N_ATTEMPTS = 8  # at each question and step


def make_run(folder: Path, *, n_questions: int, n_steps: int, attempts: bool, texts: int = 0) -> None:
    """Write probes of `n_questions` at `n_steps` steps, two draws at step 0, of a model that learns a little.

    `attempts`: write the table of attempts too. `texts`: of every how many steps the answers' texts are kept, 40 words
    each; 0: none.
    """
    rng = np.random.default_rng(0)
    rate_Q = np.where(rng.random(n_questions) < 0.15, 0, rng.beta(0.45, 0.9, n_questions))
    ix_Q = np.arange(n_questions, dtype=np.int32)
    problems = [f"question {i}: what is {i} and {i * 7 % 1000}, added and halved?" for i in range(n_questions)]
    questions = {
        "question_id": [question_id_of(p) for p in problems], "question_ix": ix_Q, "source": "synthetic",
        "split": "probe", "problem": problems, "answer": "0", "answer_kind": "exact", "prompt_tokens": 9,
        "has_demo": False,
    }  # fmt: skip

    def worded(codes: np.ndarray, words: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes), words)

    def constant(word: str, n: int) -> pa.Array:
        return worded(np.zeros(n, np.int32), [word])

    with RunWriter(folder) as writer:
        writer.start(
            RunRecord(run_id="big", name="rl", seed=0, status=RunStatus.done), config_toml="",
            questions=pd.DataFrame(questions), demonstrations=None,
        )  # fmt: skip
        for step in range(n_steps):
            for draw in (0, 1) if step == 0 else (0,):
                rate = rate_Q + (1 - rate_Q) * (rate_Q > 0) * 0.3 * step / n_steps
                ix_N = np.repeat(ix_Q, N_ATTEMPTS)
                right_N = rng.random(len(ix_N)) < rate[ix_N]
                n, attempt_N = len(ix_N), np.tile(np.arange(N_ATTEMPTS, dtype=np.int32), n_questions)
                if attempts:
                    table = {
                        "question_ix": ix_N, "attempt": attempt_N,
                        "verdict": worded(right_N.astype(np.int32), ["wrong", "correct"]),
                        "verdict_rule": constant("box.number", n), "reward": right_N.astype(np.float32),
                        "finish": constant("stop", n), "n_tokens": rng.integers(20, 3000, n).astype(np.int32),
                        "answer": pa.array(np.where(right_N, "0", "1")),
                        "mean_entropy": rng.random(n).astype(np.float32),
                        "used_in_update": np.zeros(n, bool), "policy_version": np.full(n, step, np.int32),
                        "decoding_id": constant("probe", n), "seed": rng.integers(0, 2**62, n),
                    }  # fmt: skip
                    writer.write("attempts", pa.table(table), step=step, origin="probe", draw=draw)
                if texts and step % texts == 0 and draw == 0:
                    words = rng.integers(0, 10**9, (n, 40)).astype("U9")
                    text = {"response_id": np.arange(n), "question_ix": ix_N, "attempt": attempt_N}
                    body = [" ".join(row) for row in words.tolist()]
                    writer.write("responses", pa.table({**text, "text": body}), step=step, origin="probe", draw=draw)
                counts = np.bincount(ix_N[right_N], minlength=n_questions).astype(np.int16)
                rows = {
                    "question_ix": ix_Q, "n_attempts": N_ATTEMPTS, "n_correct": counts, "n_undecided": 0,
                    "n_truncated": 0, "n_distinct_answers": 2, "mean_tokens": rng.random(n_questions) * 1000,
                    "mean_tokens_correct": rng.random(n_questions) * 1000, "mean_entropy": rng.random(n_questions),
                    "rl_exposures": 0, "sft_exposures": 0, "in_buffer": False,
                }  # fmt: skip
                writer.write("trajectories", pd.DataFrame(rows), step=step, origin="probe", draw=draw)
            writer.commit(step)
