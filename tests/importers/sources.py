"""Small sources of every kind, as their writers make them (docs/importers.md says which were made by the packages)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

RIGHT, WRONG = "so \\boxed{2}", "so \\boxed{7}"


def jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as jsonl."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lm_eval(folder: Path) -> Path:
    """Write the samples of a task with two attempts and two filters, as lm-eval 0.4.13 wrote them."""
    place = folder / "lmeval" / "owner__name"
    settings = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 8, "until": ["\n"]}
    rows = [
        {
            "doc_id": at, "doc": {"problem": problem, "answer": gold}, "target": gold,
            "arguments": {"gen_args_0": {"arg_0": f"{problem} ", "arg_1": settings}},
            "resps": [[RIGHT, WRONG]], "filtered_resps": [RIGHT], "filter": name, "metrics": ["exact_match"],
            "doc_hash": f"{at}", "prompt_hash": "p", "target_hash": "t", "exact_match": float(gold == "2"),
        }
        for name in ("first", "again") for at, (problem, gold) in enumerate((("1+1?", "2"), ("2+3?", "5")))
    ]  # fmt: skip
    jsonl(place / "samples_tiny_arith_2026-11-28T01-09-19.740708.jsonl", rows)
    results = {"model_name": "owner/name", "lm_eval_version": "0.4.13", "config": {"random_seed": 3}}
    (place / "results_2026-11-28T01-09-19.740708.json").write_text(json.dumps(results))
    return place


def chat(folder: Path) -> Path:
    """Write stored responses: two choices, one of them without text; a chat; an error."""
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "1+1?"}]
    choices = [
        {"message": {"role": "assistant", "content": RIGHT}, "finish_reason": "stop"},
        {"message": {"role": "assistant", "content": None}, "finish_reason": "length"},
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 9}
    rows = [
        {"model": "gpt-x", "messages": asked, "response": {"choices": choices, "usage": usage}, "answer": "2"},
        {"messages": [{"role": "user", "content": "3+3?"}, {"role": "assistant", "content": "6"}], "answer": 6},
        {"messages": [{"role": "user", "content": "9?"}], "answer": 9, "error": {"message": "overloaded"}},
    ]
    return jsonl(folder / "chat.jsonl", rows)


def trl(folder: Path) -> Path:
    """Write completion files of two steps, with the columns of TRL 1.16."""
    place = folder / "trl" / "completions"
    place.mkdir(parents=True)
    for step in (1, 3):
        rows = [
            {"step": step, "prompt": [{"role": "user", "content": f"{n}+1?"}],
             "completion": [{"role": "assistant", "content": text}], "accuracy": reward, "advantage": reward - 0.5}
            for n in (1, 2) for text, reward in ((RIGHT, 1.0), (WRONG, 0.0))
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), place / f"completions_{step:05d}.parquet")
    return folder / "trl"


def _verl_row(question: str, gold: str, text: str, score: float, step: int) -> dict[str, Any]:
    end = " Let's think step by step and output the final answer within \\boxed{}."
    turns = f"system\nYou help.\nuser\n{question}{end}\nassistant\n"
    return {"input": turns, "output": text, "gts": gold, "score": score, "step": step, "acc": score > 0}


def verl(folder: Path) -> tuple[Path, Path]:
    """Write rollouts of steps 1, 2, 4 and validations of steps 0, 2, 4, the second with a question asked too often."""
    for step in (1, 2, 4):
        rows = [
            _verl_row("1+1?", "2", RIGHT, 1.0, step), _verl_row("1+1?", "2", WRONG, -1.0, step),
            _verl_row("2+3?", "5", WRONG, -1.0, step), _verl_row("2+3?", "5", "so \\boxed{5}", 1.0, step),
        ]  # fmt: skip
        jsonl(folder / "verl" / "rollouts" / f"{step}.jsonl", rows)
    for step in (0, 2, 4):
        right = "so \\boxed{9}" if step else WRONG
        rows = [_verl_row(q, "9", text, 0.0, step) for q in ("8+1?", "6+3?") for text in (right, WRONG)]
        jsonl(folder / "verl" / "val" / f"{step}.jsonl", rows + rows[:1] * (step == 2))
    return folder / "verl" / "rollouts", folder / "verl" / "val"


def _episode(step: int, kind: str, question: str, gold: str, text: str, finish: str) -> dict[str, Any]:
    """Make an episode's record with the fields of verifiers 0.4 that matter here."""
    data = {"idx": 0, "prompt": question, "answer": gold}
    nodes = [
        {"message": {"role": "system", "content": "Think."}, "sampled": False, "token_ids": [], "mask": []},
        {"parent": 0, "message": {"role": "user", "content": question}, "sampled": False, "mask": [False, False]},
        {"parent": 1, "message": {"role": "assistant", "content": text}, "sampled": True,
         "mask": [False, True, True, True]},
    ]  # fmt: skip
    usage = {"prompt_tokens": 2, "completion_tokens": 3}
    score = float(gold in text)
    trace = {
        "task": {"type": "T", "data": data}, "agent": {"name": "agent", "trainable": True}, "nodes": nodes,
        "calls": [{"node": 2, "model": "m", "finish_reason": finish, "usage": usage}],
        "rewards": {"correct": {"score": score, "weight": 1.0}, "format": {"score": 1.0, "weight": 0.0}}, "ok": True,
    }  # fmt: skip
    return {
        "id": "e", "env": {"id": "arith"}, "task": {"type": "T", "data": data}, "ok": True, "traces": [trace],
        "run": {"type": "train", "id": "r", "work": {"type": kind, "step": step}},
    }  # fmt: skip


