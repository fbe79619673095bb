r"""Define the protocols, ours and those of other projects, with the source of each number.

One-line instructions are settings and stand here; longer wordings of other projects are taken from their installed
package (prompting.py). What a preset cannot reproduce is said in its notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from relift.benchmarks.benchmark import Benchmark, Protocol
from relift.benchmarks.table import BENCHMARKS
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.prompts import BOX_INSTRUCTION
from relift.suggest import hint

LETTER = r"Think step by step, then give the letter of the one right option, as \boxed{LETTER}."  # ours
COMPETITIONS = ("aime24", "aime25", "amc")
WHOLE_NUMBER = "The answer is an integer between 0 and 999 inclusive."


def _samples(k: int, **others: int) -> dict[str, int]:
    """Map every benchmark to k attempts, but for the others."""
    return {name: others.get(name, k) for name in BENCHMARKS}


RELIFT = Protocol(
    name="relift",
    sampling=Sampling(max_tokens=8192, temperature=0.6, top_p=1.0),
    instruction={"choice": LETTER},
    sources=(
        "question as the user's turn, no system turn, the checkpoint's chat template: ReLIFT eb95454, "
        "eval_scripts/generate_vllm.py:46-50,120-126",
        "temperature 0.6, top_p 1.0, 8,192 tokens; avg@32 on AIME and AMC, avg@8 on MATH-500 and OlympiadBench: "
        "the paper, arXiv 2506.07527, version 2 (the 8 second-hand)",
        "multiple choice: ours",
    ),
    notes=("how the paper put MMLU-Pro is not known: its number is not comparable",),
)

ARITH = Protocol(
    name="arith",
    sampling=Sampling(max_tokens=128, temperature=1.0, top_p=1.0),
    template="plain",
    instruction={"choice": LETTER},
    sources=("as the demo probes its models: relift/demo/methods.py",),
    notes=("for the embedded sets, and their default: a model of 256 tokens has no room for 8,192",),
)

RELIFT_JUNE = Protocol(
    name="relift-june2025",
    sampling=Sampling(max_tokens=8192, temperature=0.6, top_p=1.0),
    instruction={"choice": LETTER},
    samples=_samples(1, **dict.fromkeys(COMPETITIONS, 32)),
    grader="math-verify",
    sources=(
        "template, temperature, top_p, tokens: ReLIFT eb95454, eval_scripts/generate_vllm.py:46-50,108-126",
        "32 attempts at AIME and AMC, else 1: rows repeated in its evaluation file",
        "grader: math_verify.parse and verify on the text behind the thoughts, same file :14-20,72-83",
    ),
    notes=(
        "the script takes what follows the first </think>, and the whole text when a tag is missing; we take what "
        "follows the last, and an unclosed thought holds no answer",
        "the script counts an exception as wrong and pins math-verify 0.6.0",
        "the script sets no seed",
    ),
)

LUFFY = Protocol(
    name="luffy",
    sampling=Sampling(max_tokens=8192, temperature=0.6, top_p=1.0),
    instruction={"choice": LETTER},
    samples=_samples(1, **dict.fromkeys(COMPETITIONS, 32)),
    grader="math-verify",
    sources=(
        "template, temperature, top_p, tokens: LUFFY 01f4ae0, eval_scripts/generate_vllm.py:76,221",
        "32 attempts at AIME and AMC, else 1: rows repeated in data/valid.all.parquet",
        "grader: same file :30-42,154-174",
    ),
    notes=(
        "without </think> the script says wrong where the prompt opened the thoughts",
        "a flag of the script replaces math-verify by another grader (OAT's), which is not here",
        "its multiple-choice prompts stand in its data files; ours ask for a box",
    ),
)

QWEN = Protocol(
    name="qwen",
    sampling=Sampling(max_tokens=2048, temperature=0.0, top_p=1.0),
    system=BOX_INSTRUCTION,
    instruction={"choice": LETTER},
    samples=_samples(1),
    sources=(
        "greedy, one attempt, seed 0: QwenLM/Qwen2.5-Math a45202b, evaluation/sh/eval.sh; 2,048 tokens: "
        "evaluation/math_eval.py:30-36",
        "system turn: the CoT prompt of Qwen2.5-Math's model card; evaluation/utils.py:141",
    ),
    notes=("its grader (equal to the reference, a hundredth, or a hundred times it; 3 s) is not here: ours decides",),
)

RLVR_LIMIT = Protocol(
    name="rlvr-limit",
    sampling=Sampling(max_tokens=16_000, temperature=0.6, top_p=0.95),
    system="You are a helpful assistant.",
    instruction={"math": BOX_INSTRUCTION, "choice": LETTER},
    samples=_samples(32),
    sources=(
        "template qwen-boxed: LeapLabTHU/limit-of-RLVR fd2cf37, math/README.md; its text: QwenLM/Qwen2.5-Math a45202b, "
        "evaluation/utils.py",
        "temperature 0.6, top_p 0.95, 32 attempts: math/README.md:23-27; 16,000 tokens: math/eval_math_nodes.sh:24",
    ),
    notes=(
        "for pass@k it pools 32 to 512 attempts a seed over several seeds: set --samples",
        "it grades with Qwen's grader; ours decides",
    ),
)

LIGHTEVAL = Protocol(
    name="lighteval",
    sampling=Sampling(max_tokens=32_768, temperature=0.0, top_p=1.0),
    wording="lighteval",
    samples=_samples(1),
    grader="math-verify",
    sources=(
        "prompts: taken from the installed lighteval 0.13 (3fd1526), src/lighteval/tasks/tasks/ aime.py, math_500.py, "
        "gpqa.py, mmlu_pro.py",
        "32,768 tokens: math_500.py, gpqa.py (aime.py leaves it open); greedy is its default",
        "one attempt: the tasks aime24, math_500, gpqa:diamond; aime24_avg takes 64",
    ),
    notes=(
        "its grader is a fork of math-verify, and reads MATH-500's gold out of the whole solution",
        "GPQA's options stand in our order: its own depends on what was drawn before",
        "its MMLU-Pro prompt names four letters for ten options, and is taken as it is",
    ),
)

SOBER = Protocol(
    name="sober",
    sampling=Sampling(max_tokens=32_768, temperature=0.8, top_p=0.9),
    wording="lighteval",
    samples=_samples(3, aime24=10, aime25=10, amc=10, amc23=10),
    grader="math-verify",
    sources=(
        "temperature 0.8, top_p 0.9, 32,768 tokens: bethgelab/sober-reasoning 8fceffd, main.py:28-34",
        "prompts: lighteval's",
        "10 seeds on small sets, 3 on others: arXiv 2504.07086 (from memory)",
    ),
    notes=("its seeds are runs of their own; here they are attempts",),
)

MATHARENA = Protocol(
    name="matharena",
    sampling=Sampling(max_tokens=32_768, temperature=0.6, top_p=0.95),
    instruction={
        "math": r"Put your final answer within \boxed{}.",
        **dict.fromkeys(
            ("aime24", "aime25", "aime26"), r"Put your final answer within \boxed{}." + f"\n{WHOLE_NUMBER}"
        ),
        "choice": LETTER,
    },
    layout="{instruction}\n\n{problem}",
    samples=_samples(4),
    sources=(
        "instructions: eth-sri/matharena e927660, configs/competitions/*.yaml; before the problem: "
        "src/matharena/runner.py:328-334",
        "4 attempts: scripts/run.py:76",
        "temperature, top_p, tokens: ours, for they are set for each model there (configs/models/)",
    ),
    notes=("its grader with its warnings is not here: ours decides",),
)

NEMO = Protocol(
    name="nemo",
    sampling=Sampling(max_tokens=32_768, temperature=0.6, top_p=0.95),
    instruction={
        "math": r"Solve the following math problem. Make sure to put the answer (and only answer) inside \boxed{}.",
        "choice": LETTER,
    },
    layout="{instruction}\n\n{problem}",
    samples=_samples(4),
    sources=(
        "instruction: NVIDIA/NeMo-Skills 0b012df, nemo_skills/prompt/config/generic/math.yaml",
        "temperature, top_p, tokens, attempts: ours, for they are set for each run there",
    ),
    notes=("it runs math-verify on the extracted answer; ours decides",),
)

EVALCHEMY = Protocol(
    name="evalchemy",
    sampling=Sampling(max_tokens=32_768, temperature=0.0, top_p=1.0),
    instruction={"math": r"Mark your solution with \boxed", "choice": LETTER},
    layout="Problem: {problem}\n{instruction}\nAnswer:",
    samples=_samples(10),
    sources=(
        "prompt, 32,768 tokens, 10 attempts: mlfoundations/evalchemy 6ed6741, "
        "eval/chat_benchmarks/AIME24/eval_instruct.py",
    ),
    notes=(
        "it asks for temperature 0.7 with do_sample off, which is greedy: ten attempts are one answer ten times",
        "it compares strings; ours decides",
    ),
)

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        RELIFT, ARITH, RELIFT_JUNE, LUFFY, QWEN, RLVR_LIMIT, LIGHTEVAL, SOBER, MATHARENA, NEMO, EVALCHEMY,
    )
}  # fmt: skip
DEFAULT = RELIFT.name


def default_protocol(benchmarks: Iterable[Benchmark]) -> str:
    """Name the preset where none is given: `arith` for embedded sets alone, else `relift`."""
    return ARITH.name if all(benchmark.hub is None for benchmark in benchmarks) else DEFAULT


def find_protocol(name: str) -> Protocol:
    """Return the preset of this name. Raises InputError with the nearest name."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    raise InputError(f"no protocol {name!r}{hint(name, PROTOCOLS)}; known: {', '.join(PROTOCOLS)}")


def customised(protocol: Protocol, **changes: Any) -> Protocol:
    """Change settings of a protocol and its name: `custom (from NAME)`, unless only the number of attempts changed.

    changes: `samples` (a number for every benchmark, or a mapping), fields of Sampling (max_tokens, temperature,
    top_p, top_k, stop), or other fields of Protocol; None leaves a setting as it is.
    Raises TypeError for what is no setting.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    sampling_names = {f.name for f in fields(Sampling)}
    samples = changes.pop("samples", protocol.samples)
    samples = dict.fromkeys(BENCHMARKS, samples) if isinstance(samples, int) else samples
    drawn = {name: changes.pop(name) for name in list(changes) if name in sampling_names}
    changed = replace(protocol, sampling=replace(protocol.sampling, **drawn), **changes)
    name = protocol.name
    if changed != protocol and not name.startswith("custom (from "):
        name = f"custom (from {name})"
    return replace(changed, name=name, samples=samples)


def samples_of(protocol: Protocol, benchmark: Benchmark) -> int:
    """Return the attempts at each question of this benchmark under this protocol."""
    return protocol.samples.get(benchmark.known_as, benchmark.samples)
