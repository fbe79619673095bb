"""How fast an RL step is, beside TRL's GRPOTrainer with transformers' generate, on one core.

Run:  python -m relift.benchmarks.speed.rl_step --out FILE [--trl-python .venv-trl/bin/python] [--repeats 5]

A step: 32 questions, 8 answers to each, graded, one AdamW step. Three cases on one random model of the size of the
embedded experiment: `equal`, every answer has exactly 32 tokens; `group`, answers end at random after about 20 tokens,
96 at the most, as rollouts do; `rollouts`, the same with half of the groups without signal, about as many as in the
embedded experiment: our learner leaves them out of the forward pass, which changes no gradient. Our side is the
whole training loop, its record on disk included; TRL logs and saves nothing. The two take turns, step by step, on the
same core; each waits while the other works.

A random model answers nothing right, and a group without a right answer is no work for our learner. So both sides grade
with the exact grader and then call an answer right when its token numbers add up to an even number: nearly all groups
are mixed, and every answer is trained on. In `rollouts` the first half of the questions is never right.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

N_QUESTIONS, N_SAMPLES, LR, BETAS = 32, 8, 1e-6, (0.9, 0.99)
BEYOND = "0"  # gold answer of a question that is never right
VOCAB, PAD_ID, EOS_ID = 259, 0, 259  # the model has tokens 0..258: the tokenizer's own end token is never sampled
MARK = "RELIFT "  # TRL writes to standard output too: our lines begin with this


@dataclass(frozen=True)
class Case:
    """When an answer ends."""

    name: str
    max_tokens: int
    stop_ids: tuple[int, ...]
    n_beyond: int = 0  # the first so many questions are never right


# 12 of 259 tokens end an answer: 21.6 tokens on average if all were as likely.
STOPS = tuple(range(1, 13))
CASES = {
    c.name: c
    for c in (Case("equal", 32, ()), Case("group", 96, STOPS), Case("rollouts", 96, STOPS, n_beyond=N_QUESTIONS // 2))
}


@dataclass(frozen=True)
class Step:
    """What one step cost and wrote. CPU seconds are what counts on a machine that others use too."""

    wall_seconds: float
    cpu_seconds: float
    tokens: int


class Watch:
    """Wall and CPU time of this process."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, tokens: int) -> Step:
        return Step(time.perf_counter() - self._wall, time.process_time() - self._cpu, tokens)


def prompts() -> list[tuple[int, ...]]:
    rng = random.Random(0)
    return [tuple(rng.randrange(13, VOCAB) for _ in range(rng.randint(4, 20))) for _ in range(N_QUESTIONS)]


def words(ids: Sequence[int]) -> str:
    return " ".join(f"t{ix}" for ix in ids)


def is_even(text: str) -> bool:
    return sum(int(word[1:]) for word in text.split()) % 2 == 0


def make_model() -> Any:
    """As the embedded experiment's base model: d = 96, 3 layers, 4 heads, SwiGLU 256, tied; random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=256, tie_word_embeddings=True, initializer_range=0.05,
        bos_token_id=None, eos_token_id=None, pad_token_id=None, dtype="float32",
    )  # fmt: skip
    return LlamaForCausalLM(config)


def make_tokenizer() -> Any:
    """Token 7 is the word "t7"."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({f"t{ix}": ix for ix in range(VOCAB + 1)}, unk_token=f"t{PAD_ID}"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=f"t{PAD_ID}", eos_token=f"t{EOS_ID}")


def is_right(text: str, *, cut: bool) -> bool:
    """The exact grader's work, and the verdict that keeps groups mixed."""
    from relift.grading.base import Submission
    from relift.grading.exact import judge
    from relift.schema import Finish

    judge(Submission("66", text, Finish.length if cut else Finish.stop))
    return is_even(text)


# --- our side: the loop itself, stopped and timed at the end of each step ---


def relift_steps(case: Case, model: Any, folder: Path, n_steps: int, between: Callable[[Step], None]) -> None:
    """Run `n_steps` of the training loop; `between(step)` is called behind each, outside the measurement."""
    from relift.trainer.loop import train

    watch, seen = Watch(), 0

    def on_step(report: Any) -> None:
        nonlocal seen
        step = watch.stop(report.generated_tokens - seen)
        seen = report.generated_tokens
        if report.step:
            between(step)
        watch.start()

    with tempfile.TemporaryDirectory(dir=folder) as where:
        train(make_run(case, model, Path(where) / "run", n_steps, on_step))


