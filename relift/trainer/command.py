"""`relift train`: a configuration and a folder in, a finished run out; progress on a terminal, signals obeyed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from relift.inert import PlainConsole, for_terminal
from relift.schema import RunStatus
from relift.terminal import stop_on_signals, warn_on
from relift.trainer.configuration import load_config
from relift.trainer.run import StepReport


def run_training(
    source: str, out: Path | None, *, overrides: Sequence[str], allow_changes: Sequence[str], quiet: bool
) -> None:
    """Train to the end, or until a signal: then the run is saved at the next step and the process exits as it should
    (130 after Ctrl-C, 143 after SIGTERM). A second signal ends it at once; committed steps are safe."""
    config = load_config(source, overrides=overrides)
    folder = out or Path("runs") / (config.name or config.recipe)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from relift.trainer.loop import Interrupted, train  # torch takes seconds: not before the configuration is read
    from relift.trainer.parallel import among_peers, any_process
    from relift.trainer.setup import open_run

    first = os.environ.get("RANK", "0") == "0"  # of several processes one speaks
    console = PlainConsole(stderr=True, quiet=quiet or not first)
    with (
        among_peers(),
        stop_on_signals() as received,
        open_run(config, folder, allow_changes=allow_changes, warn=warn_on(console)) as run,
    ):
        run.stop_requested = any_process(lambda: bool(received))
        console.print(f"watch it: relift dashboard {folder}", soft_wrap=True, highlight=False, markup=False)
        with progress(console, total=config.steps, done=run.step or 0, label=folder.name) as show:
            run.on_step = show
            try:
                train(run)
            except Interrupted:
                run.record.writer.update_run(status=RunStatus.interrupted)
                console.print(
                    f"stopped after step {run.step}; start the same command again to continue", soft_wrap=True
                )
                sys.exit(128 + (received[0] if received else signal.SIGTERM))  # none: another process was told
        run.record.writer.update_run(status=RunStatus.done)
    console.print(f"done: {folder}  (verify it: relift check {folder})", soft_wrap=True, highlight=False, markup=False)


def run_dry(source: str, *, overrides: Sequence[str], gpus: int | None, gpu_gib: float) -> None:
    """Print what a run would take and whether its inputs hold. Raises OutOfMemory when the named GPUs are too small."""
    config = load_config(source, overrides=overrides)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from relift.trainer.dry_run import dry_run, lines_of, require_room

    found = dry_run(config, gpus=gpus, gpu_gib=gpu_gib, warn=warn_on(Console(stderr=True)))
    for line in lines_of(found):
        print(line)
    require_room(found)


@contextmanager
def progress(console: Console, *, total: int, done: int, label: str) -> Iterator[Callable[[StepReport], None]]:
    """A bar with the last scores on a terminal; a line every tenth of the way elsewhere."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[scores]}"), console=console) as bars:
        label = for_terminal(label)
        task = bars.add_task(label, total=total, completed=done, scores="")
        scores: dict[str, str] = {}

        def show(report: StepReport) -> None:
            if report.reward is not None:
                scores["reward"] = f"{report.reward:.2f}"
            if report.probe_accuracy is not None:
                scores["probe"] = f"{report.probe_accuracy:.3f}"
            scores["buffer"] = str(report.buffer_len)
            scores["tokens/s"] = f"{report.generated_tokens / max(report.seconds, 1e-9):,.0f}"
            text = "  ".join(f"{k} {v}" for k, v in scores.items())
            bars.update(task, completed=report.step, scores=text)
            if not console.is_terminal and report.step % max(1, total // 10) == 0:
                console.print(f"{label}: step {report.step} of {total}  {text}", soft_wrap=True, markup=False)

        yield show
