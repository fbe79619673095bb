"""Measure how fast answers are graded, beside the plain loop over math-verify in one process.

Run:  python -m relift.benchmarks.speed.grading --out FILE [--answers 10000] [--rounds 10]

Two cases of synthetic answers: `distinct`, every pair of gold answer and answer occurs once; `samples`, 32 answers to
each question, which repeat as a model's do. Golds are a mix of the kinds that competition and textbook sets have (see
KINDS); an answer is a paragraph of reasoning with a box behind it: the gold as it stands, the gold rewritten, a near
miss, or no box. Every round grades one part of the answers with the plain loop and then with relift, so that a change
of the machine's mood meets both. Golds are parsed inside the measured time on both sides: by the plain loop with every
answer, by relift when it first meets one. Left out on both sides: importing sympy, and the first parse of a kind.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.record import cpu_name
from relift.grading import Grader, Submission
from relift.grading.math import library_versions

N_SAMPLES = 32
WORDS = "so we note that the sum over all cases gives and therefore hence then by symmetry let us check this".split()


@dataclass(frozen=True)
class Kind:
    """One kind of gold answer: its share of a set, and how one is drawn: (gold, right rewritings, near misses)."""

    name: str
    percent: int
    draw: Callable[[random.Random], tuple[str, list[str], list[str]]]


def integer(rng: random.Random) -> tuple[str, list[str], list[str]]:
    n = rng.choice((rng.randint(-50, 999), rng.randint(0, 100_000)))
    right = [f"{n}.0", f"x={n}", f"{n:,}", rf"\text{{{n}}}", rf"{n}\text{{ cm}}", rf"\frac{{{2 * n}}}{{2}}"]
    return str(n), right, [str(n + 1), str(-n or 1), str(n * 10 or 2), rf"\frac{{{n or 3}}}{{7}}"]


def fraction(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b = rng.randint(1, 99), rng.choice((3, 7, 8, 11, 16, 25))
    right = [rf"\dfrac{{{a}}}{{{b}}}", f"{a}/{b}", rf"\frac{{{3 * a}}}{{{3 * b}}}", f"{a / b:.9f}"]
    return rf"\frac{{{a}}}{{{b}}}", right, [rf"\frac{{{b}}}{{{a}}}", rf"\frac{{{a + 1}}}{{{b}}}", f"{a / b + 0.01:.4f}"]


def decimal(rng: random.Random) -> tuple[str, list[str], list[str]]:
    n = rng.randint(1, 9999)
    return f"{n / 100}", [f"{n / 100}0", rf"\frac{{{n}}}{{100}}"], [f"{n / 10}", f"{(n + 1) / 100}"]


def surd(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b = rng.randint(2, 12), rng.choice((2, 3, 5, 6, 7, 10))
    right = [rf"\sqrt{{{a * a * b}}}", rf"{a} \cdot \sqrt{{{b}}}", rf"\frac{{{a * b}}}{{\sqrt{{{b}}}}}"]
    return rf"{a}\sqrt{{{b}}}", right, [rf"{a}\sqrt{{{b + 1}}}", rf"{a + 1}\sqrt{{{b}}}", str(a * b)]


def circle(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a = rng.randint(2, 99)
    return rf"{a}\pi", [rf"{a} \pi", rf"\frac{{{2 * a}\pi}}{{2}}"], [rf"{a + 1}\pi", str(a), rf"\frac{{\pi}}{{{a}}}"]


def polynomial(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    gold = f"x^2+{a + b}x+{a * b}"
    return gold, [f"(x+{a})(x+{b})", f"{a * b}+{a + b}x+x^2"], [f"x^2+{a + b + 1}x+{a * b}", f"(x-{a})(x+{b})"]


def pair(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b = rng.randint(-9, 9), rng.randint(1, 9)
    right = [rf"\left({a}, {b}\right)", f"({a}.0,{b})"]
    return f"({a},{b})", right, [f"({b + 10},{a})", f"({a},{b + 1})", f"({a},{b},0)"]


def several(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b, c = sorted(rng.sample(range(-20, 20), 3))
    right = [f"{c},{b},{a}", rf"\{{{a},{b},{c}\}}", rf"{a}, {b} \text{{ and }} {c}"]
    return f"{a},{b},{c}", right, [f"{a},{b}", f"{a},{b},{c + 1}"]


def interval(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a = rng.randint(-9, 9)
    b = a + rng.randint(1, 20)
    return f"[{a},{b})", [rf"\left[{a}, {b}\right)"], [f"[{a},{b}]", f"({a},{b})", f"[{a},{b + 1})"]


def equation(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    return f"y={a}x+{b}", [f"y = {b} + {a}x", f"{a}x-y+{b}=0"], [f"y={a}x-{b}", f"y={b}x+{a + 10}"]


def trigonometric(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a = rng.randint(2, 9)
    return rf"{a}\sin 2x", [rf"{2 * a}\sin x\cos x"], [rf"{a}\cos 2x", rf"{a + 1}\sin 2x"]


def inequality(rng: random.Random) -> tuple[str, list[str], list[str]]:
    a = rng.randint(1, 99)
    return f"x>{a}", [f"{a}<x", f"x > {a}"], [f"x<{a}", rf"x\ge {a}"]


def word(rng: random.Random) -> tuple[str, list[str], list[str]]:
    names = ["Evelyn", "even", "ellipse", "hyperbola", "Tuesday"]
    gold = rng.choice(names)
    return rf"\text{{{gold}}}", [gold], [rf"\text{{{name}}}" for name in names if name != gold]


KINDS = (
    Kind("integer", 62, integer), Kind("fraction", 9, fraction), Kind("decimal", 4, decimal), Kind("surd", 6, surd),
    Kind("circle", 3, circle), Kind("polynomial", 4, polynomial), Kind("pair", 4, pair), Kind("several", 3, several),
    Kind("interval", 1, interval), Kind("equation", 1, equation), Kind("trigonometric", 1, trigonometric),
    Kind("inequality", 1, inequality), Kind("word", 1, word),
)  # fmt: skip
AS_GOLD, REWRITTEN, NEAR_MISS = 0.50, 0.20, 0.25  # shares of the answers; the rest has no box


def response(rng: random.Random, answer: str | None) -> str:
    """A paragraph of reasoning and the answer in a box behind it (None: no box)."""
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(30, 200)))
    number = rng.randint(1, 99)
    end = "I could not find it" if answer is None else rf"Therefore the answer is $\boxed{{{answer}}}$"
    return f"{words} $x_{{1}}={number}$, which is \\[\\frac{{{number}}}{{2}}\\] as claimed. {end}."


def one_answer(rng: random.Random, gold: str, right: list[str], wrong: list[str]) -> str | None:
    draw = rng.random()
    if draw < AS_GOLD:
        return gold
    if draw < AS_GOLD + REWRITTEN:
        return rng.choice(right)
    return rng.choice(wrong) if draw < AS_GOLD + REWRITTEN + NEAR_MISS else None


def distinct(n: int, seed: int) -> list[tuple[str, str]]:
    """n pairs of gold and response, no pair of gold and answer twice; the rare kinds run out first (see the counts)."""
    rng = random.Random(seed)
    seen: set[tuple[str, str | None]] = set()
    pairs: list[tuple[str, str]] = []
    while len(pairs) < n:
        gold, right, wrong = rng.choices(KINDS, [kind.percent for kind in KINDS])[0].draw(rng)
        answer = one_answer(rng, gold, right, wrong)
        if (gold, answer) not in seen:
            seen.add((gold, answer))
            pairs.append((gold, response(rng, answer)))
    return pairs


def samples(n: int, seed: int) -> list[tuple[str, str]]:
    """n pairs, 32 of each question; a question's answers come from five texts, the first of them right."""
    rng = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < n:
        gold, right, wrong = rng.choices(KINDS, [kind.percent for kind in KINDS])[0].draw(rng)
        solved = rng.betavariate(0.5, 0.5)
        for _ in range(min(N_SAMPLES, n - len(pairs))):
            is_right = rng.random() < solved
            answer = rng.choice([gold, gold, gold, *right[:2]]) if is_right else rng.choice([*wrong, *wrong, None])
            pairs.append((gold, response(rng, answer)))
    return pairs


