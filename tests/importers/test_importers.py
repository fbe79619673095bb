"""`relift import`: what each kind of source becomes, what its record says it lacks, bad sources that leave nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.errors import InputError
from relift.grading import Grader
from relift.importers.kinds import KINDS, import_source
from relift.importers.verl_dumps import question_in
from relift.importers.write import NO_GOLD_RULE, REWARD_RULE, UNKNOWN_SEED
from relift.schema import question_id_of
from relift.store import RunReader, check_run
from tests.importers import sources


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as judge:
        yield judge


@pytest.fixture
def imported(tmp_path: Path, grader: Grader) -> Callable[..., RunReader]:
    def run(kind: str, source: Path, **options: Any) -> RunReader:
        into = import_source(kind, source, tmp_path / "runs" / "new", grader=grader, **options)
        assert check_run(into).problems == []
        return RunReader(into)

    return run


def attempts_of(run: RunReader, **place: Any) -> pd.DataFrame:
    columns = ["step", "question_ix", "attempt", "verdict", "finish", "n_tokens", "reward", "grader_agrees", "seed"]
    return run.read("attempts", columns=[*columns, "verdict_rule", "advantage"], **place).astype(object)


def test_samples_of_lm_eval(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    run = imported("lm-eval", sources.lm_eval(tmp_path))
    facts = run.run
    assert (facts.kind, facts.status, facts.model.name, facts.seed) == ("eval", "done", "owner/name", 3)  # type: ignore[union-attr]
    assert facts.versions["lm_eval"] == "0.4.13" and facts.decodings["benchmark"]["temperature"] == 1.0
    assert facts.benchmarks["tiny_arith"].question_ixs == (0, 1) and facts.benchmarks["tiny_arith"].samples == 2
    assert list(run.read("questions")["question_id"]) == [question_id_of("1+1?"), question_id_of("2+3?")]
    attempts = attempts_of(run)
    assert list(attempts["verdict"]) == ["correct", "wrong", "wrong", "wrong"]  # the second filter's rows: the same
    # The metric is of the first answer alone: of 2+3? it says wrong, and so do we.
    assert list(attempts["grader_agrees"].where(attempts["grader_agrees"].notna(), None)) == [True, None, True, None]
    assert attempts["n_tokens"].isna().all() and set(attempts["finish"]) == {"unknown"}
    assert set(attempts["seed"]) == {UNKNOWN_SEED}
    said = " / ".join(facts.lacks)
    assert "token counts: figures of lengths" in said and "why answers ended: shares cut off" in said
    scores = run.read("scores")
    assert list(scores[(scores["metric"] == "avg")]["value"].unique()) == [0.25]  # 1 of 4


def test_responses_in_openais_form(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    run = imported("openai-jsonl", sources.chat(tmp_path))
    attempts = attempts_of(run)
    assert list(attempts["verdict"]) == ["correct", "wrong", "correct"]
    assert list(attempts["finish"]) == ["stop", "length", "unknown"]
    assert attempts["n_tokens"].isna().all()  # 9 are the sum over two choices
    assert run.run.model.name == "gpt-x"  # type: ignore[union-attr]
    assert "an answer in 1 rows, which tell an error" in run.run.lacks
    assert list(run.read("responses")["text"]) == [sources.RIGHT, "", "6"]


def test_the_output_of_a_batch_is_joined_with_its_requests(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    asked = [{"role": "user", "content": "1+1?"}]
    requests = sources.jsonl(
        tmp_path / "requests.jsonl", [{"custom_id": "a", "body": {"model": "gpt-x", "messages": asked}, "answer": "2"}]
    )
    body = {"choices": [{"message": {"content": "2"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 4}}
    output = sources.jsonl(
        tmp_path / "output.jsonl", [{"custom_id": "a", "response": {"status_code": 200, "body": body}}]
    )
    with pytest.raises(InputError, match=r"row 1: ValueError: no messages; the Batch API's output needs --requests"):
        imported("openai-jsonl", output)
    run = imported("openai-jsonl", output, second=("--requests", requests))
    assert attempts_of(run)[["verdict", "n_tokens"]].to_numpy().tolist() == [["correct", 4]]


def test_completions_of_trl(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    run = imported("trl", sources.trl(tmp_path))
    assert (run.run.kind, run.run.imported_from, run.run.recipe) == ("train", "trl", "trl")
    assert run.steps("attempts", origin="rollout") == [1, 3]
    attempts = attempts_of(run, steps=[1])
    # No gold is told, so the reward is the verdict: it says correct for both questions' first answers.
    assert list(attempts["verdict"]) == ["correct", "wrong"] * 2 and set(attempts["verdict_rule"]) == {REWARD_RULE}
    assert list(attempts["advantage"]) == [0.5, -0.5] * 2 and attempts["grader_agrees"].isna().all()
    trajectories = run.read("trajectories", steps=[1])
    assert list(trajectories["n_correct"]) == [1, 1] and trajectories["mean_tokens"].isna().all()
    said = " / ".join(run.run.lacks)
    for part in (
        "evaluations, which are written over",
        "gold answers",
        "probes, the same questions",
        "1 of the 3 steps",
    ):
        assert part in said


def test_golds_from_a_file_of_questions_are_graded_by_us(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    golds = sources.jsonl(
        tmp_path / "golds.jsonl", [{"problem": "1+1?", "answer": "2"}, {"problem": "2+1?", "answer": "3"}]
    )
    run = imported("trl", sources.trl(tmp_path), questions=str(golds))
    attempts = attempts_of(run, steps=[1])
    # Of 2+1? both answers are wrong, though the reward of the first was 1; what training saw stays.
    assert list(attempts["verdict"]) == ["correct", "wrong", "wrong", "wrong"]
    assert list(attempts["grader_agrees"]) == [True, True, False, True]
    assert list(attempts["reward"]) == [1.0, 0.0, 1.0, 0.0]
    assert "gold answers" not in " / ".join(run.run.lacks)


def test_dumps_of_verl(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    rollouts, validations = sources.verl(tmp_path)
    run = imported("verl", rollouts, second=("--validation", validations))
    assert run.steps("attempts", origin="rollout") == [1, 2, 4] and run.steps("attempts", origin="probe") == [0, 2, 4]
    questions = run.read("questions")
    assert set(questions["question_id"]) == {question_id_of(q) for q in ("1+1?", "2+3?", "8+1?", "6+3?")}
    attempts = attempts_of(run, origin="rollout", steps=[1])
    assert list(attempts["verdict"]) == ["correct", "wrong", "wrong", "correct"]
    assert list(attempts["reward"]) == [1.0, -1.0, -1.0, 1.0] and attempts["grader_agrees"].all()
    probes = run.read("trajectories", origin="probe")
    assert list(probes["n_attempts"]) == [2] * 6 and list(probes["n_correct"]) == [0, 0, 1, 1, 1, 1]
    said = " / ".join(run.run.lacks)
    assert "a place for 1 answers beyond the number that every question has" in said
    assert "1 of the 4 steps from 1 to 4" in said and "a second draw at step 0" in said


def test_validations_alone_are_probes(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    run = imported("verl-validation", sources.verl(tmp_path)[1])
    assert run.steps("attempts") == [0, 2, 4] and not run.files("attempts", origin="rollout")


@pytest.mark.parametrize(
    ("text", "question", "opened"),
    [
        ("system\nYou help.\nuser\nWhat is\n1+1?\nassistant\n", "What is\n1+1?", False),
        ("user\n1+1?\nassistant\n<think>\n", "1+1?", True),
        ("system\n\nCutting Knowledge Date\n\nuser\n\n1+1?assistant\n\n", "1+1?", False),  # Llama 3
        ("Question: 1+1?\nAnswer:", "Question: 1+1?\nAnswer:", False),
        ("user\nthe user\nasks\nassistant\nold\nuser\n1+1?\nassistant\n", "1+1?", False),  # the last turn
    ],
)
def test_the_question_is_cut_out_of_a_decoded_prompt(text: str, question: str, opened: bool) -> None:  # noqa: FBT001
    assert question_in(text) == (question, opened)


@pytest.mark.parametrize("layout", ["steps", "stream", "chunks"])
def test_traces_of_prime_rl(tmp_path: Path, imported: Callable[..., RunReader], layout: str) -> None:
    make = {
        "steps": sources.prime_steps, "stream": sources.prime_stream,
        "chunks": lambda folder: sources.prime_stream(folder, sealed=True),
    }[layout]  # fmt: skip
    run = imported("prime-rl", make(tmp_path))
    assert run.steps("attempts", origin="probe") == [0, 2] and run.steps("attempts", origin="rollout") == [1, 2]
    attempts = attempts_of(run, origin="rollout", steps=[1])
    assert sorted(attempts["verdict"]) == ["correct", "correct", "wrong", "wrong"]
    assert sorted(attempts["finish"]) == ["length", "length", "stop", "stop"] and set(attempts["n_tokens"]) == {3}
    assert sorted(attempts["reward"]) == [0.0, 0.0, 1.0, 1.0] and attempts["grader_agrees"].all()
    assert run.read("trajectories", origin="probe")["n_correct"].tolist() == [1] * 4
    assert not any("token counts" in lack for lack in run.run.lacks)


def test_an_answer_without_gold_or_reward_is_undecided(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    attempts = attempts_of(imported("openai-jsonl", sources.jsonl(tmp_path / "c.jsonl", [{"messages": turns}])))
    assert attempts[["verdict", "verdict_rule"]].to_numpy().tolist() == [["undecided", NO_GOLD_RULE]]


def broken(kind: str, source: Path) -> None:
    """Damage the last file of a source."""
    files = sorted(
        p for p in ([source] if source.is_file() else source.rglob("*")) if p.suffix in (".jsonl", ".parquet")
    )
    files[-1].write_bytes(b'{"no": 1}\n[2\n' if files[-1].suffix == ".jsonl" else b"PAR1 no")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "inspect"])
def test_a_bad_source_is_one_line_and_leaves_nothing(tmp_path: Path, grader: Grader, kind: str) -> None:
    empty, into = tmp_path / "empty", tmp_path / "runs" / "new"
    empty.mkdir()
    bad = tmp_path / "bad.jsonl"
    for source in (tmp_path / "nowhere", empty, bad):
        bad.write_text("no json\n")
        with pytest.raises(InputError) as raised:
            import_source(kind, source, into, grader=grader)
        assert "\n" not in str(raised.value) and str(source) in str(raised.value)
    made = sources.SOURCES[kind](tmp_path)
    broken(kind, made)
    with pytest.raises(InputError) as raised:
        import_source(kind, made, into, grader=grader)
    assert "\n" not in str(raised.value)
    assert not into.exists() and not list((tmp_path / "runs").glob(".*"))


def test_what_is_asked_wrongly_is_said(tmp_path: Path, grader: Grader) -> None:
    source, into = sources.trl(tmp_path), tmp_path / "runs" / "new"
    for options, said in (
        ({"kind": "lmeval"}, "cannot import 'lmeval'; nearest: lm-eval; known: lighteval, lm-eval"),
        ({"reward": "accurcy"}, "--reward accurcy: .* has no such column; there are accuracy"),
        ({"second": ("--validation", source)}, "--validation: trl has no such place"),
        ({"answer_kind": "maths"}, "maths"),
    ):
        with pytest.raises(InputError, match=said):
            import_source(str(options.pop("kind", "trl")), source, into, grader=grader, **options)  # type: ignore[arg-type]
    into.mkdir(parents=True)
    (into / "mine").write_text("mine")
    with pytest.raises(InputError, match="is there already: choose another folder"):
        import_source("trl", source, into, grader=grader)
    assert [path.name for path in into.iterdir()] == ["mine"]


def test_several_rewards_need_a_name(tmp_path: Path, grader: Grader) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"step": 1, "prompt": "1+1?", "completion": "2", "accuracy": 1.0, "format": 0.0, "advantage": 0.0}
    path = tmp_path / "completions_00001.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    with pytest.raises(InputError, match=r"2 columns may be rewards \(accuracy, format\): name the one"):
        import_source("trl", tmp_path, tmp_path / "new", grader=grader)
    run = RunReader(import_source("trl", tmp_path, tmp_path / "new", grader=grader, reward="accuracy"))
    assert list(run.read("attempts")["verdict"]) == ["correct"]


def test_log_likelihood_tasks_of_lm_eval_have_no_answers(tmp_path: Path, grader: Grader) -> None:
    row = {"doc_id": 0, "doc": {}, "target": "1", "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": " yes"}},
           "resps": [[["-1.0", "False"]]]}  # fmt: skip
    path = sources.jsonl(tmp_path / "samples_hellaswag_2026-11-28T01-09-19.740708.jsonl", [row])
    with pytest.raises(InputError, match="task hellaswag compares log-likelihoods"):
        import_source("lm-eval", path, tmp_path / "new", grader=grader)


def test_the_record_of_an_older_run_lacks_nothing(tmp_path: Path, imported: Callable[..., RunReader]) -> None:
    run = imported("trl", sources.trl(tmp_path))
    body = json.loads((run.folder / "run.json").read_text())
    assert body["lacks"] == list(run.run.lacks) and body["imported_from"] == "trl"
