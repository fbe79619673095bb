"""Runs in TRL's own interpreter: a frozen copy of the embedded base through GRPOTrainer, once for each seed.

Usage: python -m tests.peers.trl_frozen FOLDER BASE SEEDS QUESTIONS. Writes FOLDER/seed-N (run folders) and prints, as
JSON lines, what `relift.analysis.frozen_copy` says of each: with a learning rate of 0 every excess is luck, so its 95 %
interval covers 0 in about 95 of 100.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import relift.analysis as ra
from tests.peers.trl_run import train


def main() -> None:
    folder, base, seeds, questions = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for seed in range(1, seeds + 1):
        run = folder / f"seed-{seed}"
        train(run, base, seed=seed, learning_rate=0.0, steps=2, questions=questions, every=2)
        copy = ra.frozen_copy(ra.read_trajectories(run))
        rows = copy[["claim", "count", "frozen", "excess", "low", "high", "n_questions"]].to_dict("records")
        print(json.dumps({"seed": seed, "claims": rows}), flush=True)


if __name__ == "__main__":
    main()
