"""Step 0 taken over from another run: the same base, probes, seeds and decoding give the same answers anyway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relift.config import Config
from relift.errors import InputError
from relift.run_record import RunRecord
from relift.schema import Origin
from relift.store import RunReader
from relift.trainer.identity import same_surroundings
from relift.trainer.run import Run

MUST_AGREE = (
    "config.seed", "config.data.prompt", "config.data.max_prompt_tokens", "config.probe.attempts", "config.model.dtype",
    "model", "tokenizer", "probe", "rendering.files", "rendering.stop_tokens", "rendering.probe_prompts",
)  # fmt: skip


def open_base(config: Config, mine: RunRecord) -> RunReader | None:
    """The run that `probe.base_run` names, None when it names none. `mine`: the record of the run that takes over.

    Raises InputError unless everything that an answer depends on is the same there, and its step 0 is there.
    """
    if config.probe.base_run is None:
        return None
    folder = Path(config.probe.base_run)
    if not (folder / "run.json").is_file():
        raise InputError(f"probe.base_run = {folder}: no run is there; run it first, or leave probe.base_run out")
    reader = RunReader(folder)
    theirs = reader.run
    differing = [name for name in MUST_AGREE if _look_up(mine, name) != _look_up(theirs, name)]
    pairs = {n: (getattr(mine, n), getattr(theirs, n)) for n in ("engine", "graders")}
    differing += [] if same_surroundings(theirs.surroundings, mine.surroundings) else ["surroundings"]
    differing += [name for name, (here, there) in pairs.items() if here != there]
    differing += ["decodings.probe"] if mine.decodings.get("probe") != theirs.decodings.get("probe") else []
    if differing:
        raise InputError(
            f"probe.base_run = {reader.folder}: differs in {', '.join(differing)}; leave probe.base_run out"
        )
    if reader.steps("attempts", origin="probe", draw=1)[:1] != [0]:
        raise InputError(f"probe.base_run = {reader.folder}: its step 0 is not there yet; run it first")
    return reader


def take_over_base(run: Run) -> bool:
    """Write step 0 of `probe.base_run` as this run's own; False when none is configured. Raises as open_base."""
    reader = open_base(run.config, run.record.writer.run)
    if reader is None:
        return False
    ids = reader.read("questions", columns=["question_id", "question_ix"]).set_index("question_ix")["question_id"]
    place = {i.question.question_id: i.question_ix for i in (*run.probe_items, *run.ends_items)}
    for draw in (0, 1):
        frame = reader.read("attempts", origin="probe", draws=[draw], steps=[0])
        responses = reader.read("responses", origin="probe", draws=[draw], steps=[0])
        frame = frame.drop(columns=["run_id", "origin", "draw", "step"])
        frame["text"] = frame.pop("response_id").map(responses.set_index("response_id")["text"])
        frame["question_ix"] = frame["question_ix"].map(ids).map(place)
        if frame["sum_logprob_base"].notna().all():
            run.record.note_kl_to_base(frame)
        run.record.write_attempts(0, Origin.probe, draw, frame, texts=True)
    return True


def _look_up(run: RunRecord, name: str) -> object:
    section, _, key = name.partition(".")
    value = run.identity.get(section)
    return value.get(key) if key and isinstance(value, Mapping) else value
