"""Define the words of the analysis, each once: captions, tables and pages quote these sentences."""

from __future__ import annotations

from collections.abc import Sequence

DEFINITIONS = {
    "probe": "the same questions asked again at a fixed training step",
    "draw": "one of several independent sets of attempts at the same questions and step",
    "band": "the questions that the base model solved about as often, by draw 0 of its step 0",
    "expected without learning": "the number that a model which never changes shows by chance",
    "gained": "more often correct at the last probe than at step 0, with 95 % posterior probability",
    "lost": "less often correct at the last probe than at step 0, with 95 % posterior probability",
    "stuck": "no correct attempt at any probe",
    "always": "neither gained nor lost, and Easy by the attempts of all probes together",
    "flicker": "none of these, and counts that vary more between probes than 95 % of random dealings of the attempts",
    "steady": "none of these",
    "newly solved": "no correct attempt at step 0, at least one at the last probe (draw 0 of both)",
    "no longer solved": "at least one correct attempt at step 0, none at the last probe (draw 0 of both)",
    "acquired": "no correct attempt at the probe before, at least one at this one",
    "dropped": "at least one correct attempt at the probe before, none at this one",
    "mastered": "Easy by the attempts of one probe",
    "within reach": "so many correct attempts that a rate at the limit would give them at most once in twenty",
    "beyond reach": "never solved, in so many attempts that a rate at the limit solves it with 95 % probability",
    "undetermined": "too few attempts to call it within or beyond reach",
    "frozen control": "a run that was probed like the others and never trained: whatever it shows is chance",
}


def define(words: Sequence[str]) -> str:
    """Write the definitions of these words as one line: "Gained: ...; lost: ...". KeyError for an unknown word."""
    text = "; ".join(f"{word}: {DEFINITIONS[word]}" for word in words)
    return text[:1].upper() + text[1:]
