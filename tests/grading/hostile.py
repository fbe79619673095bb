"""Answers that hang, eat memory or try to run something: what hung math-verify for ten seconds and more when it was
tried, and what the issues of other projects tell of (docs/grading.md)."""

from __future__ import annotations

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
