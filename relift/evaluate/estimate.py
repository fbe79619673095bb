"""`relift eval --plan`: what an evaluation would cost and could detect, before anything is spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from relift.evaluate.plan import Plan
from relift.stats import minimum_detectable_difference


@dataclass(frozen=True)
class Estimate:
    """A benchmark before it is run. Tokens count its own questions, shared ones too; of the answers the most there
    can be. `detectable`: least true difference between two models that is found with 80 % probability, in points."""

    benchmark: str
    questions: int
    samples: int
    answers: int
    prompt_tokens: int
    most_answer_tokens: int
    detectable: float


def estimates(plan: Plan) -> list[Estimate]:
    """One for each benchmark."""
    found = []
    for task in plan.tasks:
        n = len(task.question_ids)
        prompt = sum(len(plan.prompts[q].token_ids) for q in task.question_ids)
        answers = n * task.samples
        detectable = float(minimum_detectable_difference(n, task.samples))
        found.append(
            Estimate(
                task.name, n, task.samples, answers, prompt * task.samples, answers * plan.sampling.max_tokens,
                round(100 * detectable, 1),
            )
        )  # fmt: skip
    return found


def plan_values(plan: Plan, *, model: str, tokens_per_second: float | None) -> dict[str, Any]:
    """The plan for programs. `most_hours` is null without a rate."""
    most = plan.n_answers * plan.sampling.max_tokens
    return {
        "model": model,
        "protocol": plan.protocol.name,
        "benchmarks": [asdict(each) for each in estimates(plan)],
        "answers": plan.n_answers,
        "most_answer_tokens": most,
        "most_hours": round(most / tokens_per_second / 3600, 2) if tokens_per_second else None,
    }


def print_plan(plan: Plan, *, model: str, tokens_per_second: float | None) -> None:
    """The plan as a table on standard output."""
    console = Console(width=100, color_system=None)
    values = plan_values(plan, model=model, tokens_per_second=tokens_per_second)
    console.print(
        f"{model}, protocol {plan.protocol.name}; nothing is run", markup=False, highlight=False, soft_wrap=True
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("benchmark", "questions", "samples", "answers", "prompt tokens", "answer tokens", "detects"):
        table.add_column(name, justify="left" if name == "benchmark" else "right")
    for each in estimates(plan):
        table.add_row(
            each.benchmark, f"{each.questions:,}", str(each.samples), f"{each.answers:,}", f"{each.prompt_tokens:,}",
            f"{each.most_answer_tokens:,}", f"{each.detectable:.1f} points",
        )  # fmt: skip
    console.print(table)
    hours = values["most_hours"]
    rate = f", at {tokens_per_second:,.0f} tokens/s {hours:,.1f} hours at most" if hours is not None else ""
    lines = [
        "answer tokens: the most there can be.",
        f"{values['answers']:,} answers, {values['most_answer_tokens']:,} tokens at most{rate}.",
        "detects: least difference between two models on these questions that is found 4 times of 5.",
    ]
    if hours is None:
        lines.append("Give --rate TOKENS_PER_SECOND for hours; a finished run.json has tokens and seconds in totals.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
