"""Make components and updates of graded answers and of demonstrations: what the recipes are built from. Numpy only.

Axes: Q questions of the step, G attempts at each, S sequences that count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relift.learner.losses import distillation
from relift.learner.update import Component, Loss, Term, TrainSequence, Update
from relift.schema import UpdateKind
from relift.trainer.answers import Answers
from relift.trainer.demos import Demo
from relift.trainer.norms import Counts, Norm
from relift.trainer.recipe import RLPart, SFTPart, Teaching
from relift.trainer.step import Step

Place = tuple[int, int]  # (q, g) among the answers
MiniBatch = tuple[np.ndarray, Component | None]  # its questions [q], and what RL trains on; None: nothing


@dataclass(frozen=True)
class Groups:
    """The groups of a step: advantages of the attempts, and demonstrations, by q, that joined them with theirs."""

    advantage_QG: np.ndarray
    demos: Mapping[int, Demo]
    advantage_Q: np.ndarray  # of the demonstrations; 0 where there is none

    def joined(self, questions: Sequence[int]) -> list[tuple[int, Demo]]:
        """List the demonstrations that joined these groups."""
        return [(q, self.demos[q]) for q in questions if q in self.demos]


def reinforce(part: RLPart, step: Step, answers: Answers, *, groups: Groups | None = None) -> Iterator[Update]:
    """Make the RL updates of a step: `updates_per_batch` mini-batches of questions, in batch order.

    `groups`: advantages in place of those that the part makes of each question's attempts.
    """
    for _, component in rl_components(part, step, answers, groups=groups):
        if component is not None:
            yield Update(UpdateKind.rl, "rl", (component,))


def distill(
    part: RLPart,
    step: Step,
    answers: Answers,
    *,
    weight: float,
    rewarded: bool = False,
    weighed_QG: np.ndarray | None = None,
) -> Iterator[Update]:
    """Make the updates of a step from the teacher's log-probabilities.

    `rewarded`: beside the advantages of rewards; `weighed_QG`: bool, the attempts that the teacher weighs, None all.
    """
    n_Q, zero_QG = len(answers), np.zeros(answers.reward_QG.shape)
    groups = None if rewarded else Groups(zero_QG, {}, np.zeros(n_Q))
    teaching = Teaching(distillation(weight), step.score_teacher, weighed_QG)
    yield from reinforce(replace(part, teaching=teaching), step, answers, groups=groups)


def fine_tune(part: SFTPart, demos: Sequence[Demo]) -> Update:
    """Make one fine-tuning step on a batch of demonstrations."""
    return Update(UpdateKind.sft, part.optimizer, (sft_component(part, demos),))


def rl_components(
    part: RLPart,
    step: Step,
    answers: Answers,
    *,
    leave_out: Collection[int] = (),
    groups: Groups | None = None,
) -> list[MiniBatch]:
    """Lay out the RL components of a step's mini-batches, without the questions [q] in `leave_out`.

    Denominators count every decided attempt, also those of groups without signal, which skip the forward pass:
    their contribution is exactly 0 unless entropy, a KL or a distillation is weighted. Flat groups are left out
    *before* counting if the recipe says so (DAPO), and a mini-batch of flat groups alone is none. Attempts without a
    reward (undecided) are treated as never sampled; those masked for being cut off count in their group's mean and
    nowhere else. Old log-probabilities are scored for all mini-batches here, before the first update. The
    demonstrations of `groups` count in the denominators; they are trained on in a component of their own
    (joined_terms).
    """
    groups = groups or Groups(part.advantage(answers.reward_QG, answers.rewarded_QG), {}, np.zeros(len(answers)))
    advantage_QG = groups.advantage_QG
    drawn = []
    every_Q = [q for q in range(len(answers)) if q not in answers.surplus]
    counted = set(_counted(part, answers, groups, every_Q))
    # Split after the dropping, so that mini-batches are of one size however many groups have no signal.
    kept_Q = np.array([q for q in every_Q if q in counted or q in leave_out], np.int64)
    for questions in np.array_split(kept_Q, part.updates_per_batch):
        own = [int(q) for q in questions if int(q) not in leave_out]
        places = places_of(answers, own)
        if part.teaching is not None and part.teaching.alone and part.teaching.weighed_QG is not None:
            places = [place for place in places if part.teaching.weighed_QG[place]]
        drawn.append((questions, own, places))
    every = part.entropy_weight > 0 or part.kl is not None or part.teaching is not None
    trained = [(q, g) for _, _, places in drawn for q, g in places if every or advantage_QG[q, g] != 0]
    sequence_of = dict(zip(trained, _sequences(part, step, answers, advantage_QG, trained), strict=True))
    return [
        (questions, _rl_component(part, answers, places, sequence_of, groups.joined(own), n_questions=len(questions)))
        if own
        else (questions, None)
        for questions, own, places in drawn
    ]


def _counted(part: RLPart, answers: Answers, groups: Groups, questions: Sequence[int]) -> list[int]:
    """Leave out the groups that the recipe drops before counting: those without signal, whatever shaping makes of
    them. A demonstration that joined is one."""
    if not part.drop_flat_groups:
        return list(questions)
    signal_Q = groups.advantage_QG.any(axis=1) & answers.has_signal_Q
    return [q for q in questions if signal_Q[q] or (q in groups.demos and groups.advantage_QG[q].any())]


def places_of(answers: Answers, questions: Sequence[int]) -> list[Place]:
    """List the attempts at these questions whose tokens count."""
    return [(q, g) for q in questions for g in np.flatnonzero(answers.counted_QG[q]).tolist()]


def _sequences(
    part: RLPart, step: Step, answers: Answers, advantage_QG: np.ndarray, places: Sequence[Place]
) -> list[TrainSequence]:
    """Make what is trained on of the attempts at these places, with the columns that the losses need."""
    sequences = [_sequence(part, answers, float(advantage_QG[place]), place) for place in places]
    if part.updates_per_batch > 1:  # with one update the ratio is exactly 1
        sequences = _with(sequences, "old", step.score(sequences, part.temperature))
    if part.trains_given:
        sequences = _with_sampler_of_given(part, step, sequences)
    if part.kl is not None:
        sequences = _with(sequences, "reference", step.score_reference(sequences, part.temperature))
    if part.teaching is not None:
        sequences = _with(sequences, "teacher", part.teaching.score(sequences, part.temperature))
    return sequences


def _sequence(part: RLPart, answers: Answers, advantage: float, place: Place) -> TrainSequence:
    """Make what is trained on of one attempt: what it wrote, and before it what it was given where that is trained."""
    q, g = place
    answer, prompt_ids, given = answers.completions_QG[q][g], answers.prompt_ids_QG[q][g], answers.given_rows[q][g]
    if not (part.trains_given and given):
        advantage_T = np.full(len(answer.token_ids_T), advantage, np.float32)
        columns = {"advantage": advantage_T, "sampler": answer.logprobs_T}
        return TrainSequence(prompt_ids, answer.token_ids_T, columns, attempt=place)
    tokens_T = np.array([*given, *answer.token_ids_T], np.int32)
    given_T = (np.arange(len(tokens_T)) < len(given)).astype(np.float32)
    sampler_T = np.concatenate([np.zeros(len(given), np.float32), answer.logprobs_T]).astype(np.float32)
    columns = {"advantage": np.full(len(tokens_T), advantage, np.float32), "sampler": sampler_T, "given": given_T}
    return TrainSequence(prompt_ids[: len(prompt_ids) - len(given)], tokens_T, columns, attempt=place)


def _with_sampler_of_given(part: RLPart, step: Step, sequences: Sequence[TrainSequence]) -> list[TrainSequence]:
    """Fill in, for tokens that were given, the policy's own log-probability as the sampler's: nobody sampled them, and
    so no gap between sampler and learner is theirs."""
    made = [
        s if "given" in s.columns else s.with_column("given", np.zeros_like(s.columns["sampler"])) for s in sequences
    ]
    lacking = [s for s in made if s.columns["given"].any()]
    unscored = [s for s in lacking if "old" not in s.columns]
    scores = step.score(unscored, part.temperature) if unscored else []
    scored = dict(zip(map(id, unscored), scores, strict=True))
    filled = {
        id(s): np.where(
            s.columns["given"] > 0, s.columns["old"] if "old" in s.columns else scored[id(s)], s.columns["sampler"]
        )
        for s in lacking
    }
    return [s.with_column("sampler", filled[id(s)].astype(np.float32)) if id(s) in filled else s for s in made]


def _with(sequences: Sequence[TrainSequence], name: str, values: Sequence[np.ndarray]) -> list[TrainSequence]:
    return [s.with_column(name, values_T) for s, values_T in zip(sequences, values, strict=True)]


def _rl_component(
    part: RLPart,
    answers: Answers,
    places: Sequence[Place],
    sequence_of: Mapping[Place, TrainSequence],
    joined: Sequence[tuple[int, Demo]],
    *,
    n_questions: int,
) -> Component:
    counts = _counts(part, answers, places, joined, n_questions=n_questions)
    trained_S = np.array([place in sequence_of for place in places] + [False] * len(joined), bool)
    losses = [(part.loss, part.entropy_weight), *([(part.kl, 0.0)] if part.kl else [])]
    terms = terms_of(losses, part.norm, counts, trained_S, scale=part.scale)
    trained = [place for place in places if place in sequence_of]
    if part.teaching is not None:
        (term,) = terms_of([(part.teaching.loss, 0.0)], part.norm, counts, trained_S, scale=part.scale)
        terms = (*terms, _weighed(term, part.teaching, trained))
    return Component("rl", tuple(sequence_of[place] for place in trained), terms, part.temperature)


def _weighed(term: Term, teaching: Teaching, places: Sequence[Place]) -> Term:
    """Take the attempts that the teacher does not weigh out of its term: they count there, with a weight of 0."""
    if teaching.weighed_QG is None:
        return term
    own_S = np.array([teaching.weighed_QG[place] for place in places], np.float64)
    return replace(term, per_token_S=own_S if term.per_token_S is None else term.per_token_S * own_S)


def _counts(
    part: RLPart, answers: Answers, places: Sequence[Place], joined: Sequence[tuple[int, Demo]], *, n_questions: int
) -> Counts:
    """Count attempts, then the demonstrations that joined their groups."""
    given = answers.given_rows if part.trains_given else None
    lengths = [
        len(answers.completions_QG[q][g].token_ids_T) + (len(given[q][g]) if given is not None else 0)
        for q, g in places
    ]
    lengths += [len(demo.completion_ids_T) for _, demo in joined]
    group_S = np.array([q for q, _ in places] + [q for q, _ in joined], np.int64)
    return Counts(np.array(lengths, np.int64), group_S, n_questions, part.max_tokens)


def joined_terms(
    part: RLPart,
    answers: Answers,
    groups: Groups,
    *,
    questions: np.ndarray,
    trained: Collection[int],
    losses: Sequence[tuple[Loss, Norm, float]],
) -> tuple[Term, ...]:
    """Make the terms (loss, norm, scale) of demonstrations that joined the groups of a mini-batch.

    Their denominators count rollouts and demonstrations, as those of rl_components with the same groups do. `trained`:
    the questions [q] whose demonstration is trained on, in ascending order.
    """
    own = _counted(part, answers, groups, [int(q) for q in questions])
    joined = groups.joined(own)
    places = places_of(answers, own)
    counts = _counts(part, answers, places, joined, n_questions=len(questions))
    trained_S = np.array([False] * len(places) + [q in trained for q, _ in joined], bool)
    made = [terms_of([(loss, 0.0)], norm, counts, trained_S, scale=scale) for loss, norm, scale in losses]
    return tuple(term for terms in made for term in terms)


def join_groups(part: RLPart, step: Step, answers: Answers) -> Groups:
    """Let a demonstration of each question join its attempts as one more answer, a correct one."""
    found = {q: step.buffer.next_demo(int(ix)) for q, ix in enumerate(answers.question_ix_Q)}
    demos = {q: demo for q, demo in found.items() if demo is not None}
    n_Q = len(answers)
    there = np.array([q in demos for q in range(n_Q)], bool).reshape(n_Q, 1)
    reward = np.concatenate([answers.reward_QG, np.ones((n_Q, 1))], axis=1)
    advantage = part.advantage(reward, np.concatenate([answers.rewarded_QG, there], axis=1))
    return Groups(advantage[:, :-1], demos, advantage[:, -1])


def demo_sequence(demo: Demo, *, advantage: float = 1.0) -> TrainSequence:
    """Make what is trained on of a demonstration, at an advantage: 1 for a right answer of no group."""
    advantage_T = np.full(len(demo.completion_ids_T), advantage, np.float32)
    return TrainSequence(demo.prompt_ids, demo.completion_ids_T, {"advantage": advantage_T}, demo_id=demo.demo_id)


def kind_of(parts: Sequence[Component]) -> UpdateKind:
    """Name an update by what its components train on."""
    names = {part.name for part in parts}
    return UpdateKind.mixed if len(names) == 2 else UpdateKind.sft if "demo" in names else UpdateKind.rl


def terms_of(
    losses: Sequence[tuple[Loss, float]], norm: Norm, counts: Counts, trained_S: np.ndarray, *, scale: float
) -> tuple[Term, ...]:
    """Give each (loss, entropy weight) the average that these counts make."""
    denominator, per_token_S = norm(counts)
    per_token_S = None if per_token_S is None else per_token_S[trained_S]
    return tuple(Term(loss, denominator, per_token_S, scale, entropy_weight) for loss, entropy_weight in losses)


def sft_component(part: SFTPart, demos: Sequence[Demo], *, n_questions: int | None = None) -> Component:
    """Lay out the fine-tuning component of demonstrations. `n_questions`: questions of the update, those that RL
    trains on included; None: these."""
    sequences = [demo_sequence(demo) for demo in demos]
    counts = Counts(
        np.array([len(d.completion_ids_T) for d in demos], np.int64),
        np.array([d.question_ix for d in demos], np.int64),
        len({d.question_ix for d in demos}) if n_questions is None else n_questions,
        part.max_tokens,
    )
    losses = [(part.loss, part.entropy_weight)]
    terms = terms_of(losses, part.norm, counts, np.ones(len(demos), bool), scale=part.scale)
    return Component("demo", tuple(sequences), terms)
