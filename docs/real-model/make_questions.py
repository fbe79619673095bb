"""Write questions in words with worked demonstrations: python docs/real-model/make_questions.py FOLDER [--seed 1].

Eight kinds, from one step with small numbers to three steps, with names and things drawn at random. FOLDER gets
warmup.jsonl (five of the kinds), dev.jsonl, train.jsonl and probe.jsonl; no problem stands in two of them.
A row has problem, answer, demonstration and kind.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

NAMES = ("Anna", "Ben", "Carla", "David", "Ella", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Lena", "Marco", "Nina")
THINGS = ("apples", "stamps", "coins", "pens", "shells", "cards", "beads", "books", "marbles", "stickers", "nuts")

Made = tuple[str, tuple[str, ...], int]  # problem, worked steps, answer


def add(draw: random.Random, name: str, thing: str) -> Made:
    a, b = draw.randint(5, 60), draw.randint(5, 39)
    return (
        f"{name} has {a} {thing} and buys {b} more. How many {thing} does {name} have?",
        (f"{a} + {b} = {a + b}",),
        a + b,
    )


def take(draw: random.Random, name: str, thing: str) -> Made:
    a, b = draw.randint(30, 99), draw.randint(5, 29)
    return f"{name} has {a} {thing} and gives {b} away. How many {thing} are left?", (f"{a} - {b} = {a - b}",), a - b


def times(draw: random.Random, name: str, thing: str) -> Made:
    a, b = draw.randint(2, 9), draw.randint(3, 9)
    problem = f"A box holds {a} {thing}. {name} has {b} boxes. How many {thing} does {name} have?"
    return problem, (f"{b} * {a} = {a * b}",), a * b


def add_take(draw: random.Random, name: str, thing: str) -> Made:
    a, b, c = draw.randint(10, 50), draw.randint(5, 39), draw.randint(3, 14)
    problem = f"{name} has {a} {thing}, finds {b} more and loses {c}. How many {thing} does {name} have now?"
    return problem, (f"{a} + {b} = {a + b}", f"{a + b} - {c} = {a + b - c}"), a + b - c


def times_add(draw: random.Random, name: str, thing: str) -> Made:
    a, b, c = draw.randint(2, 9), draw.randint(3, 9), draw.randint(5, 30)
    problem = f"{name} has {b} boxes with {a} {thing} each and {c} loose {thing}. How many {thing} does {name} have?"
    return problem, (f"{b} * {a} = {a * b}", f"{a * b} + {c} = {a * b + c}"), a * b + c


def times_take(draw: random.Random, name: str, thing: str) -> Made:
    a, b = draw.randint(3, 9), draw.randint(4, 9)
    c = draw.randint(3, a * b - 1)
    problem = f"{name} buys {b} bags of {a} {thing} and gives {c} {thing} away. How many {thing} are left?"
    return problem, (f"{b} * {a} = {a * b}", f"{a * b} - {c} = {a * b - c}"), a * b - c


def share(draw: random.Random, name: str, thing: str) -> Made:
    each, people, more = draw.randint(3, 12), draw.randint(2, 6), draw.randint(2, 15)
    total = each * people
    problem = (
        f"{people} friends share {total} {thing} equally. {name} is one of them and then finds {more} more. "
        f"How many {thing} does {name} have?"
    )
    return problem, (f"{total} / {people} = {each}", f"{each} + {more} = {each + more}"), each + more


def prices(draw: random.Random, name: str, thing: str) -> Made:
    a, b, c, d = draw.randint(2, 9), draw.randint(2, 9), draw.randint(2, 9), draw.randint(2, 9)
    first, second = a * b, c * d
    problem = (
        f"{name} buys {a} {thing} for {b} dollars each and {c} bags for {d} dollars each. "
        f"How many dollars does {name} pay?"
    )
    steps = (f"{a} * {b} = {first}", f"{c} * {d} = {second}", f"{first} + {second} = {first + second}")
    return problem, steps, first + second


Kind = Callable[[random.Random, str, str], Made]
ALL: tuple[Kind, ...] = (add, take, times, add_take, times_add, times_take, share, prices)
# Kinds and questions of each, file by file: the warm-up has few of two steps and none of the three hardest kinds.
FILES: tuple[tuple[str, tuple[tuple[Kind, int], ...]], ...] = (
    ("warmup", ((add, 40), (take, 40), (times, 40), (add_take, 24), (times_add, 24))),
    ("dev", tuple((kind, 8) for kind in ALL)),
    ("train", tuple((kind, 16) for kind in ALL)),
    ("probe", tuple((kind, 6) for kind in ALL)),
)


def row(kind: Kind, draw: random.Random) -> dict[str, str]:
    problem, steps, answer = kind(draw, draw.choice(NAMES), draw.choice(THINGS))
    demonstration = " ".join(f"{step}." for step in steps) + f" The answer is {answer}."
    return {"problem": problem, "answer": str(answer), "demonstration": demonstration, "kind": kind.__name__}


def main() -> None:
    """Read the options, write the four files."""
    parser = argparse.ArgumentParser(description="Write questions in words with demonstrations, in four files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, seen = random.Random(args.seed), set[str]()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, kinds in FILES:
        rows = []
        for kind, left in kinds:
            while left:
                made = row(kind, draw)
                if made["problem"] not in seen:
                    seen.add(made["problem"])
                    rows.append(made)
                    left -= 1
        (args.folder / f"{name}.jsonl").write_text("".join(json.dumps(made) + "\n" for made in rows))


if __name__ == "__main__":
    main()
