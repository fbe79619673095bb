"""Answers that hang, eat memory or try to run something: what hung math-verify for ten seconds and more when it was
tried, and what the issues of other projects tell of (docs/grading.md)."""

from __future__ import annotations

import random

MARK = "RELIFT_MARK"  # payloads try to make a file of this name

HOSTILE = [
    "9^{9^{9^9}}", "7^{10^7}", "1000000!", "100000000!", r"\binom{1000000}{500000}", "99999^{99999999}",
    r"\int_0^1 \frac{\sin x}{x^{x}} dx", r"\sum_{n=1}^{1000000} \frac{1}{n^2}",
    r"\prod_{n=1}^{100000} (1+\frac{1}{n^2})",
    "(x+y+z)^{200}", "+".join(rf"\sin({n}x)\cos({n}y)" for n in range(60)), "(" * 30 + "x" + ")" * 30,
    "(" * 2_000 + "x" + ")" * 2_000, "{" * 3_000, r"\boxed{" * 500, r"\[" * 5_000, "$" * 4_000,
    r"\cup".join(f"({n},{n + 1})" for n in range(200)), ",".join(map(str, range(1_000))),
    r"\begin{pmatrix}" + r"\\".join("&".join(f"a_{{{i}{j}}}" for j in range(8)) for i in range(8)) + r"\end{pmatrix}",
    r"\begin{pmatrix}" + r"\\".join("&".join("1" for _ in range(50)) for _ in range(50)) + r"\end{pmatrix}",
    "-" * 3_000 + "1", r"\sqrt{" * 60 + "2" + "}" * 60, r"\frac{1}{1+" * 18 + "x" + "}" * 18,
    r"\frac{1}{1+" * 50 + "2" + "}" * 50, "1" * 100_000, "x" * 100_000, "1+" * 2_000 + "1", "x^" * 500 + "x",
    r"\lim_{x\to 0} \frac{\sin(x^{50})}{x^{50}}", "|" * 1_001, "=" * 1_000, "x=" * 500 + "1", "<" * 500,
    r"\frac" * 1_000, r"\sqrt" * 1_000, "_" * 1_000, "^" * 1_000, r"\left(" * 1_000, "&" * 1_000, "\\" * 4_001,
    "2^{2^{2^{2^{2^2}}}}", r"10^{10^{10}}!", r"\log_{2}(\log_{2}(" * 40, "0^{0^{0}}", r"\frac{0}{0}", r"\frac{1}{0}",
    r"\infty - \infty", r"\tan(\frac{\pi}{2})", "i^{i^{i^{i}}}", "1e999999", "1.5e-999999", "0." + "0" * 4_000 + "1",
    "\x00\x01\x02", "\ud800", "\u202e55\u202c", "\u0665\u0665", "\U0001d7d8" * 50, r"\text{" * 100 + "a" + "}" * 100,
    "()" * 1_000,
]  # fmt: skip

PAYLOADS = [
    form % call
    for call in (
        f"__import__('os').system('touch {MARK}')",
        f"open('{MARK}','w').close()",
        f"exec(\"open('{MARK}','w')\")",
        f"().__class__.__bases__[0].__subclasses__() or open('{MARK}','w')",
        f"lambda: open('{MARK}', 'w')",
        f"import os; os.mknod('{MARK}')",
        f"eval(compile('open(\\'{MARK}\\',\\'w\\')','','exec'))",
        f"Symbol('x').__init__.__globals__['__builtins__']['open']('{MARK}','w')",
    )
    for form in ("%s", "1+(%s)", r"\text{%s}", "$%s$", r"\operatorname{%s}(1)")
]

# What hung the process itself before every number had a bound (mpmath asks for as many bits as an argument is large),
# and texts over which patterns took quadratic time
BOMBS = [
    r"\sin(\exp(\exp(20)))", r"\tan(\exp(\exp(14)))", r"\sinh(\exp(20))", r"\exp(\exp(\exp(\exp(2.9))))",
    r"\exp(-\exp(\exp(\exp(3.1))))", r"e^{\exp(\exp(\exp(2.9)))}", r"\sin(\exp(\exp(x+20)))", r"\sqrt{\exp(\exp(22))}",
    r"\sqrt[3]{\exp(\exp(20))}", r"\sqrt[10000]{\exp(\exp(15))}", r"\cos(10^{9999})", r"\log_{1.0000001}(9^{9999})",
    r"(1+i)^{19999}", r"((((2^{99})^{99})^{99})^{99})", r"\sum_{k=1}^{9999999} k^k", r"\prod_{k=1}^{199} k!^{k}",
    r"\sum_{a=1}^{199} \sum_{b=1}^{199} \sum_{c=1}^{199} a^b", r"\binom{5000}{2500}^{99}", r"5000!^{99}", "4999!!",
    "f(x)^" + " " * 4_000 + "y", "1" * 200 + " " * 3_000 + "choose", "option" + " " * 4_000 + "1", r"\text{" * 800,
]  # fmt: skip


def generated(n: int, seed: int = 0) -> list[str]:
    """Hostile contents of boxes made from pieces: towers, long products, deep nesting, pumped pieces, odd signs."""
    rng = random.Random(seed)
    made: list[str] = []
    while len(made) < n:
        a, b, k = rng.randint(2, 9_999), rng.randint(2, 9_999), rng.randint(20, 400)
        deep = rng.randint(3, 14)
        function = rng.choice([r"\exp", r"\sin", r"\sinh", r"\ln", r"\sqrt", r"\tan", r"\arctan"])
        piece = rng.choice(["(", "{", r"\frac", "x^", "!", "$", ",", "^{", "1 ", "|", r"\left(", r"\text{", "\u2079"])
        made.append(
            rng.choice(
                [
                    (function + "(") * deep + str(a) + ")" * deep,
                    "^".join(["{" + str(b)] * deep) + "}" * deep,
                    rf"({a}^{{{b}}})!" + "!" * rng.randint(0, 3),
                    "+".join([rf"\frac{{1}}{{{a}^{{{rng.randint(100, 9_000)}}}}}"] * rng.randint(10, 80)),
                    r"\cdot ".join([rf"{rng.randint(900, 4_999)}!"] * rng.randint(5, 60)),
                    rf"\sum_{{k=1}}^{{{a}}} \prod_{{j=1}}^{{{b}}} {function}(k^j)",
                    piece * k * 8,
                    f"{a}" + piece * k + f"{b}",
                    rf"{function}" * k + "{x}",
                    f"{a}^" + " " * k * 8 + f"{b}",
                    ",".join(rf"{function}({rng.randint(1, 99)}x)" for _ in range(deep * 6)),
                    rf"x^{{{a}}}" + rf"+{function}(x^{{{b}}})" * deep,
                ]
            )
        )
    return made
