"""The learner's gradient against autograd of the plain formula on transformers' own logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.losses import k3_kl, ppo_clip, ratio, sft
from relift.learner.optim import OptimizerSpec
from relift.learner.update import Component, Term, TrainSequence, Update
from relift.schema import UpdateKind
from tests.engines.families import tiny_family
from tests.learner.tiny import (
    ARCHITECTURES,
    component,
    constant,
    gradients,
    relative_difference,
    some_sequences,
    tiny_model,
)

PLAIN = {"rl": OptimizerSpec(lr=1e-2)}


def rl_update(sequences: tuple[TrainSequence, ...], **options: Any) -> Update:
    n = float(sum(len(s.completion_ids_T) for s in sequences))
    part = component("rl", sequences, ppo_clip(0.2, 0.28, dual=3.0), n, **options)
    return Update(UpdateKind.rl, "rl", (part,))


def full_logprobs(model: Any, sequence: TrainSequence, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability, entropy) of the completion, from the model's own logits of this one sequence."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.completion_ids_T.tolist()]])
    logits = model(input_ids=ids).logits[0, len(sequence.prompt_ids) - 1 : -1] / temperature
    logprobs = torch.log_softmax(logits, -1)
    chosen = logprobs.gather(1, ids[0, len(sequence.prompt_ids) :, None])[:, 0]
    return chosen, -(logprobs.exp() * logprobs).sum(-1)


def plain_gradient(model: Any, update: Update) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient by autograd, one sequence after the other, nothing packed."""
    loss = torch.zeros(())
    for each in update.components:
        (term,) = each.terms
        for s in each.sequences:
            logprob, entropy = full_logprobs(model, s, each.temperature)
            a = float(s.columns["advantage"][0])
            old = torch.from_numpy(s.columns["old"]) if "old" in s.columns else logprob.detach()
            r = torch.exp(logprob - old)
            if term.loss.name == "sft":
                objective = logprob
            else:
                objective = torch.minimum(r * a, r.clamp(0.8, 1.28) * a)
                objective = torch.maximum(objective, torch.tensor(3.0 * a)) if a < 0 else objective
            weight = 1.0 if term.per_token_S is None else 1 / len(logprob)
            total = term.scale * objective + term.entropy_weight * entropy
            loss = loss - weight * total.sum() / term.denominator
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_gradient_is_autograds(architecture: str, tied: bool) -> None:  # noqa: FBT001
    sequences = some_sequences()
    demos = some_sequences(4, seed=1, old=False)
    update = Update(
        UpdateKind.mixed,
        "rl",
        (
            component(
                "rl", sequences, ppo_clip(0.2, 0.28, dual=3.0), 77.0, scale=0.5, entropy_weight=0.01, temperature=0.7
            ),
            component("demo", demos, sft(), 31.0, entropy_weight=0.1),
        ),
    )
    loss, expected = plain_gradient(tiny_model(architecture, tied=tied), update)
    learner = Learner(tiny_model(architecture, tied=tied), PLAIN)
    learner.forward_backward(update)
    assert relative_difference(gradients(learner), expected) < 1e-6
    stats = learner.optim_step("rl")
    assert stats.loss == pytest.approx(loss, rel=1e-5)
    norm = np.sqrt(sum(g.double().square().sum().item() for g in expected.values()))
    assert stats.grad_norm == pytest.approx(norm, rel=1e-5)
    assert (stats.n_sequences, stats.skipped) == (13, False)


@pytest.mark.parametrize("token_budget", [25, 1000])
def test_shared_prompts_change_nothing(token_budget: int) -> None:
    """Three groups of answers to three prompts, one of them of a single token: each prompt runs once."""
    prompts = [s.prompt_ids for s in some_sequences(3, seed=4)]
    answers = some_sequences(12, seed=5)
    sequences = tuple(replace(s, prompt_ids=prompts[n % 3]) for n, s in enumerate(answers))
    update = rl_update(sequences, entropy_weight=0.01)
    loss, expected = plain_gradient(tiny_model(), update)
    learner = Learner(tiny_model(), PLAIN, token_budget=token_budget)
    tokens: list[int] = []
    learner.model.model.norm.register_forward_hook(lambda _, inputs, output: tokens.append(output.shape[1]))
    learner.forward_backward(update)
    assert relative_difference(gradients(learner), expected) < 1e-6
    assert learner.optim_step("rl").loss == pytest.approx(loss, rel=1e-5)
    if token_budget == 1000:
        assert tokens == [sum(map(len, prompts)) + sum(len(s.completion_ids_T) - 1 for s in sequences)]


