"""Multiple choice, out of distribution for models trained on mathematics: MMLU-Pro, GPQA, ARC."""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

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
    layout="options",
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
    layout="correct_first",
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
    layout="labelled",
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
