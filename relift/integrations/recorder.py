"""Record anyone's training loop as a run folder: rollouts as they are trained on, probes of a fixed set of questions.

    recorder = Recorder("runs/mine", recipe="my-grpo", seed=1, config={"lr": 1e-6})
    for step in range(1, steps + 1):
        ...                                        # sample and reward as ever
        recorder.rollouts(
            step, problems, texts, rewards=rewards, golds=golds, n_tokens=lengths, truncated=cut_off
        )
    recorder.finish()

Then `relift report runs/mine`, `relift dashboard runs/mine`, `relift check runs/mine`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from relift.errors import InputError, ReliftError, StoreError
from relift.integrations.answers import (
    Answered,
    final_answer,
    plain_gold,
    plain_rewards,
    problem_of,
    text_of,
    verdict_of,
)
from relift.integrations.facts import Facts
from relift.integrations.ranks import Ranks
from relift.integrations.run_file import Heading, RunFile, probed
from relift.schema import Origin, RunStatus
from relift.store.folder import refuse_links, require_run_folder

LOG = logging.getLogger("relift")
MOST_FAILURES = 3  # batches in a row that could not be written, after which no more are tried
CORRECT_FROM = 1.0  # reward


class Recorder:
    """Write what a training loop does into a run folder. It adds and never stops the loop.

    `recipe` names the method, `config` its settings, `seed` its seed: runs that share recipe and config are seeds of
    one method. `threshold`: rewards from it on are correct. `name`: label in figures; by default the folder's name.
    `answer_kind`: who could grade the answers again (exact, math, choice). `texts` keeps the answers.
    `rank`, `world_size`: of several processes that share the work; by default those that torchrun says. Every process
    makes a Recorder on the same folder and records its share; the first one writes, a batch later.

    Making one raises InputError for a folder that holds something else. After that an error in it is told once, as a
    warning of the logger "relift", and the loop goes on; `strict` raises it instead. After three failures in a row
    it gives up; a batch that was lost is counted in run.json.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        recipe: str = "external",
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        name: str | None = None,
        threshold: float = CORRECT_FROM,
        answer_kind: str = "math",
        texts: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
        strict: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.threshold = threshold
        self.rank = int(os.environ.get("RANK", "0")) if rank is None else rank
        self.world_size = int(os.environ.get("WORLD_SIZE", "1")) if world_size is None else world_size
        self.facts = Facts(
            recipe=recipe, seed=seed, config=dict(config or {}), name=name, answer_kind=answer_kind,
            judge={"name": "reward", "threshold": threshold},
        )  # fmt: skip
        self.judge: Callable[..., Any] | None = None  # a reward function that probes can ask too
        self._texts, self._strict = texts, strict
        self._file: RunFile | None = None
        self._begun: int | None = None  # the step that this launch goes on from
        self._step: list[Answered] = []  # rollouts of a step that is not over
        self._heading: Heading | None = None
        self._decodings: dict[str, Mapping[str, Any]] = {}
        self._warned = self._off = False
        self._failures = self._lost = 0
        require_run_folder(self.folder)
        refuse_links(self.folder)
        self._ranks = Ranks(self.folder, rank=self.rank, world_size=self.world_size) if self.world_size > 1 else None

    # ---- for a loop ------------------------------------------------------------------------------------------------

    def rollouts(
        self,
        step: int,
        problems: Sequence[Any],
        texts: Sequence[Any],
        *,
        rewards: Iterable[Any],
        n_tokens: Sequence[int],
        truncated: Sequence[bool],
        golds: Sequence[Any] | None = None,
        used: bool | None = None,
    ) -> None:
        """Record answers that an optimizer step is made with: the first step is 1. One call or several for a step.

        problems, texts: strings, or lists of messages; one entry for each answer. rewards: numbers; None or NaN is
        undecided. golds: gold answers. used: they enter an optimizer step; None: not known. A step is written when
        the next one begins, when `commit` says that it is over, or at the end.
        """
        self.safely(
            lambda: self._rollouts(
                step, self._answered(problems, texts, rewards, n_tokens, truncated, golds, used=used)
            )
        )

    def probe(
        self,
        step: int,
        problems: Sequence[Any],
        texts: Sequence[Any],
        *,
        rewards: Iterable[Any],
        n_tokens: Sequence[int],
        truncated: Sequence[bool],
        golds: Sequence[Any] | None = None,
        draw: int = 0,
    ) -> None:
        """Record answers to a fixed set of questions, each asked equally often, by the model after `step` steps.

        Step 0 is the model before training; probe it twice there, as draw 0 and draw 1.
        """
        self.safely(
            lambda: self.add_probe(
                step, self._answered(problems, texts, rewards, n_tokens, truncated, golds, used=None), draw=draw
            )
        )

    def commit(self) -> None:
        """Write the rollouts of the step that is under way: it is over."""
        self.safely(self.end_step)

    def finish(self, *, done: bool = True) -> None:
        """Write what is left and free the folder. `done` False: training was interrupted and may go on."""
        self.safely(lambda: self._finish(RunStatus.done if done else RunStatus.interrupted))

    # ---- for integrations: these raise, inside `safely` ------------------------------------------------------------

    def safely(self, act: Callable[[], None]) -> None:
        """Act, and let no error out: one warning, and training goes on."""
        if self._off:
            return
        try:
            act()
        except Exception as error:  # whatever it is, it must not end somebody's training
            self._failed(error)
            if self._strict:
                raise

    @property
    def begun(self) -> bool:
        """Tell whether this launch has begun to record."""
        return self._begun is not None

    def describe(self, facts: Facts) -> None:
        """Take the facts of the run before it begins; the name, the judge and the kind of answers stay."""
        if not self.begun:
            mine = self.facts
            self.facts = replace(facts, name=mine.name, judge=mine.judge, answer_kind=mine.answer_kind)

    def decode(self, origin: Origin, sampling: Mapping[str, Any]) -> None:
        """Take the sampling settings of the answers of this origin."""
        self._decodings[str(origin)] = dict(sampling)

    def go_on_from(self, step: int) -> None:
        """Begin this launch from the state after `step`: 0, or the checkpoint's. The second call changes nothing."""
        if self._begun is None:
            self._off = True  # where this fails nothing may be written: it would be the record of another run
            if self.rank == 0:
                self._open().go_on_from(step)
            self._begun, self._off = step, False

    def has_probe(self, step: int, draw: int) -> bool:
        """Tell whether this draw of a probe is in the folder."""
        return probed(self.folder, step=step, draw=draw)

    def add_rollouts(self, step: int, answers: Sequence[Answered], *, whole: bool) -> None:
        """Record rollouts of a step; `whole`: no more will come."""
        self._rollouts(step, answers)
        if whole:
            self.end_step()

    def add_probe(self, step: int, answers: Sequence[Answered], *, draw: int) -> None:
        """Record one draw of a probe, this process's share of it."""
        self.end_step()
        self.go_on_from(step)
        if not self.has_probe(step, draw):  # the launch before asked it already
            self._put(Heading(step, Origin.probe, draw), answers)

    def end_step(self) -> None:
        """Write the rollouts of the step that is under way."""
        heading, answers = self._heading, self._step
        self._heading, self._step = None, []
        if heading is not None:
            self._put(heading, answers)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _answered(
        self,
        problems: Sequence[Any],
        texts: Sequence[Any],
        rewards: Iterable[Any],
        n_tokens: Sequence[int],
        truncated: Sequence[bool],
        golds: Sequence[Any] | None,
        *,
        used: bool | None,
    ) -> list[Answered]:
        given = plain_rewards(rewards)
        golds = [""] * len(given) if golds is None else golds
        lengths = {len(column) for column in (problems, texts, given, n_tokens, truncated, golds)}
        if len(lengths) > 1:
            raise InputError(
                f"problems, texts, rewards, n_tokens, truncated, golds differ in length: {sorted(lengths)}"
            )
        return [
            Answered(
                problem=problem_of(problem),
                gold=plain_gold(gold),
                text=text_of(text),
                n_tokens=int(n),
                truncated=bool(cut),
                verdict=verdict_of(reward, threshold=self.threshold),
                rule="reward.threshold" if reward is not None else "none.no_reward",
                final=final_answer(text_of(text), truncated=bool(cut)),
                reward=reward,
                used=used,
            )
            for problem, text, reward, n, cut, gold in zip(
                problems, texts, given, n_tokens, truncated, golds, strict=True
            )
        ]

    def _rollouts(self, step: int, answers: Sequence[Answered]) -> None:
        if step < 1:
            raise InputError(f"rollouts of step {step}: the first step is 1, and step 0 is the model before it")
        if self._heading is not None and self._heading.step != step:
            self.end_step()
        self.go_on_from(step - 1)
        self._heading = Heading(step, Origin.rollout, 0)
        self._step.extend(answers)

    def _put(self, heading: Heading, answers: Sequence[Answered]) -> None:
        if self._ranks is not None:
            self._ranks.put(heading, answers)
            if self.rank == 0:
                self._take(last=False)
        else:
            self._write(heading, answers)

    def _take(self, *, last: bool) -> None:
        assert self._ranks is not None
        for (step, origin, draw), answers in self._ranks.take(last=last):
            self._write(Heading(step, Origin(origin), draw), answers)

    def _write(self, heading: Heading, answers: Sequence[Answered]) -> None:
        if not answers:
            return
        file = self._open()
        file.write(heading, answers, decoding=self._decodings.get(str(heading.origin)))
        if self._lost:
            file.note_lost(self._lost)
        self._failures = self._lost = 0

    def _open(self) -> RunFile:
        if self._file is None:
            self._file = RunFile(self.folder, self.facts, texts=self._texts, tell=LOG.info)
            if (
                self._begun is not None and self._file.committed_step is not None
            ):  # an error closed it: files may lie about
                self._file.go_on_from(self._file.committed_step)
        return self._file

    def _finish(self, status: RunStatus) -> None:
        self.end_step()
        if self._ranks is not None:
            if self.rank == 0:
                self._take(last=True)
            self._ranks.remove()
        if self.rank == 0 and self._begun is not None:
            self._open().finish(status)
        self._file, self._begun = None, None

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._lost += 1
        self._heading, self._step = None, []
        self._off |= self._failures >= MOST_FAILURES
        said = str(error) if isinstance(error, ReliftError) else f"{type(error).__name__}: {error}"
        if not self._warned:
            self._warned = True
            LOG.warning("relift could not record a batch, and training goes on without it: %s", said[:500])
        else:
            LOG.info("relift could not record a batch: %s", said[:500])
        if self._file is not None:
            try:
                self._file.close()
            except (OSError, StoreError):
                LOG.info("relift could not close %s", self.folder)
            self._file = None


_SHARED: WeakValueDictionary[Path, Recorder] = WeakValueDictionary()  # by folder: parts of one script share one


def share(recorder: Recorder) -> Recorder:
    """Make this the recorder of its folder in this process; the one before ends."""
    before = _SHARED.get(recorder.folder)
    if before is not None:
        before.finish(done=False)
    _SHARED[recorder.folder] = recorder
    return recorder


def shared(folder: str | Path) -> Recorder | None:
    """Find the recorder of this folder in this process."""
    return _SHARED.get(Path(folder).absolute())
