"""Write docs/models.md from tests/engines/family_outcomes.json. With --check: fail if it is not current."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from generated_page import keep_current

TARGET = Path(__file__).with_name("models.md")
OUTCOMES = Path(__file__).parent.parent / "tests" / "engines" / "family_outcomes.json"

HEAD = """<!-- Written by docs/make_models.py: do not edit, run `make schema`. -->
# Models

Which model types of transformers the torch sampler and the learner compute, measured: for each a tiny random model in
float32 whose sampled answers (sampler) and packed sequences (learner) were compared, token by token, with
transformers' own forward pass. **exact**: every log-probability within 1e-5 nats, windows and chunks passed several
times over. Anything else is a refusal, in the words that a user sees, before anything is sampled or trained.

A type that is not listed is checked in the same way when it is loaded, on a few tokens in float32: it runs if sampler
and learner agree with its own code to 1e-3 nats, and is refused if not. vLLM reads more types than these
(`--engine vllm`). Every checkpoint must be safetensors, and no code of a checkpoint is run.

The file of outcomes is written by `python -m tests.engines.family_outcomes`; `make test-slow` measures all of it anew.
"exact up to N tokens": rotary positions that change with the batch beyond N (the tiny model switches at 32; sampler and
learner stop at the switch of the checkpoint). Nothing here was measured on a GPU.
"""


def models_markdown() -> str:
    """Write the whole page."""
    outcomes: dict[str, dict[str, str]] = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    rows = ["| model type | torch sampler | learner |", "|---|---|---|"]
    reasons: dict[str, int] = {}
    for case, outcome in sorted(outcomes.items()):
        kind, _, special = case.partition("/")
        name = f"`{kind}`" + (f", {special}" if special else "")
        rows.append(f"| {name} | {cell(outcome, 'sampler', reasons)} | {cell(outcome, 'learner', reasons)} |")
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([HEAD, *rows, "", "## Refusals", "", *notes]) + "\n"


def cell(outcome: Mapping[str, str], side: str, reasons: dict[str, int]) -> str:
    """Write what one side does; a refusal becomes a number, and the words stand below the table."""
    said = outcome[side]
    return said if said.startswith("exact") else f"refused ({reasons.setdefault(said, len(reasons) + 1)})"


if __name__ == "__main__":
    raise SystemExit(keep_current(TARGET, models_markdown(), source="tests/engines/family_outcomes.json"))
