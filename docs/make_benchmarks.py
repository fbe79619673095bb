"""Write docs/benchmarks.md from the tables in benchmarks/. With --check: fail if the file is not current."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from generated_page import keep_current

from relift.benchmarks import BENCHMARKS, GROUPS, PROTOCOLS, Benchmark, Protocol

TARGET = Path(__file__).with_name("benchmarks.md")

HEAD = """<!-- Written by docs/make_benchmarks.py from benchmarks/: do not edit, run `make schema`. -->
# Benchmarks and protocols

`relift eval --list` prints the table (`--json` for programs); `relift eval MODEL -b NAME,NAME` runs it
(docs/evaluation.md).

Adding a benchmark is a file in `benchmarks/tasks/` and a line in `benchmarks/table.py`
([add-a-benchmark.md](add-a-benchmark.md)); a protocol is a value in `benchmarks/protocols.py`. Nothing is bundled but
the embedded sets.

## What a load checks

A benchmark is the set of its (question, gold) pairs. A load refuses another number of questions than declared, rows
that cannot be read (each with its number), a label that is no option's, a gold answer without content, and contents
whose hash is not the declared one. The **content hash** is over question ids and published golds, sorted: it does not
depend on the file's format, its columns, the order of its rows, or on how often every row stands there; whole numbers
count as numbers (`142.0`, `0142`, `142`). A score is **pinned** if revision and content hash were declared and both
held, or, of a local copy, the hash. **The hub itself was not read for this table**: revisions are those that public
evaluation code pins, and content hashes come from copies; where neither was found, the table says so and scores say
*unpinned*. `relift eval --pin NAME` reads the newest revision, or a local copy, and prints the lines to declare.

**Local copies**: `--data FILE` or `--data DIR` with `NAME.jsonl`, `NAME.parquet`, or a folder `NAME` laid out like the
data set on the hub. Columns may have the published names or ours: `problem` or `question`, `answer`, `options`. ReLIFT
and LUFFY publish each AIME and AMC question 32 times; where every question stands equally often it is taken once, and
the load says so.

**Golds** are spelt as the grader reads them (docs/grading.md): `142.0` is `142`, `4.5e33` is `4.5\\times 10^{33}`,
a list of answers is `$a$, $b$`. Golds that are whole solutions (a box, `####`, 25 words and more) are refused unless
the benchmark's layout reduces them, as GSM8K's does. Repairs by hand and golds that no grader reads stand in the
benchmark's file, by question, with the reason.

**Multiple choice**: options are shown as lines `A) text`, the gold is a letter. GPQA publishes the right answer apart
from the wrong ones; its options are put in an order that a hash of the question decides, so that a question looks the
same in any run, order and company. ARC's labels 1 to 4 are shown as A to D.

**Overlap**: a question has the same id everywhere, so one that stands in two benchmarks is sampled once.
"""


def benchmarks_markdown() -> str:
    """Return the whole page."""
    parts = [HEAD, "## Benchmarks", table_of_benchmarks(), groups(), *map(entry, BENCHMARKS.values())]
    parts += ["## Protocols", PROTOCOLS_HEAD, table_of_protocols(), *map(protocol_entry, PROTOCOLS.values())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


PROTOCOLS_HEAD = """
`--protocol NAME` fixes prompt, template, sampling, attempts and grader, and is printed with every result. `--samples`
changes the number of attempts alone; any other change makes it `custom (from NAME)`. One-line instructions are settings
and stand here; lighteval's longer prompts are taken from the installed lighteval. Sampling fields that are not named
are off. Where a preset departs from its original, its notes say so. The embedded sets are asked with their problem and
nothing else, whatever the protocol.
"""


def table_of_benchmarks() -> str:
    """Write a row for each benchmark."""
    head = ("name", "title", "questions", "scorer", "k", "hub (config/split)", "revision", "content hash", "licence")
    rows = [
        (
            f"[{b.name}](#{b.name})",
            b.title + (" (out of distribution)" if b.out_of_distribution else ""),
            f"{b.rows:,}",
            b.answer_kind,
            str(b.samples),
            f"`{b.hub}` ({b.config}/{b.split})" if b.hub else f"embedded ({b.split})",
            "" if b.hub is None else f"`{b.revision[:8]}`" if b.revision else "unpinned",
            f"`{b.content_hash[:8]}`" if b.content_hash else "unpinned",
            (b.licence or "none") + (", gated" if b.gated else ""),
        )
        for b in BENCHMARKS.values()
    ]
    return _table(head, rows)


def groups() -> str:
    """List the names for several benchmarks at once."""
    lines = [f"- `{group}`: {', '.join(names)}" for group, names in GROUPS.items() if group != "all"]
    return "\n".join(["Names for several at once (`-b`), beside `all`:", "", *lines])


def entry(b: Benchmark) -> str:
    """Write the facts of one benchmark with their sources."""
    lines = [f"### {b.name}", "", f"{b.title}."]
    if b.columns:
        lines.append("Columns: " + ", ".join(f"{ours} from `{theirs}`" for ours, theirs in b.columns.items()) + ".")
    if b.revision:
        lines.append(f"Revision `{b.revision}`.")
    if b.content_hash:
        lines.append(f"Content hash `{b.content_hash}`.")
    lines += ["", *_bullets(b.sources)]
    if b.gold_repairs:
        lines += [f"- repaired: the gold of {q} is `{gold}`" for q, gold in b.gold_repairs.items()]
    if b.unreadable_golds:
        lines.append(f"- golds that nothing but the same text equals: {', '.join(b.unreadable_golds)}")
    return "\n".join([*lines, *_bullets(b.notes, "note: ")])


def table_of_protocols() -> str:
    """Write a row for each protocol."""
    head = ("preset", "template", "temperature", "top_p", "max tokens", "k", "grader")
    rows = [
        (
            f"[{p.name}](#{p.name})", p.template + (", system turn" if p.system else ""), f"{p.sampling.temperature:g}",
            f"{p.sampling.top_p:g}", f"{p.sampling.max_tokens:,}", _samples(p), p.grader,
        )
        for p in PROTOCOLS.values()
    ]  # fmt: skip
    return _table(head, rows)


def _samples(p: Protocol) -> str:
    """Write the attempts in few words: the most frequent number, and the benchmarks that have others."""
    if not p.samples:
        return "as the table above"
    numbers = list(p.samples.values())
    usual = max(set(numbers), key=numbers.count)
    others: dict[int, list[str]] = {}
    for name, k in p.samples.items():
        if k != usual:
            others.setdefault(k, []).append(name)
    return "; ".join([str(usual), *(f"{', '.join(names)}: {k}" for k, names in others.items())])


def protocol_entry(p: Protocol) -> str:
    """Write the prompts of one protocol with their sources."""
    lines = [f"### {p.name}", ""]
    if p.system:
        lines.append(f"- system turn: `{p.system}`")
    for kind, text in p.instruction.items():
        if text:
            place = p.layout.replace("\n", "⏎")
            lines.append(f"- {kind}: `{text.replace(chr(10), '⏎')}` in `{place}`")
    if p.wording:
        lines.append(f"- prompts: those of the installed {p.wording}")
    return "\n".join([*lines, *_bullets(p.sources), *_bullets(p.notes, "note: ")])


def _bullets(texts: Sequence[str], before: str = "") -> list[str]:
    return [f"- {before}{text.replace('<', '&lt;')}" for text in texts]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(keep_current(TARGET, benchmarks_markdown(), source="benchmarks/"))
