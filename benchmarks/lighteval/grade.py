"""Grade answers with lighteval's grader, in its own interpreter, one at a time.

Usage: python -P grade.py < rows > verdicts. A row is a line of JSON:
  {"kind": "math" | "choice", "gold": text, "text": answer without thoughts, "n_options": how many letters there are}
and each gives one line, in order, after a first line with versions:
  {"score": 0 or 1, "golds": [what it read as gold], "answers": [what it read as answer], "error": null or text}

Nothing of relift is imported, so that any environment with lighteval will do. The scoring functions are those that
lighteval 0.13.0 gives to its tasks aime24, aime25, math_500 (pass_at_k_math, avg_at_n_math) and gpqa, mmlu_pro
(gpqa_instruct_metric); each sees one response, because its averaged metrics drop the text from which it has removed
the thoughts (avg@n reads ModelResponse.text, not final_text).
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import sys
from typing import Any

MEMORY_BYTES = 8 << 30  # an answer may ask sympy for any amount of it


def make_scorers() -> dict[str, Any]:
    """Make lighteval's own scoring functions by kind of answer: (doc, model_response) -> 0.0 or 1.0."""
    from lighteval.metrics.metrics import Metrics

    return {
        "math": Metrics.pass_at_k_math.value.sample_level_fn.compute_score,
        "choice": Metrics.gpqa_instruct_metric.value.sample_level_fn.compute,
    }


def make_doc(row: dict[str, Any]) -> Any:
    """Make lighteval's document of one answer."""
    from lighteval.tasks.requests import Doc

    if row["kind"] == "choice":
        letters = [chr(ord("A") + i) for i in range(row["n_options"])]
        return Doc(query="", choices=letters, gold_index=letters.index(row["gold"]))
    return Doc(query="", choices=[row["gold"].strip()], gold_index=0)


def grade(row: dict[str, Any], scorers: dict[str, Any]) -> dict[str, Any]:
    """Grade one answer with lighteval; an exception becomes the row's error, for then it has no verdict."""
    from lighteval.models.model_output import ModelResponse

    doc = make_doc(row)
    try:
        score = int(scorers[row["kind"]](doc, ModelResponse(text=[row["text"].strip()])))
    except Exception as error:  # whatever stops their grader on an answer is what we have to report
        return {"score": None, "golds": [], "answers": [], "error": f"{type(error).__name__}: {error}"[:500]}
    seen = doc.specific or {}
    golds, answers = ([str(x)[:500] for x in seen.get(key, [])] for key in ("extracted_golds", "extracted_predictions"))
    return {"score": score, "golds": golds, "answers": answers, "error": None}


def main() -> None:
    """Grade the rows on standard input, a line of JSON each."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    os.environ["HF_HUB_OFFLINE"] = "1"
    out, sys.stdout = sys.stdout, sys.stderr  # whatever it prints is none of our lines
    logging.disable(logging.CRITICAL)
    scorers = make_scorers()
    names = ("lighteval", "math-verify", "latex2sympy2_extended", "sympy")
    versions = {d.name: d.version for d in importlib.metadata.distributions() if d.name in names}
    print(json.dumps({"versions": versions}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(grade(json.loads(line), scorers)), file=out, flush=True)


if __name__ == "__main__":
    main()