def make_run(case: Case, model: Any, folder: Path, n_steps: int, on_step: Callable[[Any], None]) -> Any:
    """A run of recipe drgrpo, put together by hand: no probes, no checkpoints."""
    import pandas as pd

    from relift.config import parse_config, to_toml
    from relift.engines.torch_sampler import TorchSampler
    from relift.grading.base import Judgement, Submission
    from relift.learner.learner import Learner
    from relift.learner.optim import OptimizerSpec
    from relift.run_record import RunRecord
    from relift.schema import Finish, Question, Verdict, question_id_of
    from relift.store import RunWriter
    from relift.trainer.demos import DemoBuffer
    from relift.trainer.recipes import build
    from relift.trainer.record import Record
    from relift.trainer.run import Item, Run
    from relift.trainer.stream import Stream

    class EvenGrader:
        name = "even"

        def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
            right = [is_right(s.text, cut=s.finish == Finish.length) and s.gold != BEYOND for s in submissions]
            return [Judgement(Verdict.correct if r else Verdict.wrong, "box.text", "66") for r in right]

    config = parse_config(
        {
            "recipe": "drgrpo",
            "steps": n_steps,
            "rollout": {
                "questions_per_step": N_QUESTIONS,
                "attempts_per_question": N_SAMPLES,
                "max_tokens": case.max_tokens,
            },
            "rl": {"advantage": "mean", "denominator": "max_tokens", "updates_per_batch": 1},
            "probe": {"every": n_steps + 1},
            "checkpoint": {"every": n_steps + 1},
        },
        where="benchmark",
    )
    texts = [words(ids) for ids in prompts()]
    golds = [BEYOND if ix < case.n_beyond else "66" for ix in range(len(texts))]
    questions = [Question(question_id_of(text), text, gold) for text, gold in zip(texts, golds, strict=True)]
    items = [Item(q, ix, ids) for ix, (q, ids) in enumerate(zip(questions, prompts(), strict=True))]
    writer = RunWriter(folder)
    frame = pd.DataFrame(
        [
            {**vars(i.question), "question_ix": i.question_ix, "prompt_tokens": len(i.prompt_ids), "has_demo": False}
            for i in items
        ]
    )
    writer.start(RunRecord(run_id="speed"), config_toml=to_toml(config), questions=frame, demonstrations=None)
    engine = TorchSampler(model)
    spec = OptimizerSpec(lr=LR, betas=BETAS, weight_decay=0.0, max_grad_norm=1.0)
    return Run(
        config=config,
        recipe=build(config),
        train_items=items,
        probe_items=(),
        ends_items=(),
        demos=(),
        question_stream=Stream(N_QUESTIONS, per_batch=N_QUESTIONS, seed=0, purpose="questions"),
        demo_stream=None,
        engine=engine,
        grader=EvenGrader(),  # type: ignore[arg-type]
        learner=Learner(model, {"rl": spec}, token_budget=config.runtime.token_budget),
        decode=partial(make_tokenizer().batch_decode, skip_special_tokens=True),
        stop_token_ids=case.stop_ids,
        record=Record(writer, N_QUESTIONS),
        buffer=DemoBuffer(config.buffer, (), batch=1, seed=0),
        save=lambda run, kind: None,
        on_step=on_step,
    )


# --- TRL's side: a process of its own that makes a step whenever it is told to ---


