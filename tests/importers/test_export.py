"""`relift export-questions`: which questions a word chooses, and files that each trainer reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from relift.data.questions import read_questions
from relift.errors import InputError
from relift.importers.export import export_questions
from relift.importers.prepare import Settings, prepare
from relift.run_record import parse_run
from relift.schema import demo_id_of, question_id_of
from relift.store import RunWriter, trajectories_of

PROBLEMS = ("never?", "learnt?", "forgotten?", "always?", "unread?")
# Verdicts of the two attempts at each question, at steps 0 and 4: c correct, w wrong, u undecided.
VERDICTS = {0: ("ww", "ww", "cc", "cc", "ww"), 4: ("ww", "wc", "ww", "cc", "uw")}
WORDS = {"c": "correct", "w": "wrong", "u": "undecided"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    ids = [question_id_of(problem) for problem in PROBLEMS]
    questions = pd.DataFrame(
        {"question_id": q, "question_ix": ix, "source": "here", "split": "train", "problem": problem,
         "answer": str(ix), "answer_kind": "exact", "prompt_tokens": 3, "has_demo": ix == 0}
        for ix, (q, problem) in enumerate(zip(ids, PROBLEMS, strict=True))
    )  # fmt: skip
    demos = pd.DataFrame(
        {"demo_id": demo_id_of(ids[0], text), "question_ix": 0, "source": "dataset", "text": text, "n_tokens": 2,
         "verified": ok, "accepted": ok}
        for text, ok in (("shown", True), ("refused", False))
    )  # fmt: skip
    record = parse_run({"run_id": "r", "kind": "train", "name": "r"}, "test")
    with RunWriter(folder) as writer:
        writer.start(record, config_toml="", questions=questions, demonstrations=demos)
        for step, verdicts in VERDICTS.items():
            rows = pd.DataFrame(
                {"question_ix": ix, "attempt": attempt, "verdict": WORDS[v], "verdict_rule": "t", "finish": "stop",
                 "n_tokens": 2, "policy_version": 0, "decoding_id": "probe", "seed": 1,
                 "reward": {"c": 1.0, "w": 0.0}.get(v)}
                for ix, both in enumerate(verdicts) for attempt, v in enumerate(both)
            )  # fmt: skip
            place = {"step": step, "origin": "probe", "draw": 0}
            writer.write("attempts", rows, **place)  # type: ignore[arg-type]
            made = trajectories_of(rows.assign(**place), rl_exposures={}, sft_exposures={}, in_buffer={})
            writer.write("trajectories", made, **place)  # type: ignore[arg-type]
            writer.commit(step)
    return folder


@pytest.mark.parametrize(
    ("select", "step", "chosen"),
    [
        (["all wrong"], None, "never? forgotten?"),  # unread? has an undecided attempt, which is not a wrong one
        (["all wrong"], 0, "never? learnt? unread?"),
        (["solved"], None, "learnt? always?"),
        (["all correct"], None, "always?"),
        (["undecided"], None, "unread?"),
        (["solved,undecided"], None, "learnt? always? unread?"),
        (["All Wrong", "Easy"], None, "forgotten?"),  # all correct at step 0: Easy; and all wrong at step 4
        (["hardest"], None, "never? learnt? unread?"),
        ([], None, "never? learnt? forgotten? always? unread?"),
    ],
)
def test_words_choose_questions(run: Path, tmp_path: Path, select: list[str], step: int | None, chosen: str) -> None:
    out = tmp_path / "chosen.jsonl"
    done = export_questions(run, out, select=select, step=step)
    read = read_questions(out)
    assert [q.problem for q in read.questions] == chosen.split()
    assert (done.questions, done.of) == (len(chosen.split()), 5)
    assert [d.text for d in read.demonstrations] == ["shown"] * ("never?" in chosen)


def test_a_question_is_chosen_by_the_start_of_its_id(run: Path, tmp_path: Path) -> None:
    wanted = question_id_of("always?")
    export_questions(run, tmp_path / "one.jsonl", select=[], ids=[wanted[:8]])
    assert [q.question_id for q in read_questions(tmp_path / "one.jsonl").questions] == [wanted]


class Readable:
    """A reader of golds that reads all."""

    def unreadable_golds(self, golds: list[str]) -> list[bool]:
        return [False] * len(golds)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_files_for_verl_are_read_back_as_the_same_questions(run: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"verl.{suffix}"
    export_questions(run, out, select=["all wrong"], layout="verl")
    back = tmp_path / "back.jsonl"
    prepare("verl", str(out), back, settings=Settings(), grader=Readable())
    assert [(q.question_id, q.answer) for q in read_questions(back).questions] == [
        (question_id_of("never?"), "0"), (question_id_of("forgotten?"), "2"),
    ]  # fmt: skip


def test_files_for_trl_hold_turns(run: Path, tmp_path: Path) -> None:
    export_questions(run, tmp_path / "trl.parquet", select=["all wrong"], layout="trl")
    first, second = pq.read_table(tmp_path / "trl.parquet").to_pylist()
    assert first["prompt"] == [{"role": "user", "content": "never?"}] and first["solution"] == "0"
    assert first["completion"] == [{"role": "assistant", "content": "shown"}] and second["completion"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"select": ["gaind"]}, "no word 'gaind'; nearest: gained"),
        ({"select": [" "]}, "a word is needed"),
        ({"select": ["beyond"]}, "'beyond' is true of none of its 5 questions at probes"),
        ({"select": [], "ids": ["zz"]}, "--id zz: the run has no such question"),
        ({"select": [], "layout": "tlr"}, "no layout 'tlr'; nearest: trl"),
        ({"select": [], "origin": "rollout"}, "holds no rollout attempts; there are probe"),
        ({"select": [], "step": 3}, "step"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    run: Path, tmp_path: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        export_questions(run, tmp_path / "out.jsonl", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_runs_own_files_are_never_written(run: Path) -> None:
    before = (run / "questions.parquet").read_bytes()
    with pytest.raises(InputError, match="is a file of the run"):
        export_questions(run, run / "questions.parquet", select=[])
    assert (run / "questions.parquet").read_bytes() == before
