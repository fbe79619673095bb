"""Answers in forms of their own, generated: values in several units, counts, residues, sets by a condition, words."""

from __future__ import annotations

import random
from math import comb, perm

from tests.grading.kinds import Case, Make


def durations(rng: random.Random) -> Case:
    h, m = rng.randint(1, 9), rng.randint(1, 59)
    total = 60 * h + m
    right = [f"{h} hours {m} minutes", f"{h} h {m} min", f"{h} hours and {m} minutes", f"{total} min",
             f"{60 * total} s", rf"{h}\text{{ hours }}{m}\text{{ minutes}}", f"{h} hr, {m} min"]  # fmt: skip
    wrong = [f"{h} hours", f"{m} minutes", f"{h + 1} hours {m} minutes", f"{h} hours {m} seconds"]
    return Case(f"{total} minutes", right, wrong)


def heights(rng: random.Random) -> Case:
    feet, inches = rng.randint(2, 9), rng.randint(1, 11)
    right = [
        f"{12 * feet + inches} inches",
        f"{feet} ft {inches} in",
        rf"{feet}\text{{ feet }}{inches}\text{{ inches}}",
    ]
    return Case(f"{feet} feet {inches} inches", right, [f"{feet}{inches} inches", f"{feet}.{inches + 12} feet"])


def arcs(rng: random.Random) -> Case:
    d, m = rng.randint(1, 89), rng.choice([15, 30, 45])
    return Case(rf"{d}^\circ {m}'", [rf"{d + m / 60}^\circ", f"{d + m / 60} degrees"], [rf"{d}^\circ", f"{d}.{m + 1}°"])


def worded_units(rng: random.Random) -> Case:
    word, n = rng.choice([("three", 3), ("seven", 7), ("twelve", 12), ("twenty-one", 21)])
    return Case(rf"{n}\text{{ hours}}", [f"{word} hours"], [f"{word} minutes", "four hours"])


def choices(rng: random.Random) -> Case:
    n = rng.randint(5, 12)
    k = rng.randint(2, n - 3)
    right = [f"C({n},{k})", f"{n}C{k}", f"{{}}_{{{n}}}C_{{{k}}}", rf"\binom{{{n}}}{{{k}}}", f"^{{{n}}}C_{{{k}}}"]
    wrong = [f"C({n + 1},{k})", f"P({n},{k})", f"{{}}_{{{n}}}P_{{{k}}}"]
    return Case(str(comb(n, k)), right, wrong)


def arrangements(rng: random.Random) -> Case:
    n, k = rng.randint(5, 12), rng.randint(2, 4)
    return Case(str(perm(n, k)), [f"P({n},{k})", f"{n}P{k}", f"{{}}_{{{n}}}P_{{{k}}}"], [f"C({n},{k})", f"{n}P{k + 1}"])


