"""Answers of the kinds that people reported to graders, generated: for each kind a gold answer, spellings of it that
have to be accepted, and answers that have to be refused.

The kinds follow public reports (huggingface/Math-Verify#2, #14, #25, #47, #61, #69; scitix/sieval#26, #90;
UKGovernmentBEIS/inspect_ai#4361, #5259; open-compass/opencompass#2426; rasbt/reasoning-from-scratch#99 and others).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A gold answer with contents of boxes that equal it, and some that do not; `texts`: whole responses instead."""

    gold: str
    right: list[str]
    wrong: list[str]
    texts: bool = False


Make = Callable[[random.Random], Case]
SEPARATORS = [",", "{,}", r"\,", r"\;", r"\ ", "~", " ", "\u00a0", "\u202f", "\u2009", r",\!", "_", "'", r"{\,}"]


def letters(rng: random.Random) -> Case:
    big, small = rng.choice([("R", "r"), ("N", "n"), ("A", "a"), ("K", "k")])
    n = rng.randint(2, 9)
    gold = f"{n}({big}^2-{small}^2)"
    right = [rf"{n}({big}-{small})({big}+{small})", f"{n}{big}^2-{n}{small}^2"]
    return Case(gold, right, ["0", f"{n}({small}^2-{big}^2)", f"{n}({big}^2-{big}^2)"])


