"""Whatever is wrong with the input: one line that says what, where and how to mend it, and nothing is begun."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from relift.store import RunReader, check_run
from relift.trainer.recipes import RECIPES
from tests.cli.command import assert_refused, holds_nothing, relift
from tests.resume.harness import HashGrader

Rows = list[dict[str, Any]]


@pytest.fixture
def rows(inputs: Path) -> Rows:
    return [json.loads(line) for line in (inputs / "train.jsonl").read_text().splitlines()]


def write_rows(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refuse(config: Path, run: Path, *options: str, parts: tuple[str, ...]) -> None:
    """The command is refused with these parts in its line, and no run is begun."""
    ended = relift("train", config, "--out", run, *(word for option in options for word in ("--set", option)))
    assert_refused(ended, *parts)
    assert holds_nothing(run)


# ---- options and configuration -------------------------------------------------------------------------------------

OPTIONS: dict[str, tuple[str, ...]] = {
    "recipe=relif": ("no recipe 'relif'", "nearest: relift", f"known: {', '.join(RECIPES)}"),
    "rl.lr=3": ("unknown key 'rl.lr'", "nearest: rl.optimizer.lr"),
    "steps=many": ("steps = 'many'", "valid integer"),
    "seed=100000000000000000000000": ("seed = 100000000000000000000000", "less than or equal to"),
    "runtime.threads=100000": ("runtime.threads = 100000", "less than or equal to 1024"),
    "data.questions=a\0.jsonl": ("null byte",),
    "steps=-1": ("steps = -1", "greater than or equal to 0"),
    "rl=3": ("rl = 3",),
    "rl.optimizer.lr=nan": ("rl.optimizer.lr = nan", "finite number"),
    "rl.optimizer.lr=inf": ("rl.optimizer.lr = inf", "finite number"),
    "steps": ("--set 'steps'", "key=value"),
    "=3": ("--set '=3'", "key=value"),
    "data.prompt=plan": ("unknown prompt template 'plan'", "known: plain, chat, boxed", "nearest: plain"),
    "data.prompt=chat": ("data.prompt", "no chat template", 'set data.prompt = "plain"'),
    "data.questions=nowhere.jsonl": ("nowhere.jsonl: cannot be read: No such file",),
    "data.questions=questions.csv": ("questions.csv", ".jsonl, .parquet or hf:owner/name"),
    "data.questions=hf:owner": ("hf:owner", "hf:owner/name/split"),
    "data.questions=": ("data.questions is empty",),
    "data.demonstrations=nowhere.jsonl": ("nowhere.jsonl: cannot be read",),
    "data.columns.anwser=gold": ("data.columns: unknown column 'anwser'", "nearest: 'answer'"),
    "data.columns.answer=gold": ("train.jsonl: it has no column 'gold'",),
    "probe.questions=nowhere.jsonl": ("nowhere.jsonl: cannot be read",),
    "probe.base_run=nowhere": ("probe.base_run = nowhere", "no run is there", "leave probe.base_run out"),
    "rollout.questions_per_step=25": ("train.jsonl: 24 questions are fewer", "rollout.questions_per_step = 25"),
    "sft.batch=25": ("train.jsonl: demonstrations for 24 questions are fewer", "sft.batch = 25"),
    "rollout.max_tokens=256": ("rollout.max_tokens = 256 leaves no room", "reads 256 tokens"),  # the base's context
    "model.device=tpu": ("model.device = 'tpu'", "auto, cpu or cuda"),
    "model.device=cuda:99": ("model.device = 'cuda:99'", "auto, cpu or cuda"),
    "model.path=": ("model.path is empty",),
    "model.path=/nowhere/model": ("model.path = '/nowhere/model'", "no such folder", "owner/name"),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_options(option: str, config: Path, tmp_path: Path) -> None:
    refuse(config, tmp_path / "run", option, parts=OPTIONS[option])


def test_two_options_are_one_line(config: Path, tmp_path: Path) -> None:
    refuse(config, tmp_path / "run", "steps=x", "seed=y", parts=("steps = 'x'", "seed = 'y'"))


def test_fine_tuning_alone_without_a_full_batch(config: Path, tmp_path: Path) -> None:
    refuse(config, tmp_path / "run", "recipe=sft", "sft.batch=25", parts=("sft.batch = 25",))


def test_configuration_files(config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("steps = = 3\n")
    refuse(broken, tmp_path / "run", parts=("broken.toml: not a TOML file", "line 1"))
    refuse(Path("relift-papr"), tmp_path / "run", parts=("'relift-papr'", "nearest: relift-paper", "presets: "))
    broken.write_text('extends = "relif"\n')
    refuse(broken, tmp_path / "run", parts=("broken.toml: no preset 'relif'", "nearest: relift"))


def test_the_command_line_itself() -> None:
    """True processes, which need no torch: a mistyped command, no command, a preset that is none, a folder of none."""
    for arguments, part in (
        (["trian"], "No such command 'trian'"),
        (["train", "x", "--lr", "3"], "No such option: --lr"),
        (["train", "no-such-preset"], "no configuration file or preset 'no-such-preset'"),
        (["check", "nowhere"], "nowhere: no such folder"),
    ):
        ended = subprocess.run([sys.executable, "-m", "relift.cli", *arguments], capture_output=True, text=True)
        assert ended.returncode == 2 and part in ended.stderr, ended.stderr
        assert ended.stderr.count("\n") == 1 and ended.stdout == ""


# ---- questions -----------------------------------------------------------------------------------------------------

QUESTIONS: dict[str, tuple[Callable[[Rows], str], tuple[str, ...]]] = {
    "empty": (lambda rows: "", ("it holds no rows",)),
    "blank lines": (lambda rows: "\n \n", ("it holds no rows",)),
    "twice": (
        lambda rows: lines([rows[0], rows[1], rows[0]]), ("row 3: the same question as in row 1",)),
    "no answer column": (
        lambda rows: lines([{"problem": "1+1?", "anwser": "2"}]), ("no column 'answer'", "nearest: 'anwser'")),
    "no columns at all": (lambda rows: lines([{}]), ("no column 'problem'", "no column 'answer'", "(2 problems)")),
    "ragged": (lambda rows: lines(rows) + '{"problem": "1+1?"}\n', ("row 25: answer is missing",)),
    "cut off": (lambda rows: lines(rows) + '{"problem": "1+1?", "ans', ("row 25: no JSON",)),
    "a list": (lambda rows: lines(rows) + '["1+1?", "2"]\n', ("row 25: a JSON object is needed", "list")),
    "empty answer": (lambda rows: lines([*rows, {"problem": "1+1?", "answer": " "}]), ("row 25: answer is empty",)),
    "null answer": (lambda rows: lines([*rows, {"problem": "1+1?", "answer": None}]), ("row 25: answer is missing",)),
    "wrong type": (lambda rows: lines([*rows, {"problem": 7, "answer": "2"}]), ("row 25: problem is of type int",)),
    "an unknown kind of answer": (
        lambda rows: lines([{**rows[0], "answer_kind": "exakt"}]), ("unknown answer_kind 'exakt'", "nearest: exact")),
    "all at once": (
        lambda rows: lines([{"problem": "", "answer": "1"}, rows[0], rows[0], rows[1]]),
        ("row 1: problem is empty", "row 3: the same question as in row 2", "(2 problems)")),
}  # fmt: skip


def lines(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("what", QUESTIONS)
def test_questions(what: str, config: Path, rows: Rows, tmp_path: Path) -> None:
    make, parts = QUESTIONS[what]
    path = tmp_path / "bad.jsonl"
    path.write_text(make(rows))
    refuse(config, tmp_path / "run", f"data.questions={path}", parts=parts)


def test_a_damaged_parquet_file(config: Path, rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pd.DataFrame(rows).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    refuse(config, tmp_path / "run", f"data.questions={path}", parts=("bad.parquet: no parquet file",))


def prompt_tokens(finished: Path) -> list[int]:
    """Return the lengths that the limits are about, of every training question of the finished run."""
    questions = pq.read_table(finished / "questions.parquet").to_pandas()
    return questions["prompt_tokens"].tolist()


def test_prompts_one_under_at_and_over_the_limit(config: Path, finished: Path, tmp_path: Path) -> None:
    longest = max(prompt_tokens(finished))
    for limit in (longest + 1, longest):
        ended = relift(
            "train", config, "--out", tmp_path / str(limit), "--quiet",
            "--set", f"data.max_prompt_tokens={limit}", "--set", "steps=0",
        )  # fmt: skip
        assert ended.status == 0, ended.err
    parts = (f"longer than {longest - 1} tokens, the longest has {longest}", 'data.overlong_prompts = "skip"')
    refuse(config, tmp_path / "run", f"data.max_prompt_tokens={longest - 1}", parts=parts)


def test_overlong_prompts_skipped(config: Path, finished: Path, tmp_path: Path) -> None:
    """Left out and counted, by file; what stays is numbered without gaps."""
    train = RunReader(finished).read("questions", columns=["question_ix", "prompt_tokens", "has_demo"])
    limit = int(train["prompt_tokens"].median())
    run = tmp_path / "run"
    ended = relift(
        "train", config, "--out", run, "--quiet", "--set", f"data.max_prompt_tokens={limit}",
        "--set", "data.overlong_prompts=skip", "--set", "steps=2", "--set", "rollout.questions_per_step=2",
        "--set", "sft.batch=2", grader=HashGrader,
    )  # fmt: skip
    assert ended.status == 0, ended.err
    skipped = json.loads((run / "run.json").read_text())["skipped_prompts"]
    kept = prompt_tokens(run)
    assert sum(skipped.values()) == len(train) - len(kept) > 0 and set(skipped) <= {"data.questions", "probe.questions"}
    assert max(kept) <= limit and check_run(run).problems == []


# ---- demonstrations ------------------------------------------------------------------------------------------------

DEMONSTRATIONS: dict[str, tuple[Any, str]] = {
    "without an answer": ("so it is 7", "1 no_final_answer"),
    "cut off": (":1+1=2;\\boxed{2", "1 no_final_answer"),
    "wrong": (":1+1=3;\\boxed{123456}", "1 wrong_answer"),
    "empty": ("", "1 empty"),
    "blank": (" \n", "1 empty"),
    "too long": (":" + "1+1=2;" * 30 + "\\boxed{2}", "1 too_long"),
}


@pytest.mark.parametrize("what", DEMONSTRATIONS)
def test_demonstrations(what: str, config: Path, rows: Rows, tmp_path: Path) -> None:
    text, reason = DEMONSTRATIONS[what]
    path = write_rows(tmp_path / "bad.jsonl", [*rows[:3], {**rows[3], "demonstration": text}, *rows[4:]])
    parts = ("bad.jsonl: 1 of 24 demonstrations", reason, "number 4", 'data.bad_demonstrations = "skip"')
    refuse(config, tmp_path / "run", f"data.questions={path}", "data.max_demo_tokens=150", parts=parts)


def test_demonstrations_skipped(config: Path, rows: Rows, tmp_path: Path) -> None:
    """Each refusal stands in the table with its reason, and what was refused is never trained on."""
    bad = [{**row, "demonstration": text} for row, (text, _) in zip(rows, DEMONSTRATIONS.values(), strict=False)]
    path, run = write_rows(tmp_path / "bad.jsonl", [*bad, *rows[len(bad) :]]), tmp_path / "run"
    ended = relift(
        "train", config, "--out", run, "--quiet", "--set", f"data.questions={path}", "--set", "steps=3",
        "--set", "data.max_demo_tokens=150", "--set", "data.bad_demonstrations=skip",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    table = RunReader(run).read("demonstrations")
    refused = table[~table["accepted"]]
    reasons = {text: reason.removeprefix("1 ") for text, reason in DEMONSTRATIONS.values()}
    assert len(table) == 24 and dict(zip(refused["text"], refused["reject_reason"], strict=True)) == reasons
    events = RunReader(run).read("demo_events")
    assert "train" in set(events["event"]) and not set(events["demo_id"]) & set(refused["demo_id"])
    assert check_run(run).problems == []


def test_demonstrations_of_a_file_of_their_own(config: Path, rows: Rows, tmp_path: Path) -> None:
    stray = write_rows(tmp_path / "demos.jsonl", [{"problem": "1+1?", "demonstration": ":\\boxed{2}"}])
    option = f"data.demonstrations={stray}"
    refuse(config, tmp_path / "run", option, parts=("demos.jsonl: row 1", "no question that was read"))
    write_rows(stray, [{"problem": rows[0]["problem"], "demonstration": None}, {"problem": rows[1]["problem"]}])
    refuse(config, tmp_path / "run", option, parts=("row 1: demonstration is missing", "row 2: demonstration is"))


@pytest.mark.parametrize("recipe", ["relift", "sft"])
def test_no_demonstrations(recipe: str, config: Path, rows: Rows, tmp_path: Path) -> None:
    bare = write_rows(tmp_path / "bare.jsonl", [{**row, "demonstration": None} for row in rows])
    parts = (f"recipe {recipe} trains on demonstrations and there is none", "data.demonstrations")
    refuse(config, tmp_path / "run", f"data.questions={bare}", f"recipe={recipe}", parts=parts)


def test_no_demonstration_left(config: Path, rows: Rows, tmp_path: Path) -> None:
    bad = write_rows(tmp_path / "bad.jsonl", [{**row, "demonstration": "no"} for row in rows])
    parts = ("none of 24 can be trained on",)
    refuse(config, tmp_path / "run", f"data.questions={bad}", "data.bad_demonstrations=skip", parts=parts)


# ---- the base model ------------------------------------------------------------------------------------------------


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def drop_weight(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})


def pickle_only(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def no_tokenizer(model: Path) -> None:
    for path in model.glob("tokenizer*"):
        path.unlink()


MODELS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "gone": (shutil.rmtree, ("no such folder",)),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), ("no .safetensors file there",)),
    "pickled weights": (pickle_only, ("pytorch_model.bin is pickled and is not opened", "model.safetensors")),
    "cut weights": (lambda m: (m / "model.safetensors").write_bytes(b"x" * 9), ("deserializing header",)),
    "a weight missing": (drop_weight, ("1 weights are missing, first model.norm.weight",)),
    "other shapes": (lambda m: edit_json(m / "config.json", hidden_size=32), ("of another shape than config.json",)),
    "no configuration": (lambda m: (m / "config.json").unlink(), ("no config.json there",)),
    "no JSON": (lambda m: (m / "config.json").write_text("{"), ("not a valid JSON file",)),
    "unknown kind": (lambda m: (m / "config.json").write_text('{"model_type": "w"}'), ("model type `w`",)),
    "bad generation": (lambda m: (m / "generation_config.json").write_text("{"), ("not a valid JSON file",)),
    "no tokenizer": (no_tokenizer, ("its tokenizer cannot be loaded",)),
    "no end token": (lambda m: edit_json(m / "tokenizer_config.json", eos_token=None), ("has no end token",)),
}  # fmt: skip


@pytest.mark.parametrize("what", MODELS)
def test_base_models(what: str, config: Path, inputs: Path, tmp_path: Path) -> None:
    spoil, parts = MODELS[what]
    model = tmp_path / "models" / "base"
    shutil.copytree(inputs / "base", model)
    spoil(model)
    refuse(config, tmp_path / "run", f"model.path={model}", parts=(f"model.path = {str(model)!r}", *parts))
