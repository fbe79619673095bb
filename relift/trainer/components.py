"""Make components and updates of graded answers and of demonstrations: what the recipes are built from. Numpy only.

Axes: Q questions of the step, G attempts at each, S sequences that count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from relift.learner.update import Component, Loss, Term, TrainSequence, Update
from relift.schema import UpdateKind
from relift.trainer.answers import Answers
from relift.trainer.demos import Demo
from relift.trainer.norms import Counts, Norm
from relift.trainer.recipe import RLPart, SFTPart
from relift.trainer.step import Step

Place = tuple[int, int]  # (q, g) among the answers
MiniBatch = tuple[np.ndarray, Component | None]  # its questions [q], and what RL trains on; None: nothing


def reinforce(part: RLPart, step: Step, answers: Answers) -> Iterator[Update]:
    """Make the RL updates of a step: `updates_per_batch` mini-batches of questions, in batch order."""
    for _, component in rl_components(part, step, answers):
        if component is not None:
            yield Update(UpdateKind.rl, "rl", (component,))


def fine_tune(part: SFTPart, demos: Sequence[Demo]) -> Update:
    """Make one fine-tuning step on a batch of demonstrations."""
    return Update(UpdateKind.sft, part.optimizer, (sft_component(part, demos),))


def rl_components(part: RLPart, step: Step, answers: Answers, *, leave_out: Collection[int] = ()) -> list[MiniBatch]:
    """Lay out the RL components of a step's mini-batches, without the questions [q] in `leave_out`.

    Denominators count every decided attempt, also those of groups without signal, which skip the forward pass:
    their contribution is exactly 0 unless entropy or a KL is weighted. Flat groups are left out *before* counting if
    the recipe says so (DAPO), and a mini-batch of flat groups alone is none. Undecided attempts are treated as never
    sampled. Old log-probabilities are scored for all mini-batches here, before the first update.
    """
    advantage_QG = part.advantage(answers.reward_QG, answers.decided_QG)
    drawn = []
    for questions in np.array_split(np.arange(len(answers.question_ix_Q)), part.updates_per_batch):
        own = [int(q) for q in questions if int(q) not in leave_out]
        if part.drop_flat_groups:
            own = [q for q in own if advantage_QG[q].any()]
        places = [(q, g) for q in own for g in np.flatnonzero(answers.decided_QG[q]).tolist()]
        drawn.append((questions, own, places))
    every = part.entropy_weight > 0 or part.kl is not None
    trained = [(q, g) for _, _, places in drawn for q, g in places if every or advantage_QG[q, g] != 0]
    sequence_of = dict(zip(trained, _sequences(part, step, answers, advantage_QG, trained), strict=True))
    return [
        (questions, _rl_component(part, answers, places, sequence_of, n_questions=len(questions)) if own else None)
        for questions, own, places in drawn
    ]


def _sequences(
    part: RLPart, step: Step, answers: Answers, advantage_QG: np.ndarray, places: Sequence[Place]
) -> list[TrainSequence]:
    """Make what is trained on of the attempts at these places, with the columns that the losses need."""
    sequences = []
    for q, g in places:
        answer = answers.completions_QG[q][g]
        advantage_T = np.full(len(answer.token_ids_T), advantage_QG[q, g], np.float32)
        columns = {"advantage": advantage_T, "sampler": answer.logprobs_T}
        sequences.append(TrainSequence(answers.prompt_ids_QG[q][g], answer.token_ids_T, columns, attempt=(q, g)))
    if part.updates_per_batch > 1:  # with one update the ratio is exactly 1
        sequences = _with(sequences, "old", step.score(sequences, part.temperature))
    if part.kl is not None:
        sequences = _with(sequences, "reference", step.score_reference(sequences, part.temperature))
    return sequences


def _with(sequences: Sequence[TrainSequence], name: str, values: Sequence[np.ndarray]) -> list[TrainSequence]:
    return [s.with_column(name, values_T) for s, values_T in zip(sequences, values, strict=True)]


def _rl_component(
    part: RLPart,
    answers: Answers,
    places: Sequence[Place],
    sequence_of: Mapping[Place, TrainSequence],
    *,
    n_questions: int,
) -> Component:
    counts = Counts(
        np.array([len(answers.completions_QG[q][g].token_ids_T) for q, g in places], np.int64),
        np.array([q for q, _ in places], np.int64),
        n_questions,
        part.max_tokens,
    )
    trained_S = np.array([place in sequence_of for place in places], bool)
    losses = [(part.loss, part.entropy_weight), *([(part.kl, 0.0)] if part.kl else [])]
    terms = _terms(losses, part.norm, counts, trained_S, scale=part.scale)
    sequences = tuple(sequence_of[place] for place in places if place in sequence_of)
    return Component("rl", sequences, terms, part.temperature)


def _terms(
    losses: Sequence[tuple[Loss, float]], norm: Norm, counts: Counts, trained_S: np.ndarray, *, scale: float
) -> tuple[Term, ...]:
    """Give each (loss, entropy weight) the average that these counts make."""
    denominator, per_token_S = norm(counts)
    per_token_S = None if per_token_S is None else per_token_S[trained_S]
    return tuple(Term(loss, denominator, per_token_S, scale, entropy_weight) for loss, entropy_weight in losses)


def sft_component(part: SFTPart, demos: Sequence[Demo], *, n_questions: int | None = None) -> Component:
    """Lay out the fine-tuning component of demonstrations. `n_questions`: questions of the update, those that RL
    trains on included; None: these."""
    sequences = []
    for d in demos:
        ones_T = np.ones(len(d.completion_ids_T), np.float32)  # a demonstration is right: advantage 1, as for LUFFY
        sequences.append(TrainSequence(d.prompt_ids, d.completion_ids_T, {"advantage": ones_T}, demo_id=d.demo_id))
    counts = Counts(
        np.array([len(d.completion_ids_T) for d in demos], np.int64),
        np.array([d.question_ix for d in demos], np.int64),
        len({d.question_ix for d in demos}) if n_questions is None else n_questions,
        part.max_tokens,
    )
    losses = [(part.loss, part.entropy_weight)]
    terms = _terms(losses, part.norm, counts, np.ones(len(demos), bool), scale=part.scale)
    return Component("demo", tuple(sequences), terms)