def percent(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    words = ["percent", r"\text{ percent}", "pct", r"\text{ per cent}", r"\%", r"\text{\%}", "%", r"\,\%"]
    right = [f"{n} {word}" for word in words] + [f"0.{n:02d}", str(n), rf"\frac{{{n}}}{{100}}"]
    return Case(rf"{n}\%", right, [rf"0.{n:02d}\%", rf"{n + 1}\%", rf"{n * 10} percent", str(n * 100)])


def scales(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    word, zeros = rng.choice([("thousand", 3), ("million", 6), ("billion", 9)])
    gold = str(n * 10**zeros)
    right = [f"{n} {word}", rf"{n}\text{{ {word}}}", rf"\${n} {word}", rf"{n}\times10^{zeros}", f"{n * 10**zeros:,}"]
    return Case(gold, right, [str(n), f"{n + 1} {word}", f"{n} trillion"])


def squares(rng: random.Random) -> Case:
    n = rng.randint(2, 20)
    return Case(str(n**2), [f"{n} squared", rf"{n}\text{{ squared}}", f"{n}^2", f"{n}²"], [str(n), f"{n} cubed"])


def units(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [rf"{n}\text{{ m}}", f"{n} m", rf"{n}\,\mathrm{{m}}", str(n), rf"{100 * n}\text{{ cm}}", f"{n} meters"]
    wrong = [
        rf"{n}\text{{ cm}}",
        f"{n} km",
        rf"{n}\text{{ kg}}",
        rf"{n}\text{{ m}}^2",
        rf"{n + 1}\text{{ m}}",
        f"{n} seconds",
    ]
    return Case(rf"{n}\text{{ m}}", right, wrong)


def areas(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [rf"{n}\text{{ cm}}^2", f"{n} cm^2", rf"{n}\text{{ square centimeters}}", rf"{n}\text{{ sq cm}}", str(n)]
    return Case(rf"{n}\mbox{{ cm}}^2", right, [rf"{n}\text{{ cm}}", rf"{n}\text{{ cm}}^3", rf"{n}\text{{ m}}^2"])


def money(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [str(n), f"{n} dollars", rf"\${n}.00", rf"\text{{\$}}{n}", rf"{100 * n}\text{{ cents}}"]
    return Case(rf"\${n}", right, [f"{n} cents", rf"{n}\text{{ euros}}", rf"\${n + 1}"])


def thousands(rng: random.Random) -> Case:
    n = rng.randint(1_000, 9_999_999)
    groups = f"{n:,}".split(",")
    return Case(
        str(n),
        [s.join(groups) for s in SEPARATORS],
        [rng.choice(SEPARATORS).join([*groups[:-1], "999"]) if groups[-1] != "999" else "1", groups[0]],
    )  # noqa: E501


def mixed(rng: random.Random) -> Case:
    whole, under = rng.randint(1, 20), rng.randint(2, 9)
    over = rng.randint(1, under - 1)
    gold = rf"\frac{{{whole * under + over}}}{{{under}}}"
    right = [f"{whole} {over}/{under}", rf"{whole}\frac{{{over}}}{{{under}}}", rf"{whole}\ \tfrac{{{over}}}{{{under}}}"]
    return Case(gold, right, [f"{whole}{over}/{under}", f"{whole + 1} {over}/{under}", f"{over}/{under}"])


def repeating(rng: random.Random) -> Case:
    period = str(rng.randint(1, 98))
    period = "12" if period in ("9", "99") else period
    nines = "9" * len(period)
    gold = rf"\frac{{{int(period)}}}{{{nines}}}"
    dots = rf"\dot{{{period}}}" if len(period) == 1 else rf"\dot{{{period[0]}}}\dot{{{period[1]}}}"
    right = [
        rf"0.\overline{{{period}}}",
        f"0.{dots}",
        f"0.({period})",
        f"0.{period * 4}...",
        rf"0.{period}\bar{{{period}}}",
    ]
    return Case(gold, right, [f"0.{period}", rf"0.\overline{{{int(period) + 1}}}"])


def superscripts(rng: random.Random) -> Case:
    n, k = rng.randint(2, 9), rng.randint(2, 40)
    raised = str(k).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return Case(f"x+{n}^{{{k}}}", [f"x+{n}{raised}", f"x + {n}^{{{k}}}"], [f"x+{n}{k}", f"x+{n}^{{{k + 1}}}"])


def roots(rng: random.Random) -> Case:
    n, k = rng.randint(2, 9), rng.choice([2, 3, 5, 6, 7])
    right = [f"{n}√{k}", f"√{n * n * k}", f"√({n * n * k})", f"{n}sqrt({k})", rf"{n}\sqrt{k}", f"{n} * √{k}"]
    return Case(rf"{n}\sqrt{{{k}}}", right, [f"√{n * k}" if n != 1 else "1", f"{n + 1}√{k}", str(n * k)])


def clocks(rng: random.Random) -> Case:
    hour, minute = rng.randint(1, 11), rng.randint(10, 58)
    gold = f"{hour}:{minute}"
    right = [f"{hour}{{:}}{minute}", f"{hour} : {minute}", rf"{hour}:{minute}\text{{ PM}}", rf"{hour}\colon {minute}"]
    return Case(gold, right, [f"{hour}:{minute + 1}", f"{hour + 1}:{minute}", str(hour), f"{hour}{minute}"])


def ratios(rng: random.Random) -> Case:
    a, b = rng.choice([(3, 2), (5, 7), (1, 4), (2, 9)])
    right = [f"{a} : {b}", f"{a}{{:}}{b}", rf"{a}\text{{ to }}{b}", rf"{a}\colon{b}", rf"\frac{{{a}}}{{{b}}}"]
    return Case(f"{a}:{b}", right, [f"{b}:{a}", f"{a}:{b + 1}", f"{a}{b}", f"{b}/{a}"])


def factorials(rng: random.Random) -> Case:
    n = rng.choice([3, 4, 5, 6])
    once = {3: 6, 4: 24, 5: 120, 6: 720}[n]
    return Case(f"({n}!)!", [f"{once}!", f"({n}!)!"], [f"{n}!!", f"{n}!", str(once)])


def double_factorials(rng: random.Random) -> Case:
    n, value = rng.choice([(4, 8), (5, 15), (6, 48)])
    return Case(f"{n}!!", [str(value), f"{n}!!"], [f"({n}!)!", f"{n}!"])


def scripts(rng: random.Random) -> Case:
    a, b, c = rng.randint(1, 9), rng.randint(2, 9), rng.randint(2, 9)
    value = rf"\frac{{{a * c}}}{{{b}}}"
    return Case(
        rf"\frac{{{a}}}{{{b}}}x",
        [rf"\frac{a}{b}x", rf"\frac {a}{b} x", rf"\frac{a}{{{b}}}x"],
        [value, rf"\frac{{{a}}}{{{b}x}}"],
    )  # noqa: E501


def bases(rng: random.Random) -> Case:
    digits = "".join(rng.choice("1234") for _ in range(4))
    base, word = rng.choice([(5, "five"), (6, "six"), (8, "eight"), (9, "nine")])
    right = [f"{digits}_{base}", f"({digits})_{{{base}}}", rf"{digits}_{{\text{{{word}}}}}", rf"{digits}\text{{ (base {base})}}",  # noqa: E501
             rf"{digits}_{{({base})}}", digits, rf"{digits} \text{{ base }} {base}"]  # fmt: skip
    return Case(f"{digits}_{base}", right, [f"{digits}_7", f"1{digits}_{base}", rf"{digits}\text{{ base }}3"])


def ellipses(rng: random.Random) -> Case:
    k = rng.randint(2, 9)
    gold = rf"1, {k}, \ldots, n"
    return Case(
        gold, [f"1, {k}, ..., n", rf"1,{k},\dots,n", f"1,{k},…,n"], [rf"1, {k + 1}, \ldots, n", rf"1, {k}, \ldots, 2n"]
    )


def recurrences(rng: random.Random) -> Case:
    k, c = rng.randint(2, 9), rng.randint(1, 9)
    right = [f"a_n={c}+{k}a_{{n-1}}", f"a_{{n}} = {k} a_{{n-1}} + {c}"]
    wrong = [f"a_n={k}a_{{n-1}}-{c}", f"a_n={k}a_{{n-2}}+{c}", f"a_n={k + 1}a_{{n-1}}+{c}"]
    return Case(f"a_n={k}a_{{n-1}}+{c}", right, wrong)


def planes(rng: random.Random) -> Case:
    a, b, c, d = (rng.randint(2, 30) for _ in range(4))
    gold = f"{a}x+{b}y-{c}z+{d}=0"
    right = [
        f"{2 * a}x+{2 * b}y-{2 * c}z+{2 * d}=0",
        f"-{a}x-{b}y+{c}z-{d}=0",
        f"{c}z={a}x+{b}y+{d}",
        f"{a}x+{b}y-{c}z=-{d}",
    ]
    return Case(gold, right, [f"-{a}x-{b}y+{c}z+{d}=0", f"{a}x+{b}y+{c}z+{d}=0", f"{a}x+{b}y-{c}z={d}"])


def circles(rng: random.Random) -> Case:
    r = rng.randint(2, 9)
    return Case(
        f"x^2+y^2={r * r}",
        [f"x^2+y^2-{r * r}=0", f"2x^2+2y^2={2 * r * r}", f"y^2+x^2={r}^2"],
        [f"x^2+y^2={r}", f"x^2-y^2={r * r}"],
    )  # noqa: E501


def qualifiers(rng: random.Random) -> Case:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    right = [rf"f(x)={a}x+{b} \text{{ for all }} x", rf"f(x)={a}x+{b}\text{{ for all }}x\in\mathbb{{R}}", f"{a}x+{b}",
             rf"f(x) = {b}+{a}x\text{{ for every real number }}x"]  # fmt: skip
    return Case(f"f(x)={a}x+{b}", right, [rf"f(x)={a}x-{b}\text{{ for all }}x", f"f(x)={b}x+{a + 10}", f"{a}x"])


def comparisons(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [
        rf"\text{{exactly }}{n}",
        rf"\text{{The answer is }}{n}",
        rf"\text{{There are }}{n}\text{{ ways}}",
        f"The answer is {n}.",
    ]
    wrong = [rf"\text{{at least }}{n}", rf"\text{{at most }}{n}", rf"\text{{not }}{n}", rf"\text{{more than }}{n}",
             rf"x\neq {n}", f"x>{n}", rf"\text{{The answer is }}{n + 1}"]  # fmt: skip
    return Case(str(n), right, wrong)


def parities(rng: random.Random) -> Case:
    name = rng.choice("nkm")
    return Case(
        f"odd ${name}$",
        [rf"\text{{odd }} {name}", f"odd {name}"],
        [rf"\text{{even }} {name}", f"even {name}", r"\text{odd } q"],
    )


def families(rng: random.Random) -> Case:
    n = rng.randint(2, 9)
    return Case(f"n={n}k", [f"{n}k", f"n = {n} k"], [str(n), f"n={n}", f"n={n + 1}k"])


def lists(rng: random.Random) -> Case:
    a, b, c = rng.sample(range(-20, 90), 3)
    right = [
        rf"{a} \\ {b} \\ {c}",
        f"{a}\n{b}\n{c}",
        rf"{c}, {a} \text{{ and }} {b}",
        rf"\{{{b},{a},{c}\}}",
        f"x={a}, x={b}, x={c}",
    ]
    return Case(f"{a}, {b}, {c}", right, [f"{a}, {b}", f"{a},{b},{c + 100}", f"{a},{b},{c},99", str(a)])


def assignments(rng: random.Random) -> Case:
    a, b = rng.sample(range(1, 30), 2)
    return Case(f"x={a}, y={b}", [f"y={b}, x={a}", f"(x,y)=({a},{b})"], [f"x={b}, y={a}", f"(x,y)=({b},{a})", f"x={a}"])


def plus_minus(rng: random.Random) -> Case:
    n = rng.randint(2, 3000)
    return Case(
        rf"\pm {n}", [f"{n}, -{n}", rf"-{n}\text{{ and }}{n}", rf"x=\pm{n}"], [str(n), f"-{n}", rf"\pm {n + 1}"]
    )


def damaged(rng: random.Random) -> Case:
    a, b = rng.randint(1, 9), rng.randint(2, 9)
    return Case(
        f"\x0crac{{{a}}}{{{b}}}",
        [rf"\frac{{{a}}}{{{b}}}", rf"\\frac{{{a}}}{{{b}}}", f"{a}/{b}"],
        [rf"\frac{{{a + 1}}}{{{b}}}"],
    )


def inequalities(rng: random.Random) -> Case:
    a = rng.randint(1, 50)
    b = a + rng.randint(1, 20)
    return Case(
        f"{a}<x\\le {b}",
        [f"({a},{b}]", f"{b}\\ge x>{a}"],
        [f"[{a},{b}]", f"({a},{b})", f"{a}\\le x\\le {b}", f"({a},{b + 1}]"],
    )


def chains(rng: random.Random) -> Case:
    n = rng.choice([2, 3, 5, 7])
    root = rf"2\sqrt{{{n}}}"
    right = [
        rf"{root} \approx {2 * n**0.5:.2f}",
        rf"x = {root} \approx {2 * n**0.5:.3f}",
        rf"\sqrt{{{4 * n}}} = {root}",
    ]
    return Case(root, right, [f"{2 * n**0.5:.2f}", rf"2\sqrt{{{n + 1}}} \approx {2 * n**0.5:.2f}"])


def spelled_numbers(rng: random.Random) -> Case:
    """Numbers in words with a sign, a scale or a part."""
    n = rng.randint(2, 9)
    word = "zero one two three four five six seven eight nine".split()[n]
    under, part = rng.choice(
        [(2, "halves"), (3, "thirds"), (4, "quarters"), (4, "fourths"), (5, "fifths"), (8, "eighths")]
    )
    fraction = rf"\frac{{{n}}}{{{under}}}"
    cases = [
        Case(f"-{n}", [f"negative {n}", f"minus {word}", rf"\text{{negative {word}}}"], [str(n), word]),
        Case(str(100 * n), [f"{word} hundred", f"{n} hundred"], [f"{word} thousand", word]),
        Case(fraction, [f"{word} {part}", rf"\text{{{word} {part}}}", f"{word}-{part}"], [f"{word} ninths", word]),
        Case(rf"{n}\%", [f"{word} percent", f"{n} per cent"], [f"{word} hundred", "eleven percent"]),
    ]
    return rng.choice(cases)


def currencies(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [f"USD {n}", rf"\text{{USD }}{n}", f"{n} USD", f"usd {n}.00"]
    return Case(rf"\${n}", right, [f"EUR {n}", f"USD {n + 1}", f"GBP {n}"])


def domains(rng: random.Random) -> Case:
    """A formula with the numbers that its variable stands for behind it, said by one side alone."""
    a, b, k = rng.randint(2, 9), rng.randint(1, 9), rng.choice("nkm")
    gold = f"{a}{k}^2+{b}"
    right = [rf"{gold}, {k}\in\mathbb{{N}}", rf"{gold}\ ({k}\in\mathbb{{Z}})", rf"{b}+{a}{k}^2,\ {k}\in\mathbb{{Z}}^+",
             rf"{gold}, {k}\neq 0", rf"{gold}\text{{ for some constant }}{k}",
             rf"{gold}, \text{{ where }} {k} \text{{ is a real number}}"]  # fmt: skip
    wrong = [rf"{a}{k}^2-{b}, {k}\in\mathbb{{N}}", rf"{a + 1}{k}^2+{b}\ ({k}\in\mathbb{{Z}})", rf"{a}{k}+{b}"]
    return Case(gold, right, wrong)


def rates(rng: random.Random) -> Case:
    n = rng.randint(2, 99)
    right = [f"{n} km/h", rf"{n}\text{{ km/h}}", f"{n} miles/hour", f"{n} m/s", rf"{n}\ \mathrm{{m/s}}"]
    return Case(str(n), right, [f"{n + 1} km/h", f"{n}/3", rf"{n}\cdot 3"])


def negative_exponents(rng: random.Random) -> Case:
    a, k = rng.randint(2, 9), rng.randint(2, 19)
    raised = str(k).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    right = [f"{a}×10^−{k}", f"{a}×10⁻{raised}", rf"{a}\cdot 10^-{k}", f"{a}e-{k}", rf"\frac{{{a}}}{{10^{{{k}}}}}"]
    return Case(rf"{a}\times 10^{{-{k}}}", right, [rf"{a}\times 10^{{{k}}}", rf"{a}\cdot10^-{k + 1}", f"-{a}"])


def floors(rng: random.Random) -> Case:
    n = rng.randint(2, 9)
    gold = rf"\lfloor x/{n}\rfloor"
    return Case(gold, [f"⌊x/{n}⌋", rf"\left\lfloor x/{n}\right\rfloor"], [])


def hours(rng: random.Random) -> Case:
    hour = rng.randint(1, 11)
    right = [f"{hour} PM", f"{hour}:00 p.m.", f"{hour + 12}:00", rf"{hour}\text{{ p.m.}}"]
    return Case(rf"{hour}:00\text{{ p.m.}}", right, [f"{hour} AM", f"{hour}:01 PM", f"{hour + 1} PM"])


def introductions(rng: random.Random) -> Case:
    n = rng.randint(10, 99)
    right = [rf"\text{{Therefore, }}{n}", rf"\text{{Thus }}{n}", f"Hence {n}", rf"\text{{Finally, }}x={n}"]
    return Case(str(n), right, [rf"\text{{Therefore, }}{n + 1}", rf"\text{{Thus not }}{n}", rf"\text{{Hence }}-{n}"])


def products_of_letters(rng: random.Random) -> Case:
    """Mm and mM are products, no millimetres."""
    n = rng.randint(2, 9)
    return Case(f"{n}Mm", [rf"{n}\cdot M\cdot m", f"{n} M m", f"{n}mM"], [f"{n}m^2", f"{n}M^2", f"{n + 1}Mm"])


def boxes_of_parts(rng: random.Random) -> Case:
    a, b = rng.sample(range(1, 99), 2)
    right = [
        rf"(a) \boxed{{{a}}} (b) \boxed{{{b}}}",
        rf"$\boxed{{{a}}}$ and $\boxed{{{b}}}$",
        rf"x=\boxed{{{a}}}, y=\boxed{{{b}}}",
        f"1. $\\boxed{{{a}}}$\n2. $\\boxed{{{b}}}$",
        rf"Part A: \boxed{{{a}}}, Part B: \boxed{{{b}}}",
    ]
    return Case(f"{a}, {b}", right, [rf"\boxed{{{a}}}", rf"(a) \boxed{{{a}}} (b) \boxed{{{b + 100}}}"], texts=True)


def money_lines(rng: random.Random) -> Case:
    a, b = rng.randint(20, 90), rng.randint(2, 19)
    right = [f"The answer is ${a}. She keeps ${b}.", f"The answer is ${a + b} - ${b} = ${a}.", f"The answer is ${a} per day.",  # noqa: E501
             f"The final answer is ${a}.00", f"**Answer:** ${a}"]  # fmt: skip
    wrong = [
        f"The answer is ${b}. She had ${a}.",
        f"The answer is ${a} - ${b} = ${a - b}.",
        f"The answer is ${a} to ${a + b}.",
    ]
    return Case(str(a), right, wrong, texts=True)


def answer_lines(rng: random.Random) -> Case:
    n = rng.randint(2, 900)
    right = [f"#### {n}", f"so\n#### {n}", f"Answer: `{n}`", f"The answer is {n} because it fits.", f"答案：{n}", f"Ответ: {n}",  # noqa: E501
             f"Respuesta: {n}", f"**Final Answer**\n\n{n}", f"ANSWER: {n}", f"The answer is: {n}", f"Answer: ${n}$",
             f"Die Antwort ist {n}.", f"La réponse est {n}.", f"The answer is equal to {n}.", f"The answer must be {n}.",  # noqa: E501
             f"The answer would be {n}.", f"The answer is {n}, since 3*7={n + 1}.", f"\\beginboxed{{{n}}}", f"\\\\boxed{{{n}}}",  # noqa: E501
             f"\x08oxed{{{n}}}"]  # fmt: skip
    wrong = [f"#### {n + 1}", f"ANSWER: 7{n}", f"The answer is {n + 1} because {n} is too small", f"The answer is not {n}",  # noqa: E501
             f"\\boxed{{{n}}} Wait, \\boxed{{", f"<answer>{n}</answer> or <answer>4", f"The answer is {n} or {n + 1}"]  # fmt: skip  # noqa: E501
    return Case(str(n), right, wrong, texts=True)


KINDS: dict[str, Make] = {
    make.__name__: make
    for make in (
        letters, percent, scales, squares, units, areas, money, thousands, mixed, repeating, superscripts, roots, clocks,  # noqa: E501
        ratios, factorials, double_factorials, scripts, bases, ellipses, recurrences, planes, circles, qualifiers,
        comparisons, parities, families, lists, assignments, plus_minus, spelled_numbers, currencies, domains,
        rates, negative_exponents, floors, hours, introductions, products_of_letters, damaged, inequalities, chains,
        boxes_of_parts, money_lines, answer_lines,
    )
}  # fmt: skip