def short_scales(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    letter, size = rng.choice([("k", 10**3), ("K", 10**3), ("M", 10**6)])
    return Case(str(n * size), [f"{n}{letter}", f"{n}.0{letter}"], [f"{n + 1}{letter}", str(n), f"{n}B"])


def halves_of_the_day(rng: random.Random) -> Case:
    word, gold, other = rng.choice([("noon", "12:00 PM", "midnight"), ("midnight", "12:00 AM", "noon")])
    return Case(gold, [word, rf"\text{{{word}}}", f"12:00 {word}", f"12 {word}"], [other, "11:00 AM", "12:01 PM"])


def noon_without_half(rng: random.Random) -> Case:
    return Case("12:00", ["noon", "12:00 PM"], ["midnight", "12:00 AM", "12:01"])


def conditions(rng: random.Random) -> Case:
    a, b = sorted(rng.sample(range(-9, 30), 2))
    right = [
        rf"\{{x \mid {a}<x\le {b}\}}",
        rf"\{{x: {a}<x\leq {b}\}}",
        rf"\{{x\in\mathbb{{R}} : {a} < x <= {b}\}}",
        f"]{a},{b}]",
    ]
    wrong = [
        rf"\{{x \mid {a}\le x\le {b}\}}",
        rf"\{{x\in\mathbb{{Z}} : {a}<x\le {b}\}}",
        f"]{a},{b}[",
        f"{a} < x < {b}",
    ]
    return Case(f"({a},{b}]", right, wrong)


def everything(rng: random.Random) -> Case:
    right = ["all real numbers", r"\text{all reals}", "the set of all real numbers", r"(-\infty,\infty)"]
    return Case(r"\mathbb{R}", right, ["all integers", "real", r"\emptyset", r"(0,\infty)"])


def sets_and_pairs(rng: random.Random) -> Case:
    a, b = sorted(rng.sample(range(1, 40), 2))
    return Case(rf"\{{{a},{b}\}}", [rf"\{{{b},{a}\}}", rf"x \in \{{{a},{b}\}}"], [f"({a},{b})", f"[{a},{b}]", str(a)])


def named_points(rng: random.Random) -> Case:
    a, b = rng.sample(range(1, 40), 2)
    return Case(f"x={a}, y=-{b}", [f"({a},-{b})", f"y=-{b}, x={a}"], [f"(-{b},{a})", f"({a},{b})", f"({b},-{a})"])


def unit_vectors(rng: random.Random) -> Case:
    a, b = rng.sample(range(2, 40), 2)
    right = [rf"{a}\mathbf{{i}}-{b}\mathbf{{j}}", rf"{a}\hat{{i}} - {b}\hat{{j}}", rf"\langle {a},-{b}\rangle",
             rf"{a}\vec{{i}}-{b}\vec{{j}}"]  # fmt: skip
    wrong = [rf"{a}\mathbf{{i}}+{b}\mathbf{{j}}", rf"{a}\mathbf{{j}}-{b}\mathbf{{i}}", rf"\langle -{b},{a}\rangle"]
    return Case(rf"\begin{{pmatrix}}{a}\\-{b}\end{{pmatrix}}", right, wrong)


def rows_in_brackets(rng: random.Random) -> Case:
    a, b, c, d = rng.sample(range(1, 40), 4)
    gold = rf"\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"
    return Case(gold, [f"[[{a},{b}],[{c},{d}]]"], [f"[[{a},{c}],[{b},{d}]]", f"[{a},{b},{c},{d}]"])


def remainders(rng: random.Random) -> Case:
    q, r = rng.sample(range(1, 40), 2)
    return Case(
        f"{q} R {r}", [f"{q} remainder {r}", f"{q}R{r}", f"{q} with a remainder of {r}"], [f"{r} R {q}", str(q)]
    )


def residues(rng: random.Random) -> Case:
    m = rng.randint(5, 60)
    r = rng.randint(1, m - 2)
    right = [rf"x\equiv {r}\pmod{{{m}}}", f"{r} (mod {m})", rf"{r}\mod {m}", rf"{r + m}\pmod{{{m}}}"]
    return Case(rf"{r}\pmod{{{m}}}", right, [rf"{r + 1}\pmod{{{m}}}", rf"{r}\pmod{{{m + 1}}}"])


def plain_functions(rng: random.Random) -> Case:
    n = rng.choice([2, 3, 5, 6, 7])
    return Case(rf"\sqrt[3]{{{n}}}", [f"cbrt({n})", f"{n}^(1/3)"], [f"sqrt({n})", f"cbrt({n + 1})"])


def quotients_of_logarithms(rng: random.Random) -> Case:
    a, b = rng.sample([2, 3, 5, 7], 2)
    return Case(rf"\log_{a} {b}", [rf"\frac{{\log {b}}}{{\log {a}}}"], [rf"\frac{{\log {a}}}{{\log {b}}}"])


def absences(rng: random.Random) -> Case:
    right = ["does not exist", r"\text{does not exist}", "The limit does not exist", "DNE"]
    return Case(r"\text{DNE}", right, ["0", r"\infty", "exists"])


def capitals(rng: random.Random) -> Case:
    word, other = rng.choice([("yes", "no"), ("true", "false"), ("false", "true")])
    return Case(word, [word.upper(), word.title(), rf"\text{{{word.title()}}}"], [other, other.upper()])


def constants(rng: random.Random) -> Case:
    n = rng.randint(2, 9)
    return Case(f"x^{n}+C", [f"x^{n}+c", f"x^{n} + K", f"x^{n}+C_1"], [f"x^{n + 1}+c", f"-x^{n}+C"])


def unit_quotients(rng: random.Random) -> Case:
    n = rng.randint(2, 60)
    return Case(
        rf"{n}\text{{ m/s}}",
        [rf"{n}\,\frac{{\text{{m}}}}{{\text{{s}}}}"],
        [rf"{n}\,\frac{{\text{{km}}}}{{\text{{s}}}}"],
    )


def areas_of_circles(rng: random.Random) -> Case:
    n = rng.randint(2, 60)
    return Case(
        rf"{n}\pi", [rf"{n}\pi\text{{ cm}}^2", rf"{n}\pi\text{{ square units}}"], [rf"{n + 1}\pi\text{{ cm}}^2"]
    )


FORMS: dict[str, Make] = {
    make.__name__: make
    for make in (
        durations, heights, arcs, worded_units, choices, arrangements, short_scales, halves_of_the_day,
        noon_without_half, conditions, everything, sets_and_pairs, named_points, unit_vectors, rows_in_brackets,
        remainders, residues, plain_functions, quotients_of_logarithms, absences, capitals, constants, unit_quotients,
        areas_of_circles,
    )
}  # fmt: skip
