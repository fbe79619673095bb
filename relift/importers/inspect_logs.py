"""Read logs of Inspect through inspect_ai's own reader: .eval and .json files, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relift.data.prompt_texts import last_turn
from relift.errors import InputError
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.schema import Finish, Origin, RunKind

ENDED = {"stop": Finish.stop, "tool_calls": Finish.stop, "max_tokens": Finish.length, "model_length": Finish.length}
RIGHT = {"C": True, "I": False}  # values of Inspect's scorers; P (partial) and N (no answer) are no verdict
SUFFIXES = (".eval", ".json")


class InspectLogs:
    """Reads the logs of one model; each log is a benchmark, its epochs are attempts."""

    def __init__(self, source: Path, options: Options) -> None:
        self._options = options
        self._reader = _reader()
        files = [p for p in sorted(source.iterdir()) if p.suffix in SUFFIXES] if source.is_dir() else [source]
        if not files:
            raise InputError(f"{source}: no .eval or .json log there")
        self._headers = [(path, self._header(path)) for path in files]
        models = sorted({str(header.eval.model) for _, header in self._headers})
        if len(models) > 1:
            raise InputError(f"{source}: logs of several models ({', '.join(models[:3])}): import one after the other")
        self._failed = 0

    def _header(self, path: Path) -> Any:
        try:
            return self._reader.read_eval_log(str(path), header_only=True)
        except Exception as error:  # inspect_ai raises whatever its formats raise: no log, or a damaged one
            raise InputError(f"{path}: not a log that inspect_ai reads: {_first_line(error)}") from None

    def about(self) -> About:
        """Say which model was evaluated and how it was sampled."""
        first = self._headers[0][1]
        config = first.plan.config.model_dump(exclude_none=True) if first.plan else {}
        plain = {name: value for name, value in config.items() if isinstance(value, str | int | float | bool)}
        seed = plain.get("seed")
        cut = [path.name for path, header in self._headers if header.status != "success"]
        lacks = [f"the rest of {', '.join(cut)}, which did not end well"] if cut else []
        if self._failed:
            lacks.append(f"an answer to {self._failed:,} samples that ended with an error")
        return About(
            project="inspect", kind=RunKind.eval, model=str(first.eval.model), sampling=plain,
            versions={"inspect_ai": str((first.eval.packages or {}).get("inspect_ai", "unknown"))},
            seed=seed if isinstance(seed, int) else None, lacks=tuple(lacks),
        )  # fmt: skip

    def batches(self) -> Iterator[Batch]:
        """Give the answers log by log."""
        self._failed = 0
        names: dict[str, int] = {}
        for path, header in self._headers:
            name = str(header.eval.task).rpartition("/")[2]
            names[name] = names.get(name, 0) + 1
            name = name if names[name] == 1 else f"{name}-{names[name]}"
            yield Batch(0, Origin.benchmark, list(self._answers(path, name)), name)

    def _answers(self, path: Path, name: str) -> Iterator[ImportedAnswer]:
        samples = self._reader.read_eval_log_samples(str(path), all_samples_required=False)
        try:
            for sample in samples:
                found = self._answer(sample, name)
                if found is None:
                    self._failed += 1
                else:
                    yield found
        except InputError:
            raise
        except Exception as error:  # as for the header
            raise InputError(f"{path}: cannot be read on: {_first_line(error)}") from None

    def _answer(self, sample: Any, name: str) -> ImportedAnswer | None:
        """Read one sample; None where it has no answer."""
        if sample.output is None or not sample.output.choices:
            return None
        turns = None if isinstance(sample.input, str) else [m.model_dump() for m in sample.input]
        problem = sample.input if turns is None else last_turn(turns, "user")
        if problem is None:
            raise InputError(f"sample {sample.id}: its input has no turn of a user")
        target = sample.target if isinstance(sample.target, str) else "; ".join(sample.target)
        choice, usage = sample.output.choices[0], sample.output.usage
        scores = [score.value for score in (sample.scores or {}).values()]
        return ImportedAnswer(
            question=self._options.question(problem, target, source="inspect", split=name),
            text=sample.output.completion,
            finish=ENDED.get(choice.stop_reason, Finish.unknown),
            score_is=_verdict(scores[0], self._options) if scores else None,
            n_tokens=None if usage is None else usage.output_tokens,
            prompt_tokens=None if usage is None else usage.input_tokens,
        )


def _verdict(value: Any, options: Options) -> bool | None:
    return RIGHT.get(value) if isinstance(value, str) else options.verdict_of(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _reader() -> Any:
    try:
        import inspect_ai.log
    except ImportError:
        raise InputError("reading logs of Inspect needs its package: pip install 'relift[inspect]'") from None
    return inspect_ai.log
