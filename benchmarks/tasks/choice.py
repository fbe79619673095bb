"""Declare multiple choice sets, out of distribution for models trained on mathematics: MMLU-Pro, GPQA, ARC.

Rows, made up. MMLU-Pro: {"question": "Which is even?", "options": ["1", "2", "3"], "answer": "B", "category": "math"}.
GPQA: {"Question": "Which is even?", "Correct Answer": "2", "Incorrect Answer 1": "1", "Incorrect Answer 2": "3",
"Incorrect Answer 3": "5"}. ARC: {"question": "Which is even?", "choices": {"text": ["1", "2"], "label": ["A", "B"]},
"answerKey": "B"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase

from relift.benchmarks.benchmark import Benchmark
from relift.benchmarks.layouts import Columns, Row, options_layout
from relift.data.files import Reshape

CORRECT = "Correct Answer"  # the columns of GPQA
INCORRECT = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def labelled_layout(columns: Columns) -> Reshape:
    """Read a column with parallel lists `text` and `label`; the gold names a label, which may be 1 to 5 (ARC)."""
    choices, answer = columns["options"], columns["answer"]

    def apply(row: Row) -> Row:
        given = row.get(choices)
        if not isinstance(given, Mapping):
            return row  # a local copy with our columns
        labels, texts = [str(label).strip() for label in given["label"]], list(given["text"])
        key = str(row.get(answer)).strip()
        if len(labels) != len(texts) or labels.count(key) != 1:
            raise ValueError(f"{answer} {key!r} is none of the labels {', '.join(labels)}")
        return {**row, choices: texts, answer: ascii_uppercase[labels.index(key)]}

    return Reshape((choices, answer), apply)


def correct_first_layout(columns: Columns) -> Reshape:
    """Read a column with the right answer and three with wrong ones (GPQA).

    They become options with the right one first, to be permuted once the question has its id (`permute_options`).
    """

    def apply(row: Row) -> Row:
        if CORRECT not in row:
            return row
        texts = [row.get(name) for name in (CORRECT, *INCORRECT)]
        return {**row, "options": [t.strip() if isinstance(t, str) else t for t in texts], "answer": "A"}

    return Reshape((CORRECT, *INCORRECT), apply)


MMLU_PRO = Benchmark(
    name="mmlu_pro",
    title="MMLU-Pro",
    answer_kind="choice",
    rows=12_032,
    hub="TIGER-Lab/MMLU-Pro",
    config="default",
    split="test",
    revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
    columns={"problem": "question", "answer": "answer", "options": "options", "subject": "category"},
    layout=options_layout,
    licence="MIT",
    out_of_distribution=True,
    samples=1,
    sources=(
        "id, split, columns: lighteval 3fd1526, src/lighteval/tasks/tasks/mmlu_pro.py; licence: the card; 12,032 rows: "
        "public evaluation code",
        "revision: ai-dynamo/aiperf 9e859f6, src/aiperf/accuracy/worker.py; the hub was not read",
        "samples: ours; the ReLIFT paper does not say",
    ),
    notes=(
        "up to ten options, letters A to J",
        "lighteval pins 3373e0b32277875b8db2aa555a333b78a08477ea; scitix/sieval 61feafc pins 54611cde and says that "
        "the rows have not changed since",
        "the ReLIFT paper does not say how it put these questions: its MMLU-Pro numbers cannot be reproduced knowingly",
    ),
)

GPQA_DIAMOND = Benchmark(
    name="gpqa_diamond",
    title="GPQA diamond",
    answer_kind="choice",
    rows=198,
    hub="Idavidrein/gpqa",
    config="gpqa_diamond",
    split="train",
    revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd",
    columns={"problem": "Question"},
    layout=correct_first_layout,
    permute_options=True,
    licence="CC-BY-4.0",
    gated=True,
    out_of_distribution=True,
    samples=1,
    sources=(
        "id, split, columns: lighteval 3fd1526, src/lighteval/tasks/tasks/gpqa.py; 198 rows, licence, gate: the card",
        "revision: ai-dynamo/aiperf 9e859f6, src/aiperf/accuracy/worker.py; the hub was not read",
        "samples: pass@1 of LUFFY 01f4ae0",
    ),
    notes=(
        "its authors ask not to publish it in plain text",
        "options are put in an order that depends on the question alone; lighteval's depends on what was drawn before",
        "LUFFY's prompt asks for `ANSWER: C`, in which math-verify finds nothing: hence the scores below chance",
    ),
)

ARC_C = Benchmark(
    name="arc_c",
    title="ARC-Challenge",
    answer_kind="choice",
    rows=1_172,
    hub="allenai/ai2_arc",
    config="ARC-Challenge",
    split="test",
    revision="210d026faf9955653af8916fad021475a3f00453",
    columns={"problem": "question", "options": "choices", "answer": "answerKey"},
    layout=labelled_layout,
    licence="CC-BY-SA-4.0",
    out_of_distribution=True,
    samples=1,
    sources=(
        "id, split, columns: scitix/sieval 8a357e5, sieval/datasets/_arc.py; 1,172 rows: LUFFY 01f4ae0, "
        "data/valid.arc_c.parquet; licence: public evaluation code",
        "revision: scitix/sieval 8a357e5, sieval/datasets/_arc.py; the hub was not read",
        "samples: pass@1 of LUFFY 01f4ae0",
    ),
    notes=("some rows label their options 1 to 4: they are shown as A to D",),
)

TASKS = (MMLU_PRO, GPQA_DIAMOND, ARC_C)
