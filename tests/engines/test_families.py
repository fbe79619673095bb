"""Sampler and learner compute what transformers computes, for every family of models, or refuse it in one line."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from relift.engines import attention_rules
from relift.learner.exactness import exchange_attention
from relift.learner.model import LogprobModel, run
from relift.learner.packing import lay_out
from relift.learner.update import TrainSequence
from tests.engines.families import FAMILIES, VOCAB, tiny_family
from tests.engines.family_outcomes import EXACT, learner_outcome, outcome, recorded, sampler_outcome

# One for each departure from plain causal attention and a linear head.
DEPARTURES = (
    "mistral/sliding window", "gemma2", "gemma3_text", "gpt_oss", "llama4_text", "cohere2", "granite", "deepseek_v3",
    "qwen2_moe",
)  # fmt: skip


def test_every_family_has_a_recorded_outcome() -> None:
    assert recorded().keys() == FAMILIES.keys()


@pytest.mark.parametrize("case", DEPARTURES)
def test_departures_from_plain_attention_are_exact(case: str) -> None:
    assert outcome(case) == recorded()[case] == {"sampler": EXACT, "learner": EXACT}


@pytest.mark.parametrize("case", ["bloom", "lfm2", "llama/dynamic rotary"])
def test_what_cannot_be_exact_is_one_line(case: str) -> None:
    found = outcome(case)
    assert found == recorded()[case]
    assert all("\n" not in line for line in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", list(FAMILIES))
def test_every_family(case: str) -> None:
    assert outcome(case) == recorded()[case]


@pytest.mark.parametrize(
    ("case", "planted"),
    [
        ("mistral/sliding window", {"window": 9}),  # one token too many
        ("mistral/sliding window", {"window": None}),
        ("llama4_text", {"chunk": 9}),
        ("gpt_oss", {"sinks_H": None}),
        ("gemma2", {"softcap": 5.1}),
    ],
)
def test_another_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, case: str, planted: dict[str, int | None]) -> None:
    """A planted mistake in the rule shows in both: in the check at the start, or in the numbers."""
    from dataclasses import replace

    from relift.engines import kv_cache
    from relift.learner import attention

    def wrong(module: object, arguments: dict[str, object]) -> attention_rules.Rule:
        rule = attention_rules.rule_of(module, arguments)
        return replace(rule, **{k: v for k, v in planted.items() if getattr(rule, k) is not None})  # type: ignore[arg-type]

    monkeypatch.setattr(kv_cache, "rule_of", wrong)
    monkeypatch.setattr(attention, "rule_of", wrong)
    for measure in (sampler_outcome, learner_outcome):
        try:
            assert "differ" in measure(case)
        except AssertionError as error:
            assert "Not equal to tolerance" in str(error)


@pytest.mark.parametrize("case", ["gemma2", "gpt_oss", "granite", "mistral/sliding window", "deepseek_v3"])
def test_gradients_are_those_of_the_models_own_code(case: str) -> None:
    """d (sum of log-probabilities) / d weights, packed and by transformers: soft caps, sinks, scales, windows."""
    model = tiny_family(case)
    packed = copy.deepcopy(model)
    exchange_attention(packed, torch.device("cpu"))
    rng = np.random.default_rng(0)
    sequences = [
        TrainSequence(tuple(rng.integers(3, VOCAB, p).tolist()), rng.integers(3, VOCAB, c))
        for p, c in ((3, 20), (5, 9))
    ]
    batch = lay_out(sequences, [0, 1])
    logprob_C, _ = run(LogprobModel(packed), batch, torch.device("cpu"), temperature_S=np.ones(2), entropy_grad=False)
    logprob_C.sum().backward()
    for s in sequences:
        ids = torch.tensor([[*s.prompt_ids, *s.completion_ids_T.tolist()]])
        logits = model(input_ids=ids, use_cache=False).logits[0, len(s.prompt_ids) - 1 : -1]
        torch.log_softmax(logits, -1).gather(1, ids[0, len(s.prompt_ids) :, None]).sum().backward()
    compared = 0
    for (name, own), (_, ours) in zip(model.named_parameters(), packed.named_parameters(), strict=True):
        if own.grad is None:
            assert ours.grad is None or not ours.grad.any(), name
            continue
        scale = own.grad.abs().max().clamp(min=1e-3)
        assert ((own.grad - ours.grad).abs().max() / scale).item() < 1e-4, name
        compared += 1
    assert compared > 10