def plain_loop(pairs: list[tuple[str, str]]) -> list[bool]:
    """math-verify as its documentation has it: parse the gold, parse the response, verify."""
    from math_verify import parse, verify

    return [bool(verify(parse(f"${gold}$"), parse(text))) for gold, text in pairs]


def measure_case(pairs: list[tuple[str, str]], rounds: int, workers: int | None) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"math-verify": [], "relift": []}
    differing: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    rules: Counter[str] = Counter()
    size = -(-len(pairs) // rounds)
    with Grader(workers=workers) as grader:
        started = time.perf_counter()
        grader.grade([("x>1", r"\boxed{1<x}")])  # starts the workers
        start_seconds = time.perf_counter() - started
        for place in range(0, len(pairs), size):
            part = pairs[place : place + size]
            start = time.perf_counter()
            theirs = plain_loop(part)
            between = time.perf_counter()
            ours = grader.judge([Submission(gold, text, kind="math") for gold, text in part])
            seconds["math-verify"].append(between - start)
            seconds["relift"].append(time.perf_counter() - between)
            rules.update(judgement.rule for judgement in ours)
            for (gold, text), accepted, judgement in zip(part, theirs, ours, strict=True):
                if str(judgement.verdict) != ("correct" if accepted else "wrong"):
                    cause = f"{judgement.verdict} by {judgement.rule}, math-verify says {accepted}"
                    differing[cause] += 1
                    examples.setdefault(cause, []).append(f"{gold} | {text[-60:]}")
    totals = {name: sum(values) for name, values in seconds.items()}
    return {
        "answers": len(pairs),
        "distinct_pairs": len({(gold, text[text.rfind(r"\boxed") :]) for gold, text in pairs}),
        "seconds": {name: round(total, 3) for name, total in totals.items()},
        "times_faster": round(totals["math-verify"] / totals["relift"], 1),
        "times_faster_by_round": [round(a / b, 1) for a, b in zip(*seconds.values(), strict=True)],
        "start_of_workers_seconds": round(start_seconds, 2),
        "rules": dict(rules.most_common()),
        "verdicts_that_differ": dict(differing),
        "examples": {cause: texts[:5] for cause, texts in examples.items()},
    }


def measure(n: int, rounds: int, workers: int | None) -> dict[str, Any]:
    logging.disable(logging.WARNING)  # one line a timeout, from the library
    plain_loop([(kind.draw(random.Random(0))[0], r"\boxed{1}") for kind in KINDS])  # the library's own warm-up
    make = {"distinct": distinct, "samples": samples}
    results = {name: measure_case(pairs(n, seed=0), rounds, workers) for name, pairs in make.items()}
    return {
        "what": "seconds to grade all answers, a plain loop over math-verify in one process beside relift.grading",
        "command": f"python -m relift.benchmarks.speed.grading --answers {n} --rounds {rounds}",
        "mix": {kind.name: kind.percent for kind in KINDS},
        "answers_are": {"gold as it stands": AS_GOLD, "rewritten": REWRITTEN, "near miss": NEAR_MISS},
        "gold_parsing": "inside the measured time on both sides",
        "results": results,
        "versions": {"python": platform.python_version(), **library_versions()},
        "hardware": {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0))},
        "load_average": [round(x, 1) for x in os.getloadavg()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of grading beside a plain loop over math-verify.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=int, help="worker processes; default: one for each core, at most 4")
    args = parser.parse_args()
    text = json.dumps(measure(args.answers, args.rounds, args.workers), indent=1) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
