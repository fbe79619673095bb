"""Whatever is wrong with an evaluation: one line that says what, where and how to mend it, and nothing is begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relift.arith.world import make_questions
from relift.store import RunReader
from tests.cli.command import assert_refused, bytes_of, holds_nothing, relift
from tests.engines.flaky_server import FlakyServer
from tests.resume.harness import HashGrader

ARITH = ("-b", "arith_sequence", "--max-tokens", "12", "--samples", "1")


def refuse(run: Path, *arguments: object, parts: tuple[str, ...]) -> None:
    assert_refused(relift("eval", *arguments, "--out", run), *parts)
    assert holds_nothing(run)


# arguments after the model -> parts of the line
OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("-b", "amc2023"): (
        "no benchmark 'amc2023'; nearest: amc23 (40 questions), amc (83 questions). See: relift eval --list",),
    (): ("no benchmark is named: give -b NAME[,NAME...]",),
    ("-b", ","): ("no benchmark is named",),
    (*ARITH, "--protocol", "luffi"): ("no protocol 'luffi'; nearest: luffy; known: relift",),
    (*ARITH, "--engine", "vlm"): ("no engine 'vlm'; there are torch", "nearest: vllm"),
    (*ARITH, "--engine-option", "dtpye=x"): (
        "--engine-option 'dtpye=...': engine torch has no option 'dtpye'; nearest: dtype",
    ),
    (*ARITH, "--engine-option", "dtype"): ("--engine-option 'dtype': write it as key=value",),
    (*ARITH, "--engine-option", "batch_rows=x"): ("--engine-option 'batch_rows=x': Input should be a valid integer",),
    (*ARITH, "--engine-option", "dtype=float7"): ("float7", "auto, float32, bfloat16 or float16"),
    (*ARITH, "--engine-option", "device=tpu"): ("device = 'tpu'", "auto, cpu or cuda"),
    (*ARITH, "--second-grader", "math_verify"): ("unknown grader 'math_verify'", "nearest: math-verify"),
    (*ARITH, "--top-p", "1.5"): ("--top-p 1.5: it must be above 0 and at most 1",),
    (*ARITH, "--temperature", "inf"): ("--temperature inf: a finite number is needed",),
    (*ARITH, "--json", "--latex"): ("--json and --latex: choose one",),
    ("-b", "arith_sequence", "--max-tokens", "1000"): (
        "arith_sequence: prompt + 1000 tokens exceed the model's 256 in 100 of 100; use --max-tokens 2",),
    ("-b", "aime24", "--data", "nowhere"): ("aime24: nowhere",),
    ("--from", "lm-eval"): ("--from lm-eval: answers that are there are read by `relift import lm-eval ",),
}  # fmt: skip


@pytest.mark.parametrize("arguments", OPTIONS, ids=" ".join)
def test_options(arguments: tuple[str, ...], inputs: Path, tmp_path: Path) -> None:
    refuse(tmp_path / "run", inputs / "base", *arguments, parts=OPTIONS[arguments])


USAGE = {
    ("eval", "x", "-b", "amc", "--temprature", "1"): ("No such option: --temprature", "--temperature"),
    ("eval", "x", "-b", "amc", "--samples", "0"): ("--samples", "greater than or equal to 1"),
    ("eval", "x", "-b", "amc", "--max-tokens", "many"): ("--max-tokens", "valid integer"),
    ("eval", "x", "-b", "amc", "--temperature", "nan"): ("--temperature", "greater than or equal to 0"),
    ("probe", "x"): ("--questions",),
    ("regrade", "x"): ("--into",),
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_mistyped_options(arguments: tuple[str, ...]) -> None:
    ended = relift(*arguments)
    assert ended.status == 2 and ended.out == "" and ended.err.count("\n") == 1
    assert f"relift {arguments[0]}: " in ended.err and f"relift {arguments[0]} --help" in ended.err
    assert all(part in ended.err for part in USAGE[arguments]), ended.err


def test_models(inputs: Path, tmp_path: Path) -> None:
    run, base = tmp_path / "run", inputs / "base"
    refuse(run, *ARITH, parts=("no MODEL is named",))
    refuse(run, base, base, *ARITH, parts=("--out is one folder for 2 models",))
    refuse(run, tmp_path / "none", *ARITH, parts=("there is no such folder", "RUN@STEP"))
    refuse(run, inputs, *ARITH, parts=("neither config.json nor run.json there",))
    ended = relift("probe", base, "--questions", inputs / "probe.jsonl", "--out", run)
    assert_refused(ended, "--template", "no chat template", 'set --template "plain"')
    assert holds_nothing(run)


def aime(folder: Path, *, rows: int = 30) -> Path:
    """A file with as many questions as AIME 2024 has, which are not AIME's."""
    path = folder / f"aime{rows}.jsonl"
    questions = make_questions("test", rows, seed=9)
    path.write_text("".join(json.dumps({"problem": q.problem, "answer": "7"}) + "\n" for q in questions))
    return path


