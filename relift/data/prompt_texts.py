"""Find the question in a prompt of somebody else's: the last user turn, without the instruction around it.

A question's id is a hash of its text, so the same question must come out whatever instruction it was asked under.
Instructions that are known are cut off where they stand whole, at the very beginning or end; nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Beginnings and ends of prompts as published, each with its source. Longer ones come first where one ends in another.
BEGINNINGS = (
    # DAPO-Math-17k (BytedTsinghua-SIA)
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.",
    # lighteval 0.13, tasks aime24 and aime25; math_500 has "problem" without "math"
    "Solve the following math problem. Think step by step before answering.",
    "Solve the following problem. Think step by step before answering.",
)
ENDS = (
    'Remember to put your answer on its own line after "Answer:".',  # DAPO-Math-17k
    "Let's think step by step and output the final answer within \\boxed{}.",  # verl examples/data_preprocess
    'Let\'s think step by step and output the final answer after "####".',  # verl, gsm8k
    "Please reason step by step, and put your final answer within \\boxed{}.",  # Qwen2.5-Math
    "You FIRST think about the reasoning process as an internal monologue and then provide the final answer.",  # verl
)


def bare_problem(text: str, instructions: Sequence[str] = ()) -> str:
    """Cut known instructions, and those given, off both ends of a prompt's text."""
    rest = text.strip()
    for beginning in (*instructions, *BEGINNINGS):
        rest = rest.removeprefix(beginning).strip() if beginning else rest
    for end in (*instructions, *ENDS):
        rest = rest.removesuffix(end).strip() if end else rest
    return rest or text.strip()


def last_turn(prompt: Any, role: str) -> str | None:
    """Find the text of the last turn of this role in a list of turns ({role, content}); None where there is none.

    Content in parts gives its texts, joined by line ends.
    """
    if not isinstance(prompt, Sequence) or isinstance(prompt, str):
        return None
    for turn in reversed(prompt):
        if isinstance(turn, Mapping) and turn.get("role") == role:
            return text_of(turn.get("content"))
    return None


def text_of(content: Any) -> str | None:
    """Read the text of a turn's content: a text, or parts of which some hold a text; None where there is none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    return "\n".join(texts) if texts else None
