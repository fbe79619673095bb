"""Probe a fixed set of questions with a trainer's own model: a callback of transformers, so of TRL's trainers too.

Two draws before training, one every N steps and one at the end. With `record` on the same folder both make one run;
alone, as for fine-tuning, it makes a run of probes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.integrations.facts import facts_of_trainer
from relift.integrations.probe_questions import Asked, Drawn, judge_probe, prompt_ids, read_probe
from relift.integrations.probe_sampling import exact_sampler, sample_by_generate, sample_exactly, undisturbed
from relift.integrations.recorder import CORRECT_FROM, Recorder, share, shared
from relift.schema import Origin, seed_of

MAX_TOKENS = 512  # of a probe's answer where the trainer's arguments name no limit
STEP_ZERO_DRAWS = 2  # bands are assigned on one and measured on the other


class ProbeCallback(transformers.TrainerCallback):
    """Ask each question `attempts` times before training (two draws), every `every` steps, and at the end.

    questions: a file (jsonl, parquet, hf:...) or rows of a data set, with `prompt` or `problem` and a gold answer.
    folder: the run folder, the same as that of `record`. reward: the function that judges, called as TRL calls it;
    by default the one that `record` on this folder takes its verdicts from, else our grader by the gold answers.
    max_tokens, temperature, top_p, top_k: by default those of the trainer's rollouts, else 512, 1, 1, off.
    gold, problem: names of columns. name: label in figures. strict: raise errors, for tests.

    Training is as it were without it: random numbers, the model's mode and its weights stay as they were. On a CPU our
    own sampler answers (every attempt has its seed), else the model's `generate`. Models that are sharded (FSDP,
    DeepSpeed) are not probed: `relift probe` asks their checkpoints. Of several processes each asks its share.
    Making one raises InputError for questions that cannot be read; later errors are told once, and training goes on.
    """

    def __init__(
        self,
        questions: Any,
        folder: str | Path,
        *,
        attempts: int = 8,
        every: int = 50,
        reward: Callable[..., Any] | None = None,
        threshold: float = CORRECT_FROM,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        gold: str | None = None,
        problem: str | None = None,
        name: str | None = None,
        strict: bool = False,
    ) -> None:
        for what, number in (("attempts", attempts), ("every", every)):
            if number < 1:
                raise InputError(f"ProbeCallback: {what} = {number}, must be at least 1")
        self.asked = read_probe(questions, gold=gold, problem=problem)
        self.attempts, self.every = attempts, every
        self._folder, self._reward, self._threshold = Path(folder), reward, threshold
        self._given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k}
        self._name, self._strict = name, strict
        self._recorder: Recorder | None = None
        self._last: int | None = None  # step of the last probe
        if shared(folder) is None:  # refuse a folder that is no run's before training begins
            Recorder(folder)

    # ---- transformers calls these ----------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the launch; probe the base twice, or the checkpoint where its probe is missing."""
        self._recorder = shared(self._folder) or share(
            Recorder(self._folder, name=self._name, threshold=self._threshold, strict=self._strict)
        )
        recorder, model, step = self._recorder, kwargs["model"], int(state.global_step)
        self._last = None

        def begin() -> None:
            recorder.describe(facts_of_trainer(args, model))
            recorder.go_on_from(step)

        recorder.safely(begin)
        if step == 0:
            for draw in range(STEP_ZERO_DRAWS):
                self._probe(args, state, kwargs, draw=draw)
        elif step % self.every == 0:
            self._probe(args, state, kwargs, draw=0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe where a probe is due."""
        if state.global_step % self.every == 0:
            self._probe(args, state, kwargs, draw=0)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the end, unless the last step did, and close the record."""
        if self._recorder is None:
            return
        if state.global_step > 0 and self._last != state.global_step:
            self._probe(args, state, kwargs, draw=0)
        self._recorder.finish(done=state.global_step >= state.max_steps)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _probe(self, args: Any, state: Any, given: dict[str, Any], *, draw: int) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.safely(lambda: self._add_probe(recorder, args, state, given, draw=draw))

    def _add_probe(self, recorder: Recorder, args: Any, state: Any, given: dict[str, Any], *, draw: int) -> None:
        step = int(state.global_step)
        self._last = step
        if recorder.has_probe(step, draw):
            return
        model = given["model"]
        tokenizer = given.get("processing_class") or given.get("tokenizer")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor for images
        _require_whole(model, args)
        if tokenizer is None:
            raise InputError("ProbeCallback: the trainer has no processing_class (tokenizer) to put questions with")
        sampling = self._sampling(args, model, tokenizer)
        mine = self.asked[recorder.rank :: recorder.world_size]
        reward = self._reward or recorder.judge
        with undisturbed(model):
            drawn = self._draw(mine, model, tokenizer, sampling, args, step=step, draw=draw) if mine else []
            repeated = [one for one in mine for _ in range(self.attempts)]
            answers = judge_probe(repeated, drawn, reward=reward, threshold=recorder.threshold, state=state)
        recorder.decode(Origin.probe, {k: v for k, v in vars(sampling).items() if k not in ("stop", "stop_token_ids")})
        recorder.add_probe(step, answers, draw=draw)

    def _sampling(self, args: Any, model: Any, tokenizer: Any) -> Sampling:
        names = {
            "max_tokens": "max_completion_length",
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
        }
        defaults = {"max_tokens": MAX_TOKENS, "temperature": 1.0, "top_p": 1.0, "top_k": -1}
        values = {}
        for ours, theirs in names.items():
            told = self._given[ours] if self._given[ours] is not None else getattr(args, theirs, None)
            values[ours] = defaults[ours] if told is None else told
        top_k = int(values["top_k"])
        declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        ends = [tokenizer.eos_token_id, *(declared if isinstance(declared, list | tuple) else [declared])]
        return Sampling(
            max_tokens=int(values["max_tokens"]),
            temperature=float(values["temperature"]),
            top_p=float(values["top_p"]),
            top_k=top_k if top_k > 0 else -1,
            stop_token_ids=tuple(dict.fromkeys(int(end) for end in ends if end is not None)),
        )

    def _draw(
        self,
        mine: tuple[Asked, ...],
        model: Any,
        tokenizer: Any,
        sampling: Sampling,
        args: Any,
        *,
        step: int,
        draw: int,
    ) -> list[Drawn]:
        options = getattr(args, "chat_template_kwargs", None) or {}
        prompts = [prompt_ids(one, tokenizer, template_options=options) for one in mine]
        seeds = [
            [seed_of(args.seed, str(Origin.probe), draw, step, one.question_id, n) for n in range(self.attempts)]
            for one in mine
        ]
        sampler = exact_sampler(model)
        if sampler is not None:
            return sample_exactly(sampler, prompts, seeds, sampling, tokenizer)
        return sample_by_generate(model, prompts, sampling, tokenizer, attempts=self.attempts, seed=seeds[0][0])


def _require_whole(model: Any, args: Any) -> None:
    """Refuse models whose weights lie in parts on several devices. InputError."""
    if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
        raise InputError("ProbeCallback: a sharded model cannot be probed while it trains; use relift probe CHECKPOINT")
