"""Explain the words of the pages in a sentence each; shown as help beside the words, and together on page Data."""

from __future__ import annotations

TERMS = {
    "probe": "A fixed set of questions, answered several times at fixed steps, step 0 included. Training does not see "
    "these answers.",
    "draw": "One independent set of answers to all probed questions at a step. Step 0 has two, so that one can sort "
    "the questions into bands and the other can measure them.",
    "band": "Questions by the share of the base model's answers (draw 0) that are correct: Hardest none, then Hard, "
    "Medium, Easy.",
    "reach": "Within: too often correct for luck. Beyond: never correct, in so many attempts that luck cannot explain "
    "it. Undetermined: all others, as most are after few attempts.",
    "class": "One question's course in one run. Gained, lost: its rate at the last probe differs from step 0 "
    "with a probability of .95. Stuck: no answer ever correct. Always: nearly all correct all along. Flicker: varies "
    "more between probes than chance. Steady: the rest.",
    "expected": "The number that chance alone gives: the same correct answers, dealt at random among the probes or "
    "runs.",
    "excess": "Observed less expected, in points; grey where its interval holds 0.",
    "gained": "On Compare: not correct at step 0, correct at the end by the rule chosen. On Questions: its class.",
    "lost": "On Compare: correct at step 0, not at the end, by the rule chosen. On Questions: its class.",
    "population": "Accuracies are compared on the same questions only. Figures over steps therefore leave out "
    "questions that some run was not asked at some step.",
    "interval": "95 %: over questions like these. One training run each: how much another seed would change is not "
    "in it.",
    "seeds": "Training runs of one recipe and configuration that differ in their seed alone. The interval between "
    "seeds (95 %, Student's t) says where the mean of other seeds would lie; the one over questions does not.",
    "detectable": "The true difference that would be found with a probability of .8 on so many questions.",
    "pass@k": "The probability that at least one of k answers is correct, estimated without bias from all answers.",
    "compression": "Bytes of a text by those it compresses to. Prose has 1 to 2, a loop many more.",
    "undecided": "The grader could not judge the answer. It counts neither as correct nor as wrong.",
    "cut off": "The answer reached the limit of tokens before it ended.",
}