def test_scores_are_the_models_own_and_float32() -> None:
    model, sequences = tiny_model("qwen3"), some_sequences()
    expected = [full_logprobs(model, s, 1.3)[0].detach().numpy() for s in sequences]
    scores = Learner(model, PLAIN, token_budget=30).score(sequences, temperature=1.3)
    for got, want in zip(scores, expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert Learner(tiny_model(), PLAIN).score([]) == []


def test_scores_skip_nothing_and_keep_order() -> None:
    """A sequence without a completion has an empty score in its place."""
    empty = TrainSequence((1, 2), np.zeros(0, np.int32))
    first, last = some_sequences(2)
    learner = Learner(tiny_model(), PLAIN)
    scores = learner.score([first, empty, last])
    assert [len(s) for s in scores] == [len(first.completion_ids_T), 0, len(last.completion_ids_T)]
    np.testing.assert_allclose(scores[2], learner.score([last])[0], atol=1e-5)


def test_sft_loss_and_gradient_are_transformers_own() -> None:
    """ForCausalLMLoss on right-padded rows with num_items_in_batch, prompts masked out by label -100."""
    sequences = some_sequences(old=False)
    n_tokens = sum(len(s.completion_ids_T) for s in sequences)
    longest = max(len(s.prompt_ids) + len(s.completion_ids_T) for s in sequences)
    ids, mask = torch.zeros(len(sequences), longest, dtype=torch.long), torch.zeros(len(sequences), longest)
    labels = torch.full_like(ids, -100)
    for row, s in enumerate(sequences):
        p, n = len(s.prompt_ids), len(s.prompt_ids) + len(s.completion_ids_T)
        ids[row, :n] = torch.tensor([*s.prompt_ids, *s.completion_ids_T.tolist()])
        labels[row, p:n], mask[row, :n] = ids[row, p:n], 1
    reference = tiny_model()
    loss = reference(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=n_tokens).loss
    loss.backward()
    learner = Learner(tiny_model(), PLAIN, token_budget=50)
    learner.forward_backward(Update(UpdateKind.sft, "rl", (component("demo", sequences, sft(), float(n_tokens)),)))
    assert relative_difference(gradients(learner), {n: p.grad for n, p in reference.named_parameters()}) < 1e-6
    assert learner.optim_step("rl").loss == pytest.approx(loss.item(), rel=1e-6)


def test_per_sequence_mean_divides_objective_and_entropy() -> None:
    part = component("demo", some_sequences(old=False), sft(), 9.0, entropy_weight=0.3, per_sequence=True)
    update = Update(UpdateKind.sft, "rl", (part,))
    value, expected = plain_gradient(tiny_model(), update)
    learner = Learner(tiny_model(), PLAIN, token_budget=40)
    learner.forward_backward(update)
    assert relative_difference(gradients(learner), expected) < 1e-6
    assert learner.optim_step("rl").loss == pytest.approx(value, rel=1e-5)


def test_terms_add_up_on_one_forward_pass() -> None:
    """Two losses with denominators of their own on the same sequences: the sum of their gradients."""
    sequences = tuple(s.with_column("reference", s.columns["old"]) for s in some_sequences())
    terms = (Term(ppo_clip(0.2, 0.28), 50.0), Term(k3_kl(0.3), 9.0, scale=2.0))
    together = Learner(tiny_model(), PLAIN)
    passes: list[int] = []
    together.model.model.norm.register_forward_hook(lambda *_: passes.append(1))
    together.forward_backward(Update(UpdateKind.rl, "rl", (Component("rl", sequences, terms),)))
    apart = Learner(tiny_model(), PLAIN)
    for term in terms:
        apart.forward_backward(Update(UpdateKind.rl, "rl", (Component("rl", sequences, (term,)),)))
    assert len(passes) == 1
    assert relative_difference(gradients(together), gradients(apart)) < 1e-6


def test_a_loss_without_its_column_is_refused() -> None:
    learner = Learner(tiny_model(), PLAIN)
    update = Update(UpdateKind.rl, "rl", (component("rl", some_sequences(3), k3_kl(0.3), 9.0),))
    with pytest.raises(ValueError, match="3 of 3 sequences lack the column 'reference'"):
        learner.forward_backward(update)
    with pytest.raises(ValueError, match="column 'advantages'"):
        TrainSequence((1,), np.arange(2, dtype=np.int32), {"advantages": np.zeros(2)})
    with pytest.raises(ValueError, match="1 values for 2 tokens"):
        TrainSequence((1,), np.arange(2, dtype=np.int32), {"old": np.zeros(1)})


def test_an_advantage_may_differ_from_token_to_token() -> None:
    """With a ratio of 1 the gradient is linear in the advantage: two halves make the whole."""
    whole = max(some_sequences(old=False), key=lambda s: len(s.completion_ids_T))
    n = len(whole.completion_ids_T)
    first = np.where(np.arange(n) < n // 2, 1.0, 0.0).astype(np.float32)
    parts = [gradient_of(whole.with_column("advantage", a)) for a in (first, 1 - first, np.ones(n, np.float32))]
    summed = {name: parts[0][name] + parts[1][name] for name in parts[2]}
    assert relative_difference(summed, parts[2]) < 1e-5
    assert relative_difference(parts[0], parts[2]) > 0.1


def gradient_of(sequence: TrainSequence) -> dict[str, torch.Tensor]:
    learner = Learner(tiny_model(), PLAIN)
    learner.forward_backward(Update(UpdateKind.rl, "rl", (component("rl", (sequence,), ratio(), 7.0),)))
    return gradients(learner)


def test_the_reference_scores_as_before_training_and_leaves_no_trace() -> None:
    learner, sequences = Learner(tiny_model(), PLAIN), some_sequences()
    learner.keep_reference()
    before = learner.score(sequences, temperature=0.9)
    learner.forward_backward(rl_update(sequences))
    learner.optim_step("rl")
    trained = {name: tensor.clone() for name, tensor in learner.model_state_dict().items()}
    kept = learner.score_reference(sequences, temperature=0.9)
    assert all(np.array_equal(a, b) for a, b in zip(before, kept, strict=True))
    assert all(torch.equal(trained[name], tensor) for name, tensor in learner.model_state_dict().items())
    assert not np.array_equal(np.concatenate(learner.score(sequences, temperature=0.9)), np.concatenate(kept))


def test_activation_checkpoints_change_nothing() -> None:
    update = rl_update(some_sequences())
    plain, twice = Learner(tiny_model(), PLAIN), Learner(tiny_model(), PLAIN, checkpoint_activations=True)
    calls: list[int] = []
    for learner in (plain, twice):
        learner.model.model.norm.register_forward_hook(lambda *_: calls.append(0))
        learner.model.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
        learner.forward_backward(update)
    assert relative_difference(gradients(twice), gradients(plain)) < 1e-6
    assert calls == [1, 0, 1, 0, 1]  # the second learner's layer ran once more, behind the norm: in the backward pass


def test_stats_by_hand() -> None:
    """Two sequences; the old log-probabilities put the ratio at e^.5 (clipped for A > 0) and at 1."""
    learner = Learner(tiny_model(), PLAIN)
    raw = some_sequences(2, old=False)
    score = learner.score(raw)
    n0, n1 = (len(s.completion_ids_T) for s in raw)
    sequences = (
        replace(raw[0], columns=constant(1.0, n0) | {"old": score[0] - 0.5, "sampler": score[0] - 0.3}),
        replace(raw[1], columns=constant(-1.0, n1)),
    )
    learner.forward_backward(rl_update(sequences))
    stats = learner.optim_step("rl")
    assert (stats.n_sequences, stats.n_tokens, stats.lr) == (2, n0 + n1, 1e-2)
    # -(1.28 n0 - n1)/(n0 + n1): the clip holds every token of the first sequence at 1.28.
    assert stats.loss == pytest.approx(-(1.28 * n0 - n1) / (n0 + n1), rel=1e-5)
    assert stats.clip_fraction == n0 / (n0 + n1)
    assert stats.sampler_kl == pytest.approx(0.2, abs=1e-5)  # against the old log-probabilities: -.3 + .5
    # |gap| is .2 on the n0 tokens that the sampler told, all weights are e^-.2: as good as n0 tokens of weight 1.
    assert stats.n_sampled_tokens == n0 and stats.sampler_gap == pytest.approx(0.2, abs=1e-5)
    assert stats.sampler_gap_p99 is not None and 0.2 - 1e-5 < stats.sampler_gap_p99 < 0.2 * 1.08
    assert stats.effective_tokens == pytest.approx(n0, rel=1e-6)
    entropies = [full_logprobs(tiny_model(), s, 1.0)[1].sum().item() for s in raw]
    assert stats.entropy == pytest.approx(sum(entropies) / (n0 + n1), rel=1e-5)


def test_model_state_dict_has_the_tied_head() -> None:
    state = Learner(tiny_model(), PLAIN).model_state_dict()
    assert torch.equal(state["lm_head.weight"], state["model.embed_tokens.weight"])


def test_models_that_cannot_be_trained_exactly_are_refused() -> None:
    class Curved(LlamaForCausalLM):
        """Its head is no linear one."""

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = super().forward(*args, **kwargs)
            out.logits = out.logits.square()
            return out

    with pytest.raises(InputError, match="packed causal attention and a linear head differ from its own by"):
        Learner(Curved(tiny_model().config), PLAIN)
    with pytest.raises(InputError, match="AttentionInterface"):
        Learner(torch.nn.Linear(2, 2), PLAIN)
    with pytest.raises(InputError, match="on 50 tokens: its positions .* change with the batch beyond 32"):
        Learner(tiny_family("phi3/longrope"), PLAIN, longest=50)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sequences_that_see_each_other_are_refused_in_any_precision(dtype: torch.dtype) -> None:
    """A model whose hidden states take something over from the token before, whosever it is: as convolutions do."""

    class Leaking(LlamaForCausalLM):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.model.norm.register_forward_hook(lambda module, args, out: out + 0.1 * out.roll(1, dims=1))

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return super().forward(*args, **kwargs)

    with pytest.raises(InputError, match="sequences see each other when they are packed"):
        Learner(Leaking(tiny_model().config).to(dtype), PLAIN)


def test_the_model_no_longer_runs_outside() -> None:
    learner = Learner(tiny_model(), PLAIN)
    with pytest.raises(InputError, match="belongs to a Learner"):
        learner.model(input_ids=torch.tensor([[1, 2]]))