def serve_trl(case: Case, micro_batches: int) -> None:
    """The child: GRPOTrainer, held before each step until a line comes on standard input."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    tokens, watch = 0, Watch()
    texts = [words(ids) for ids in prompts()]
    beyond = set(texts[: case.n_beyond])

    def reward(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        nonlocal tokens
        tokens = sum(map(len, completion_ids))
        rows = zip(prompts, completions, completion_ids, strict=True)
        return [
            float(is_right(text, cut=len(ids) == case.max_tokens) and prompt not in beyond)
            for prompt, text, ids in rows
        ]

    class Turns(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not sys.stdin.readline():
                raise SystemExit
            watch.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            print(MARK + json.dumps(asdict(watch.stop(tokens))), flush=True)

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), max_steps=10**6, num_generations=N_SAMPLES,
        per_device_train_batch_size=N_QUESTIONS * N_SAMPLES // micro_batches, gradient_accumulation_steps=micro_batches,
        max_completion_length=case.max_tokens, loss_type="dr_grpo", scale_rewards="none", beta=0.0, temperature=1.0,
        top_p=1.0, top_k=0, learning_rate=LR, adam_beta1=BETAS[0], adam_beta2=BETAS[1], weight_decay=0.0,
        max_grad_norm=1.0, lr_scheduler_type="constant", shuffle_dataset=False, bf16=False, use_cpu=True,
        gradient_checkpointing=False,
        logging_strategy="no", save_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    model = make_model()
    model.generation_config.eos_token_id = list(case.stop_ids) or None
    trainer = GRPOTrainer(
        model=model, reward_funcs=reward, args=config, processing_class=make_tokenizer(), callbacks=[Turns()],
        train_dataset=Dataset.from_dict({"prompt": texts}),
    )  # fmt: skip
    versions = {"trl": trl.__version__, "torch": torch.__version__, "optimizer": str(config.optim)}
    print(MARK + json.dumps(versions), flush=True)
    trainer.train()


class TrlPeer:
    """The parent's side."""

    def __init__(self, python: Path, case: Case, *, micro_batches: int) -> None:
        command = [str(python), "-m", "relift.benchmarks.speed.rl_step", "--serve-trl", case.name]
        self.process = subprocess.Popen(
            [*command, "--trl-micro-batches", str(micro_batches)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.versions = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None and self.process.stderr is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise RuntimeError("TRL ended in the middle:\n" + self.process.stderr.read()[-2000:])

    def step(self) -> Step:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return Step(**self._read())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait(timeout=60)


# --- both ---


def compare(case: Case, trl_python: Path, repeats: int, *, micro_batches: int) -> dict[str, Any]:
    """Steps in turn. The first two of each side warm up; ours ends with a checkpointless last step, left out too."""
    ours: list[Step] = []
    theirs: list[Step] = []
    peer = TrlPeer(trl_python, case, micro_batches=micro_batches)

    def turn(step: Step) -> None:
        ours.append(step)
        theirs.append(peer.step())

    try:
        with tempfile.TemporaryDirectory() as folder:
            relift_steps(case, make_model(), Path(folder), repeats + 3, turn)
    finally:
        peer.close()
    sides = {"relift": ours[2:-1], "trl": theirs[2:-1]}
    result: dict[str, Any] = {
        name: {
            "steps": [asdict(step) for step in steps],
            "wall_seconds": statistics.median(step.wall_seconds for step in steps),
            "cpu_seconds": statistics.median(step.cpu_seconds for step in steps),
            "tokens": statistics.median(step.tokens for step in steps),
        }
        for name, steps in sides.items()
    }
    result["trl_versions"] = peer.versions
    for clock in ("wall_seconds", "cpu_seconds"):
        # Rates of steps that stood beside each other, so that both met the same machine.
        ratios = [
            (a.tokens / getattr(a, clock)) / (b.tokens / getattr(b, clock))
            for a, b in zip(*sides.values(), strict=True)
        ]
        result[f"ratio_{clock}"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return result


def measure(trl_python: Path, repeats: int, *, micro_batches: int) -> dict[str, Any]:
    import torch
    import transformers

    from relift.benchmarks.speed.sampler import cpu_name, matmul_gflops

    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # children inherit it
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    results = {c.name: compare(c, trl_python, repeats, micro_batches=micro_batches) for c in CASES.values()}
    return {
        "what": f"RL steps of {N_QUESTIONS} questions x {N_SAMPLES} answers; medians over steps taken in turn",
        "command": "python -m relift.benchmarks.speed.rl_step",
        "repeats": repeats,
        "model": {"layout": "llama", "parameters": make_model().num_parameters(), "weights": "random"},
        "cases": {c.name: {"max_tokens": c.max_tokens, "stop_tokens": len(c.stop_ids)} for c in CASES.values()},
        "equal": "start weights, prompts, answers a prompt, max_tokens, stop tokens, temperature 1, loss dr_grpo, "
        "advantage r - mean, AdamW (lr, betas, no weight decay, clip at 1), verdicts and the grader's work, float32, "
        "one core, one thread; no old log-probabilities and no KL term on either side",
        "not_equal": "relift writes attempts, answers, trajectories and updates to disk, with checksums and a commit, "
        "and reports entropy and log-probabilities of every answer; TRL logs and saves nothing. Random numbers "
        "differ, so lengths in `group` differ a little: rates count the tokens each side wrote. "
        f"TRL trains in {micro_batches} micro-batch(es) of padded rows",
        "results": results,
        "limit": {"matmul_1024_gflops": matmul_gflops(1024, 1024, 1024)},
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        },
        "hardware": {"cpu": cpu_name(), "cores_used": 1, "instructions": torch.backends.cpu.get_cpu_capability()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of an RL step beside TRL's, on one core.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--trl-python", type=Path, default=Path(os.environ.get("RELIFT_TRL_PYTHON", ".venv-trl/bin/python"))
    )
    parser.add_argument("--trl-micro-batches", type=int, default=1)
    parser.add_argument("--serve-trl", metavar="CASE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the child
    if args.serve_trl:
        serve_trl(CASES[args.serve_trl], args.trl_micro_batches)
        return
    if not args.trl_python.exists():
        parser.exit(
            2, f"no TRL: {args.trl_python} is missing; make an environment with torch==2.13.0 and trl==1.16.0\n"
        )
    text = json.dumps(measure(args.trl_python, args.repeats, micro_batches=args.trl_micro_batches), indent=1) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
