"""Write the batches of another trainer into a run folder: questions as they come, attempts, texts, trajectories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relift.errors import InputError, ResumeRefused, StoreError
from relift.fingerprints import differences
from relift.integrations.answers import Answered
from relift.integrations.facts import Facts
from relift.schema import Origin, Question, RunStatus, question_id_of
from relift.store import RunReader, RunWriter, split_responses, trajectories_of
from relift.store.folder import RUN_JSON
from relift.store.rows import attempt_row, attempts_frame, question_row


class Heading(NamedTuple):
    """Say where a batch belongs."""

    step: int
    origin: Origin
    draw: int

    @property
    def suffix(self) -> str:
        """Name the batch in its commit record."""
        return f".{self.origin}-d{self.draw}"


class RunFile:
    """Holds one run folder for writing. One batch is one commit: what was given is there whole, or not at all.

    Raises InputError where the folder holds something else or cannot be written, ResumeRefused where it holds a run
    of other settings, RunInUse where another process writes it, StoreError where storage fails.
    """

    def __init__(self, folder: Path, facts: Facts, *, texts: bool, tell: Callable[[str], None]) -> None:
        self._facts, self._texts = facts, texts
        self._writer = RunWriter(folder, on_event=tell)
        try:
            self._is_new = self._writer.is_new
            if self._is_new:
                empty = pd.DataFrame(columns=[c for c in question_row(Question("", "", ""), 0, prompt_tokens=None)])
                self._writer.start(
                    facts.record(folder), config_toml=facts.config_toml(), questions=empty, demonstrations=None
                )
            else:
                differ = differences(self._writer.run.identity, facts.identity(), bare="config")
                if differ:
                    raise ResumeRefused(
                        f"{folder}: holds the record of another run ({'; '.join(differ[:3])}): choose another folder"
                    )
            self._questions: list[dict[Any, Any]] = self._writer.read_whole("questions").to_dict("records")
        except BaseException:
            self._writer.close()
            raise
        self._ix_of = {row["question_id"]: row["question_ix"] for row in self._questions}
        self._exposures: Counter[int] = Counter()  # steps by question_ix

    @property
    def committed_step(self) -> int | None:
        """The newest committed step."""
        return self._writer.committed_step

    def go_on_from(self, step: int) -> None:
        """Begin a launch from the state after this step; what lies past it is set aside.

        InputError where a finished run would be begun anew.
        """
        if self._is_new:
            return
        last = self._writer.committed_step
        if self._writer.run.status is RunStatus.done and last and step == 0:
            raise InputError(
                f"{self._writer.folder}: holds a finished run of {last} steps, and this one begins anew: choose "
                "another folder"
            )
        self._writer.roll_back(step)
        self._writer.update_run(status=RunStatus.running)
        self._exposures = Counter()
        columns = ["question_ix", "used_in_update"]
        by_step: dict[int, set[int]] = {}
        for file, rows in RunReader(self._writer.folder).iter_tables("attempts", columns=columns, origin="rollout"):
            used = rows.filter(pc.fill_null(rows.column("used_in_update"), pa.scalar(value=False)))
            by_step.setdefault(file.step, set()).update(used.column("question_ix").to_pylist())
        for question_ixs in by_step.values():
            self._exposures.update(question_ixs)

    def write(self, heading: Heading, answers: Sequence[Answered], *, decoding: Mapping[str, Any] | None) -> None:
        """Write one batch and commit it. `decoding`: sampling settings of its origin, where the record lacks them."""
        if not (self._writer.folder / RUN_JSON).is_file():
            raise StoreError(f"{self._writer.folder}: its run.json is gone: what was recorded before is not there")
        origin = str(heading.origin)
        if decoding is not None and self._writer.run.decodings.get(origin) != dict(decoding):
            self._writer.update_run(decodings={**self._writer.run.decodings, origin: dict(decoding)})
        ixs = self._indexes(answers, split="train" if heading.origin is Origin.rollout else "probe")
        if heading.origin is Origin.rollout:
            self._exposures.update({ix for ix, one in zip(ixs, answers, strict=True) if one.used})
        attempts, responses = split_responses(attempts_frame(self._rows(heading, ixs, answers)))
        place: dict[str, Any] = {"step": heading.step, "origin": origin, "draw": heading.draw}
        trajectories = trajectories_of(
            attempts.assign(**place), rl_exposures=self._exposures, sft_exposures={}, in_buffer={}
        )
        if self._texts:
            self._writer.write("responses", responses, **place)
        self._writer.write("attempts", attempts, **place)
        self._writer.write("trajectories", trajectories, **place)
        self._writer.commit(heading.step, suffix=heading.suffix)

    def note_lost(self, batches: int) -> None:
        """Add to the number of batches that could not be written."""
        self._writer.update_run(lost_batches=self._writer.run.lost_batches + batches)

    def finish(self, status: RunStatus) -> None:
        """Say how the run ended, and free the folder."""
        self._writer.update_run(status=status)
        self._writer.close()

    def close(self) -> None:
        """Free the folder; what was not committed is dropped."""
        self._writer.close()

    def _indexes(self, answers: Sequence[Answered], *, split: str) -> list[int]:
        """Number the questions of a batch; new ones are added to the table first."""
        known = len(self._questions)
        ixs = []
        for one in answers:
            question_id = question_id_of(one.problem)
            if question_id not in self._ix_of:
                question = Question(question_id, one.problem, one.gold, self._facts.answer_kind, split=split)
                self._ix_of[question_id] = len(self._questions)
                self._questions.append(question_row(question, len(self._questions), prompt_tokens=None))
            ixs.append(self._ix_of[question_id])
        if len(self._questions) > known:
            self._writer.write_whole("questions", pd.DataFrame(self._questions))
        return ixs

    def _rows(self, heading: Heading, ixs: Collection[int], answers: Sequence[Answered]) -> list[dict[str, Any]]:
        numbers: Counter[int] = Counter()
        rows = []
        for question_ix, one in zip(ixs, answers, strict=True):
            rows.append(
                attempt_row(
                    question_ix=question_ix,
                    attempt=numbers[question_ix],
                    verdict=one.verdict,
                    rule=one.rule,
                    answer=one.final,
                    finish=one.finish,
                    n_tokens=one.n_tokens,
                    policy_version=heading.step - (heading.origin is Origin.rollout),
                    decoding_id=str(heading.origin),
                    seed=one.seed,
                    text=one.text if self._texts else None,
                    sum_logprob=one.sum_logprob,
                    mean_entropy=one.mean_entropy,
                    reward=one.reward,
                    rewards=one.rewards,
                    used_in_update=one.used,
                )
            )
            numbers[question_ix] += 1
        return rows


def probed(folder: Path, *, step: int, draw: int) -> bool:
    """Tell whether a run folder holds this draw of a probe already."""
    if not (folder / "run.json").is_file():
        return False
    return bool(RunReader(folder).files("attempts", origin="probe", draws=[draw], steps=[step]))
