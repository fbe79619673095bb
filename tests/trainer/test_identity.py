"""Tell runs apart: nothing that decides data, losses or sampling changes without a word."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.config import Config, field_changes, flatten, parse_config
from relift.data.questions import fingerprint_of
from relift.errors import ResumeRefused
from relift.fingerprints import digest, files_fingerprint
from relift.schema import Demonstration, Question
from relift.trainer import identity
from relift.trainer.configuration import load_config

BASE = load_config("relift", overrides=["data.questions=a.jsonl", "model.path=m"])
QUESTIONS = [Question(f"q{i}", f"problem {i}", str(i)) for i in range(5)]
DEMONSTRATIONS = [Demonstration(f"d{i}", f"q{i}", f"text {i}") for i in range(3)]

# Another legal value of every field; a new field has to be added here.
OTHER: dict[str, Any] = {
    "recipe": "hpt", "name": "x", "seed": 1, "steps": 3,
    "sft.mu_peak": 0.5, "sft.mu_valley": 0.1, "sft.mu_warmup_steps": 3, "sft.mu_decay_steps": 7,
    "teacher.path": "t", "teacher.revision": "main", "teacher.weight": 2.0,
    "teacher.final_weight": 0.1, "teacher.steps": 9, "teacher.server": "http://127.0.0.1:1/v1",
    "teacher.answers": "wrong", "privileged.weight": 2.0, "privileged.ratio_cap": 3.0,
    "teacher.online.source": "self", "teacher.online.url": "http://127.0.0.1:1/v1", "teacher.online.model": "t",
    "teacher.online.api_key_env": "KEY", "teacher.online.prompt": "plain", "teacher.online.system": "x",
    "teacher.online.temperature": 0.1, "teacher.online.top_p": 0.5, "teacher.online.max_tokens": 9,
    "teacher.online.tries": 3, "teacher.online.concurrency": 3, "teacher.online.timeout_seconds": 9.0,
    "teacher.online.deadline_seconds": 9.0, "teacher.online.omit": ("seed",),
    "teacher.online.length_field": "max_completion_tokens", "teacher.online.max_requests": 9,
    "teacher.online.max_completion_tokens": 9, "teacher.online.max_usd": 9.0,
    "teacher.online.usd_per_million_prompt_tokens": 0.5, "teacher.online.usd_per_million_completion_tokens": 0.5,
    "teacher.online.file": "f.jsonl",
    "prefix.final_low": 0.1, "prefix.final_high": 0.9, "prefix.schedule": "cosine", "prefix.schedule_steps": 9,
    "prefix.stages": (0.5,), "prefix.top_entropy": 0.5,
    "budget.updates": 9, "budget.demonstrations": 9, "budget.generated_tokens": 9, "budget.flops": 9.0,
    "budget.seconds": 9.0, "buffer.gate": "entropy", "buffer.gate_below": 0.1, "buffer.gate_window": 3,
    "buffer.cooldown": 3,
    "prefix.place": "prompt", "prefix.questions": "waiting",
    "prefix.attempts": 3, "prefix.low": 0.1, "prefix.high": 0.9,
    "model.path": "n", "model.revision": "main", "model.dtype": "bfloat16", "model.device": "cpu",
    "model.compute": "float32", "lora.rank": 4, "lora.alpha": 3.0, "lora.targets": ("q_proj",),
    "model.max_positions": 32768, "model.rope_theta": 1e6, "data.answer_kind": "exact", "data.system": "x",
    "rollout.stop_tokens": ("x",),
    "data.questions": "b.jsonl", "data.demonstrations": "d.jsonl", "data.columns": {"answer": "gold"},
    "data.prompt": "plain", "data.max_prompt_tokens": 9, "data.max_demo_tokens": 9, "data.overlong_prompts": "refuse",
    "data.bad_demonstrations": "refuse", "data.repeated": "collapse",
    "rollout.questions_per_step": 64, "rollout.attempts_per_question": 4, "rollout.temperature": 0.5,
    "rollout.top_p": 0.5, "rollout.top_k": 3, "rollout.max_tokens": 9, "rollout.batch_rows": 9,
    "curriculum.order": "accuracy", "curriculum.low": 0.1, "curriculum.high": 0.9, "curriculum.outside": 0.5,
    "curriculum.revisit": 9,
    "rollout.refill": 3, "rl.truncated": "mask", "rl.overlong_tokens": 9, "rl.overlong_factor": 0.5,
    "rl.reward": "own:reward", "rl.format_reward": "box", "rl.format_weight": 0.2,
    "rollout.engine": "vllm", "vllm.dtype": "float32", "vllm.max_sequences": 9, "vllm.gpus": "1",
    "vllm.gpu_memory": 0.3, "vllm.tensor_parallel": 2, "vllm.stall_seconds": 9.0, "vllm.restarts": 0, "server.url": "http://127.0.0.1:1/v1",
    "server.folder": "w", "server.dtype": "float32", "server.concurrency": 9, "server.deadline_seconds": 9.0,
    "model.checkpoint_activations": True, "data.score_base": True, "probe.score_base": False,
    "rl.loss": "ratio", "rl.ratio_cap": 5.0, "rl.kl_weight": 0.1,
    "rl.advantage": "std", "rl.clip_low": 0.1, "rl.clip_high": 0.1, "rl.dual_clip": 2.0,
    "rl.denominator": "sequences", "rl.updates_per_batch": 4, "rl.drop_flat_groups": True, "rl.entropy_weight": 0.1,
    "rl.loss_scale": 2.0, "rl.importance": "token", "rl.importance_cap": 3.0, "rl.importance_mask": True,
    "sft.batch": 9, "sft.denominator": "sequences", "sft.loss": "dft", "sft.luffy_gamma": 0.2, "sft.chord_mu": 0.2,
    "sft.srft_sign": 1, "sft.moments": "shared", "sft.entropy_weight": 0.1, "sft.loss_scale": 2.0, "sft.phase_steps": 1,
    "buffer.flush": "all", "buffer.every": 3, "buffer.select": "any", "buffer.threshold": 0.5, "buffer.order": "lifo",
    "buffer.dedup": "allow", "buffer.recheck": "none", "buffer.max_age_steps": 9, "buffer.capacity": 99,
    "buffer.max_uses": 9, "buffer.drain": "all",
    "probe.questions": "p.jsonl", "probe.ends_only": "e.jsonl", "probe.every": 9, "probe.attempts": 9,
    "probe.temperature": 0.5, "probe.top_p": 0.5, "probe.max_tokens": 9, "probe.base_run": "r",
    "checkpoint.every": 9, "checkpoint.keep": 9, "guard.max_skipped": 9, "guard.max_undecided": 0.5,
    "runtime.threads": 2, "runtime.token_budget": 9, "runtime.rollout_texts": "none", "runtime.head_chunk": 9,
    "runtime.tf32": True, "runtime.offload_moments": True, "runtime.sync_gradients": "last",
    "runtime.collective_seconds": 9.0,
    "runtime.trackers": ("tensorboard",),
}  # fmt: skip
for _kind in ("rl", "sft"):
    OTHER |= {
        f"{_kind}.optimizer.{name}": value
        for name, value in {
            "lr": 1e-3, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.5, "warmup_steps": 9, "warmup_share": 0.5,
            "over": "run", "schedule": "linear",
            "total_steps": 9, "final_ratio": 0.5, "max_grad_norm": 9.0, "skip_grad_norm": 9.0,
        }.items()
    }  # fmt: skip


def changed(name: str) -> Config:
    """BASE with another value of one field."""
    values = BASE.model_dump()
    *sections, leaf = name.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    assert inner[leaf] != OTHER[name]
    inner[leaf] = OTHER[name]
    if name == "teacher.online.max_usd":  # needs prices, which are of its class
        inner |= {f"usd_per_million_{kind}_tokens": 0.5 for kind in ("prompt", "completion")}
    return parse_config(values, where="test")


def seen_by(name: str) -> set[str]:
    """List the comparisons that notice the change."""
    other = changed(name)
    around: dict[str, Any] = {"world_size": 1, "torch_version": "2", "isa": "avx2"}
    pairs = {
        "identity": (identity.identity_of(BASE, {}), identity.identity_of(other, {})),
        "tunable": (identity.tunables(BASE), identity.tunables(other)),
        "numeric": (identity.surroundings(BASE, **around), identity.surroundings(other, **around)),
    }
    return {which for which, (a, b) in pairs.items() if a != b}


@pytest.mark.parametrize("name", [name for name, _ in field_changes()])
def test_no_change_of_a_field_is_silent(name: str) -> None:
    """Fields of class runtime are seen by none; files are compared by content, not by name."""
    change = dict(field_changes())[name]
    assert seen_by(name) == (set() if change == "runtime" or name in identity.PATHS else {change})


def test_the_paths_are_files_that_are_compared_by_content() -> None:
    assert set(identity.PATHS) == {
        "model.path", "data.questions", "data.demonstrations", "probe.questions", "probe.ends_only",
        "teacher.path",
    }  # fmt: skip
    assert {dict(field_changes())[name] for name in identity.PATHS} == {"identity"}


def test_a_refusal_names_every_difference(tmp_path: Path) -> None:
    stored = json.loads(json.dumps(identity.identity_of(BASE, {"data": "5:a"})))
    other = load_config("relift", overrides=["seed=1", "rl.clip_high=0.3", "name=renamed", "steps=1"])
    identity.compare(stored, identity.identity_of(BASE, {"data": "5:a"}), folder=tmp_path)
    with pytest.raises(ResumeRefused) as caught:
        identity.compare(stored, identity.identity_of(other, {"data": "6:b"}), folder=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} holds another run: ")
    for words in (
        "rl.clip_high is 0.28 there, 0.3 here", "seed is 0 there, 1 here", "data is '5:a' there, '6:b' here",
    ):  # fmt: skip
        assert words in message
    assert "renamed" not in message and "steps" not in message and "\n" not in message


def test_a_field_that_only_one_side_knows_is_a_difference(tmp_path: Path) -> None:
    now = identity.identity_of(BASE, {"model": "m"})
    with pytest.raises(ResumeRefused, match="model is None there, 'm' here"):
        identity.compare({k: v for k, v in now.items() if k != "model"}, now, folder=tmp_path)


def test_a_run_of_a_version_without_a_field_goes_on(tmp_path: Path) -> None:
    """A field it does not know had the default; another value now is another run."""
    older = identity.identity_of(BASE, {})
    assert isinstance(older["config"], dict)
    del older["config"]["rl.kl_weight"]
    older["config"] = renamed_back(older["config"])
    identity.compare(older, identity.identity_of(BASE, {}), folder=tmp_path)
    edited = identity.identity_of(changed("rl.kl_weight"), {})
    with pytest.raises(ResumeRefused, match="rl.kl_weight is 0.1 there, 0.0 here"):
        identity.compare(edited, identity.identity_of(BASE, {}), folder=tmp_path)
    with pytest.raises(ResumeRefused, match="rl.kl_weight is 0.0 there, 0.1 here"):
        identity.compare(older, edited, folder=tmp_path)


def renamed_back(config: dict[str, Any]) -> dict[str, Any]:
    """Write names as versions did that knew a clip, true or false, and a mean of fine-tuning."""
    older = dict(config)
    older["rl.clip"] = older.pop("rl.loss") == "ppo_clip"
    older["sft.mean"] = older.pop("sft.denominator")
    return older


@pytest.mark.parametrize("loss", ["ppo_clip", "ratio"])
def test_a_run_of_a_version_with_other_names_goes_on(tmp_path: Path, loss: str) -> None:
    now = identity.identity_of(load_config("relift", overrides=[f"rl.loss={loss}"]), {})
    assert isinstance(now["config"], dict)
    then = {**now, "config": renamed_back(now["config"])}
    identity.compare(then, now, folder=tmp_path)
    other = identity.identity_of(load_config("relift", overrides=["rl.loss=gspo", "rl.denominator=sequences"]), {})
    with pytest.raises(ResumeRefused, match=f"rl.loss is '{loss}' there, 'gspo' here"):
        identity.compare(then, other, folder=tmp_path)


def test_a_run_of_hpt_before_moments_were_a_setting_shared_them(tmp_path: Path) -> None:
    now = identity.identity_of(load_config("hpt-7b"), {})
    assert isinstance(now["config"], dict) and now["config"]["sft.moments"] == "shared"
    then = {**now, "config": {k: v for k, v in now["config"].items() if k != "sft.moments"}}
    identity.compare(then, now, folder=tmp_path)


def test_identity_survives_the_file() -> None:
    """run.json holds it as JSON: tuples are lists before they are compared."""
    config = load_config("relift", overrides=["data.columns={problem='p'}"])
    made = identity.identity_of(config, {"data": {"hash": "x"}})
    assert json.loads(json.dumps(made)) == made
    assert json.loads(json.dumps(identity.tunables(config))) == identity.tunables(config)


def test_tunable_changes_need_leave_by_name(tmp_path: Path) -> None:
    stored = identity.tunables(BASE)
    other = load_config("relift", overrides=["steps=7", "rl.optimizer.lr=1e-3", "seed=5"])
    with pytest.raises(ResumeRefused) as caught:
        identity.changed_tunables(stored, other, folder=tmp_path, allowed=["rl.optimizer.lr"])
    assert "steps was 1785 and is now 7" in str(caught.value)
    assert str(caught.value).endswith("--allow-change steps")  # and not the one that was allowed
    with pytest.raises(ResumeRefused, match="--allow-change steps --allow-change rl.optimizer.lr"):
        identity.changed_tunables(stored, other, folder=tmp_path, allowed=[])
    allowed = identity.changed_tunables(stored, other, folder=tmp_path, allowed=["steps", "rl.optimizer.lr"])
    assert allowed == {"steps": (1785, 7), "rl.optimizer.lr": (1e-6, 1e-3)}
    assert identity.changed_tunables(stored, BASE, folder=tmp_path, allowed=[]) == {}


# ---- data ------------------------------------------------------------------------------------------------------


def test_data_fingerprint_is_of_the_content() -> None:
    again = [replace(q) for q in QUESTIONS]
    assert fingerprint_of(QUESTIONS, DEMONSTRATIONS) == fingerprint_of(again, list(DEMONSTRATIONS))


def test_every_change_of_data_is_noticed() -> None:
    """A row added, removed, moved, edited (each field); the border between the two lists."""
    moved = [QUESTIONS[1], QUESTIONS[0], *QUESTIONS[2:]]
    edited = [
        [replace(QUESTIONS[0], **{name: "x"}), *QUESTIONS[1:]]
        for name in ("question_id", "problem", "answer", "answer_kind", "source", "split", "subject", "level")
    ]
    edited_demos = [
        [*DEMONSTRATIONS[:2], replace(DEMONSTRATIONS[2], **{name: "x"})]
        for name in ("demo_id", "question_id", "text", "source")
    ]
    variants = [
        (QUESTIONS, DEMONSTRATIONS),
        ([*QUESTIONS, Question("q9", "problem 9", "9")], DEMONSTRATIONS),
        (QUESTIONS[:-1], DEMONSTRATIONS),
        (moved, DEMONSTRATIONS),
        (QUESTIONS, DEMONSTRATIONS[::-1]),
        (QUESTIONS, []),
        *((questions, DEMONSTRATIONS) for questions in edited),
        *((QUESTIONS, demonstrations) for demonstrations in edited_demos),
    ]
    hashes = [fingerprint_of(q, d) for q, d in variants]
    assert len(set(hashes)) == len(variants) == 18


def test_any_permutation_is_noticed() -> None:
    rng = random.Random(0)
    orders = {tuple(rng.sample(range(5), 5)) for _ in range(40)} | {tuple(range(5))}
    assert len({fingerprint_of([QUESTIONS[i] for i in order], []) for order in orders}) == len(orders)


def test_files_fingerprint(tmp_path: Path) -> None:
    def now() -> str:
        return files_fingerprint(tmp_path, ("*.safetensors", "config.json"))

    seen = [now()]
    for name, content in (
        ("a.safetensors", b"12"), ("b.safetensors", b""), ("a.safetensors", b"1"), ("b.safetensors", b"2"),
        ("config.json", b"{}"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        seen.append(now())
    assert len(set(seen)) == len(seen)
    (tmp_path / "README.md").write_bytes(b"else")
    assert now() == seen[-1]
    (tmp_path / "b.safetensors").rename(tmp_path / "c.safetensors")
    assert now() not in seen


def test_digest() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_surroundings_hold_what_changes_bits() -> None:
    here: dict[str, Any] = {"world_size": 1, "torch_version": "2.13.0", "isa": "avx512"}
    base = identity.surroundings(BASE, **here)
    for name, value in (("world_size", 2), ("torch_version", "2.14.0"), ("isa", "avx2")):
        assert identity.surroundings(BASE, **(here | {name: value})) != base
    assert {n for n, c in field_changes() if c == "numeric"} <= base.keys()
    assert flatten(BASE.model_dump())["runtime.threads"] == base["runtime.threads"]


def test_a_record_of_before_a_numeric_field_resumes_bit_for_bit() -> None:
    """A run of a version without the fields ran as their defaults do, on the one thread that None means on a CPU."""
    here: dict[str, Any] = {"world_size": 1, "torch_version": "2.13.0", "isa": "avx512"}
    now = identity.surroundings(BASE, **here)
    then = {n: v for n, v in now.items() if n not in ("runtime.head_chunk", "runtime.tf32", "runtime.sync_gradients")}
    assert identity.same_surroundings({**then, "runtime.threads": 1}, now)
    assert not identity.same_surroundings({**then, "runtime.threads": 2}, now)
    assert not identity.same_surroundings(then, now | {"runtime.head_chunk": 2**20})