def test_local_copies(inputs: Path, tmp_path: Path) -> None:
    """A row too few, other contents than declared, a gold that is missing: nothing is dropped, nothing is run."""
    run, model = tmp_path / "run", (inputs / "base", "-b", "aime24", "--template", "plain", "--max-tokens", "12")
    refuse(run, *model, "--data", aime(tmp_path, rows=29), parts=("aime24:", "29", "30"))
    refuse(run, *model, "--data", aime(tmp_path), parts=("aime24:", "--pin aime24"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text(aime(tmp_path).read_text() + '{"problem": "one more?"}\n')
    refuse(run, *model, "--data", bad, parts=("aime24:", "row 31", "answer is missing"))


def test_another_identity_is_named(inputs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert relift("eval", inputs / "base", *ARITH, "--out", run, "--quiet", grader=HashGrader).status == 0
    before = bytes_of(run)
    for options, part in (
        (("--temperature", 0.7), "sampling.temperature is 1.0 there, 0.7 here"),
        (("--seed", 1), "seed is 0 there, 1 here"),
        (("--max-tokens", 13), "sampling.max_tokens is 12 there, 13 here"),
        (("--protocol", "luffy"), "sampling.temperature is 1.0 there, 0.6 here"),
    ):
        ended = relift("eval", inputs / "base", *ARITH, *options, "--out", run, grader=HashGrader)
        assert_refused(ended, str(run), part, "choose another folder")
    assert bytes_of(run) == before


def test_folders_of_something_else(inputs: Path, finished: Path, tmp_path: Path) -> None:
    before = bytes_of(finished)
    ended = relift("eval", inputs / "base", *ARITH, "--out", finished)
    assert_refused(ended, "holds a run of kind training (relift): choose another folder")
    assert bytes_of(finished) == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/plan.txt").write_text("mine")
    assert_refused(relift("eval", inputs / "base", *ARITH, "--out", tmp_path / "notes"), "holds 'plan.txt'")
    assert_refused(relift("topup", tmp_path), "not a run folder")
    assert_refused(relift("regrade", tmp_path, "--into", tmp_path / "new"), "not a run folder")
    assert_refused(relift("probe", inputs / "base", "--questions", "nowhere.jsonl"), "nowhere.jsonl: cannot be read")
    assert_refused(
        relift("probe", inputs / "base", "--questions", inputs / "probe.jsonl", "--into", finished, "--max-tokens", 9),
        "is no checkpoint of a run: say with --step which step it is",
    )
    assert bytes_of(finished) == before


CANARY = "sk-canary-7f3a9c"


def test_secrets_stay_out(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, a password in the address: neither is written or printed, however the run ends."""
    monkeypatch.setenv("SOME_KEY", CANARY)
    with FlakyServer() as server:
        address = server.base_url.replace("://", f"://user:{CANARY}@")
        arguments = (
            "eval", "tiny", *ARITH, "--engine", "openai", "--tokenizer", inputs / "base",
            "--engine-option", "api_key_env=SOME_KEY",
        )  # fmt: skip
        for number, url in enumerate((server.base_url, address)):
            run = tmp_path / f"run{number}"
            ended = relift(*arguments, "--base-url", url, "--out", run, grader=HashGrader)
            assert CANARY not in ended.out + ended.err
            if number == 0:
                assert ended.status == 0, ended.err
                assert any(CANARY in str(headers) for _, headers, _ in server.requests)  # the key was in use
                assert RunReader(run).run.model.name == "tiny"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]