def _episodes() -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for step, kind in ((0, "eval"), (1, "train"), (2, "eval"), (2, "train")):
        for question, gold in (("1+1?", "2"), ("2+3?", "5")):
            for text, finish in ((f"\\boxed{{{gold}}}", "stop"), ("\\boxed{8}", "length")):
                found.append((step, kind, _episode(step, kind, question, gold, text, finish)))
    return found


def prime_steps(folder: Path) -> Path:
    """Write traces in the layout of a folder for each step."""
    files: dict[Path, list[dict[str, Any]]] = {}
    for step, kind, episode in _episodes():
        for subset in ("all", "effective"):
            path = folder / "prime-a" / "rollouts" / f"step_{step}" / kind / subset / "traces.jsonl"
            files.setdefault(path, []).append(episode)
    for path, rows in files.items():
        jsonl(path, rows)
    return folder / "prime-a"


def prime_stream(folder: Path, *, sealed: bool = False) -> Path:
    """Write traces as one stream in order of arrival, or as a sealed chunk and a live one that ends in mid-line."""
    place = folder / "prime-b" / "monitors" / "file" / "traces"
    rows = [episode for _, _, episode in _episodes()][::-1]
    if not sealed:
        jsonl(place / "stream.jsonl", rows)
        return folder / "prime-b"
    chunks = place / "stream"
    live = jsonl(chunks / "00001.jsonl", rows[8:])
    live.write_bytes(live.read_bytes() + b'{"id": "cut')
    for row in rows[:8]:  # a frame for each row, as seekable files have them
        data = (json.dumps(row) + "\n").encode()
        with (chunks / "00000.jsonl.zst").open("ab") as file:
            file.write(pa.compress(data, codec="zstd", asbytes=True))
    return folder / "prime-b"


SOURCES: dict[str, Callable[[Path], Path]] = {
    "lm-eval": lm_eval, "openai-jsonl": chat, "trl": trl, "verl": lambda folder: verl(folder)[0],
    "verl-validation": lambda folder: verl(folder)[1], "prime-rl": prime_stream,
}  # fmt: skip
