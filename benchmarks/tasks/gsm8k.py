"""Declare GSM8K: word problems of primary school, each with a worked solution that ends with its number.

A row, made up: {"question": "Ann has 3 boxes of 4 pens and gives 2 pens away. How many are left?", "answer": "She has
3 * 4 = <<3*4=12>>12 pens.\\nAfter giving 2 away 12 - 2 = <<12-2=10>>10 are left.\\n#### 10"}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark
from relift.benchmarks.layouts import Columns, Row
from relift.data.files import Reshape


def final_number_layout(columns: Columns) -> Reshape:
    """Reduce a worked solution to the number behind its last `####`, without thousands separators."""
    answer = columns["answer"]

    def apply(row: Row) -> Row:
        text = row.get(answer)
        if not isinstance(text, str) or "####" not in text:
            return row  # a copy that holds the number alone; a solution without its mark is refused by the load
        return {**row, answer: text.rpartition("####")[2].strip().replace(",", "")}

    return Reshape((answer,), apply)


GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    answer_kind="math",
    rows=1_319,
    hub="openai/gsm8k",
    config="main",
    split="test",
    revision="740312add88f781978c0658806c59bc2815b9866",
    columns={"problem": "question", "answer": "answer"},
    layout=final_number_layout,
    licence="MIT",
    samples=1,
    sources=(
        "id, config, columns, licence: scitix/sieval 3926cda, sieval/datasets/gsm8k.py; split: public evaluation code; "
        "1,319 rows: the cards of copies (InfiniAILab/gsm8k, alterego238/gsm8k)",
        "revision: the same file of scitix/sieval; the hub was not read",
        "samples: ours; the set is large",
    ),
    notes=("golds are whole solutions: the number behind #### is taken",),
)

TASKS = (GSM8K,)
