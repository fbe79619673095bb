"""The torch sampler against transformers, against itself in other batches, and its refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from relift.engines import decoding_batch, first_layers, torch_sampler
from relift.engines.kv_cache import KVCache
from relift.engines.llama_decoder import can_fuse
from relift.engines.tokens import Completion, Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError, ReliftError
from relift.schema import Finish
from tests.engines import contract
from tests.engines.families import tiny_family
from tests.engines.tiny import VOCAB, prompts, tiny_model

LAYOUTS = ("llama", "qwen2", "qwen3", "gpt2")


def flat(groups: list[list[Completion]]) -> list[tuple[list[int], list[float], float | None]]:
    return [(c.token_ids_T.tolist(), c.logprobs_T.tolist(), c.mean_entropy) for group in groups for c in group]


def full_logprobs(model: PreTrainedModel, prompt: tuple[int, ...], completion: Completion, t: float) -> torch.Tensor:
    """Log-probabilities [T, V] along the answer, from one forward pass of the model as transformers runs it."""
    ids = torch.tensor([[*prompt, *completion.token_ids_T.tolist()]])
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits / t).log_softmax(-1)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("layout", ["llama", "gpt2"])
def test_contract(layout: str, check: Callable[[contract.MakeEngine, contract.Prompts], None]) -> None:
    model = tiny_model(layout)
    check(lambda: TorchSampler(model, batch_rows=16), prompts(6))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_greedy_equals_transformers(layout: str) -> None:
    model, asked = tiny_model(layout), prompts(20)
    groups = TorchSampler(model, batch_rows=16).generate(
        [Request(prompt, (1, 2)) for prompt in asked], Sampling(max_tokens=20, temperature=0.0, stop_token_ids=(5,))
    )
    for prompt, group in zip(asked, groups, strict=True):
        ids = torch.tensor([prompt])
        reference = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20, eos_token_id=5, pad_token_id=0
        )
        assert [c.token_ids_T.tolist() for c in group] == [reference[0, len(prompt) :].tolist()] * 2
    assert len({c.token_ids_T.tobytes() for group in groups for c in group}) > 15  # answers do depend on prompts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_logprobs_and_entropy_equal_a_full_forward_pass(layout: str) -> None:
    model, asked = tiny_model(layout), prompts(20)
    groups = TorchSampler(model, batch_rows=16).generate(
        [Request(prompt, (3, 4, 5)) for prompt in asked], Sampling(max_tokens=24, temperature=0.7, top_p=0.9)
    )
    for prompt, group in zip(asked, groups, strict=True):
        for completion in group:
            reference_TV = full_logprobs(model, prompt, completion, 0.7)
            chosen_T = reference_TV.gather(1, torch.tensor(completion.token_ids_T[:, None], dtype=torch.long))[:, 0]
            np.testing.assert_allclose(completion.logprobs_T, chosen_T, atol=1e-5, rtol=0)
            entropy = -(reference_TV.exp() * reference_TV).sum(-1).mean()
            assert completion.mean_entropy == pytest.approx(float(entropy), abs=1e-5)


def test_first_tokens_follow_the_models_distribution() -> None:
    # One prompt, 4,000 answers of one token (250 batches of 16 rows). Tokens expected fewer than 10 times are pooled.
    model, n = tiny_model(scale=0.1), 4_000
    group = TorchSampler(model, batch_rows=16).generate([Request((3, 4, 5), tuple(range(n)))], Sampling(max_tokens=1))[
        0
    ]
    probs_V = full_logprobs(model, (3, 4, 5), group[0], 1.0)[0].double().exp().numpy()
    counts_V = np.bincount([int(c.token_ids_T[0]) for c in group], minlength=VOCAB)
    common_V = n * probs_V >= 10
    observed = np.append(counts_V[common_V], counts_V[~common_V].sum())
    expected = np.append(probs_V[common_V], probs_V[~common_V].sum()) * n
    chi2, bins = float((((observed - expected) ** 2)[expected > 0] / expected[expected > 0]).sum()), len(observed)
    assert bins > 10
    assert chi2 < bins + 4 * math.sqrt(2 * bins)  # mean bins - 1, variance 2 (bins - 1)


def test_an_answer_is_the_same_in_every_batch() -> None:
    """3,000 answers: shuffled, split, in batches of other sizes and alone. Tokens are equal, log-probabilities to 1e-5.

    Last bits of log-probabilities were equal too on the machine this was written on (see ROW_MULTIPLE); other
    libraries may round differently, so bits are asserted only for equal calls (next test).
    """
    model = tiny_model()
    requests = [Request(prompt, tuple(range(100 * q, 100 * q + 30))) for q, prompt in enumerate(prompts(100))]
    sampling = Sampling(max_tokens=16, stop_token_ids=(4, 5, 6, 7))
    whole = flat(TorchSampler(model, batch_rows=256).generate(requests, sampling))
    order = np.random.default_rng(0).permutation(len(requests))
    shuffled = TorchSampler(model, batch_rows=256).generate([requests[q] for q in order], sampling)
    back = [shuffled[i] for i in np.argsort(order)]
    narrow = TorchSampler(model, batch_rows=16)  # fewer rows than a question's answers: its prompt runs twice
    others = {
        "shuffled": flat(back),
        "halves": flat(narrow.generate(requests[:37], sampling) + narrow.generate(requests[37:], sampling)),
        "one batch": flat(TorchSampler(model, batch_rows=1024).generate(requests, sampling)),
    }
    for name, other in others.items():
        assert [a[0] for a in other] == [a[0] for a in whole], name
        for a, b in zip(other, whole, strict=True):
            np.testing.assert_allclose(a[1], b[1], atol=1e-5, rtol=0, err_msg=name)
    for q in (0, 5, 99):
        alone = narrow.generate([Request(requests[q].prompt_ids, requests[q].seeds[3:4])], sampling)
        assert alone[0][0].token_ids_T.tolist() == whole[30 * q + 3][0]


def test_the_same_call_is_bitwise_the_same() -> None:
    model = tiny_model("qwen2")
    requests = [Request(prompt, tuple(range(q, q + 8))) for q, prompt in enumerate(prompts(30))]
    sampling = Sampling(max_tokens=16, stop_token_ids=(4, 5))
    sampler = TorchSampler(model, batch_rows=64)
    first = flat(sampler.generate(requests, sampling))
    sampler.generate(requests[:3], Sampling(max_tokens=60))  # leaves other numbers in the kept buffers
    assert flat(sampler.generate(requests, sampling)) == first
    assert flat(TorchSampler(model, batch_rows=64).generate(requests, sampling)) == first


def test_each_prompt_runs_once_for_all_of_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    begin = KVCache.begin_prefill

    def watched(self: KVCache, *, first_row: int, prompt_of_row_R: torch.Tensor) -> None:
        seen.append(prompt_of_row_R.tolist())
        begin(self, first_row=first_row, prompt_of_row_R=prompt_of_row_R)

    monkeypatch.setattr(KVCache, "begin_prefill", watched)
    requests = [Request((3 + q,) * 9, tuple(range(8))) for q in range(12)]
    sampler = TorchSampler(tiny_model(), batch_rows=32)
    seen.clear()  # of the check at its construction
    sampler.generate(requests, Sampling(max_tokens=3))
    # 32 rows hold 4 questions of 8 answers; all end at once, three times over
    assert seen == [[0] * 8 + [1] * 8 + [2] * 8 + [3] * 8] * 3


def test_fused_and_transformers_steps_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    requests = [Request(prompt, tuple(range(4))) for prompt in prompts(20)]
    assert can_fuse(model) and not can_fuse(tiny_model("qwen2"))
    fused = flat(TorchSampler(model, batch_rows=32).generate(requests, Sampling(max_tokens=24)))
    monkeypatch.setattr(decoding_batch, "can_fuse", lambda model: False)
    plain = flat(TorchSampler(model, batch_rows=32).generate(requests, Sampling(max_tokens=24)))
    assert [a[0] for a in fused] == [a[0] for a in plain]
    for a, b in zip(fused, plain, strict=True):
        np.testing.assert_allclose(a[1], b[1], atol=1e-5, rtol=0)


def test_buffers_are_kept_between_calls_unless_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, requests = TorchSampler(tiny_model(), batch_rows=16), [Request((3, 4, 5), (1,))]
    made: list[int] = []
    monkeypatch.setattr(torch_sampler, "KVCache", lambda *, rows: made.append(rows) or KVCache(rows=rows))
    for _ in range(3):
        sampler.generate(requests, Sampling(max_tokens=4))
    assert made == [16]
    monkeypatch.setattr(torch_sampler, "KEPT_BYTES", 1)
    for _ in range(3):
        sampler.generate(requests, Sampling(max_tokens=4))
    assert made == [16, 16, 16]


def test_published_weights_answer_from_then_on() -> None:
    old, new = tiny_model("llama", seed=0), tiny_model("llama", seed=1)
    requests = [Request(prompt, (1,)) for prompt in prompts(8)]
    sampler = TorchSampler(old, batch_rows=16)
    before = flat(sampler.generate(requests, Sampling(max_tokens=8)))
    sampler.publish(new.state_dict(), version=3)
    assert sampler.policy_version == 3
    after = flat(sampler.generate(requests, Sampling(max_tokens=8)))
    assert after != before
    assert after == flat(TorchSampler(new, batch_rows=16).generate(requests, Sampling(max_tokens=8)))


def test_the_sampler_keeps_weights_of_its_own() -> None:
    model = tiny_model()
    requests = [Request(prompt, (1,)) for prompt in prompts(8)]
    sampler = TorchSampler(model, batch_rows=16)
    before = flat(sampler.generate(requests, Sampling(max_tokens=8)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert flat(sampler.generate(requests, Sampling(max_tokens=8))) == before
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_published_weights_are_all_taken_or_none() -> None:
    sampler = TorchSampler(tiny_model(), batch_rows=16)
    good = dict(tiny_model(seed=1).state_dict())
    head, embedding = "lm_head.weight", "model.embed_tokens.weight"
    bad_ones = {
        "lack": {k: v for k, v in good.items() if k != head},
        "unknown": good | {"model.extra": torch.zeros(1)},
        "shape": good | {"model.norm.weight": torch.ones(31)},
        "not finite": good | {"model.norm.weight": torch.full((32,), math.nan)},
        "differ": good | {head: good[embedding] + 1},  # tied in this model
    }
    requests = [Request((3, 4), (1,))]
    before = flat(sampler.generate(requests, Sampling(max_tokens=8)))
    for word, bad in bad_ones.items():
        with pytest.raises(ReliftError, match=word):
            sampler.publish(bad, version=1)
    assert flat(sampler.generate(requests, Sampling(max_tokens=8))) == before
    assert sampler.policy_version == 0


def test_logits_that_are_not_finite_are_an_error_and_leave_no_trace() -> None:
    model = tiny_model("qwen2")
    good = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    requests = [Request((3, 4, 5), (1,)), Request((3, 4, 60), (2,))]
    clean = flat(TorchSampler(model, batch_rows=16).generate(requests, Sampling(max_tokens=4)))
    with torch.no_grad():
        model.get_input_embeddings().weight[60] = math.nan  # one token of the second prompt
    sampler = TorchSampler(model, batch_rows=16)
    with pytest.raises(ReliftError, match="not finite at token 0 of answer 1 "):
        sampler.generate(requests, Sampling(max_tokens=4))
    sampler.publish(good, version=1)
    assert flat(sampler.generate(requests, Sampling(max_tokens=4))) == clean


def test_answers_end_at_the_edge_of_the_context() -> None:
    sampler = TorchSampler(tiny_model("gpt2"), batch_rows=16)  # 64 positions
    group = sampler.generate([Request((3,) * 34, (1, 2)), Request((3,), (1, 2))], Sampling(max_tokens=30))
    assert [len(c.token_ids_T) for g in group for c in g] == [30] * 4
    assert group[0][0].finish == Finish.length
    with pytest.raises(InputError, match="request 1: prompt of 35 tokens and max_tokens 30 exceed the context of 64"):
        sampler.generate([Request((3,), (1,)), Request((3,) * 35, (1,))], Sampling(max_tokens=30))
    with pytest.raises(InputError, match="context of 20 tokens"):
        TorchSampler(tiny_model(), batch_rows=16, max_context=20).generate(
            [Request((3,), (1,))], Sampling(max_tokens=20)
        )


def test_models_with_other_attention_are_refused() -> None:
    with pytest.raises(InputError, match="model lfm2 has layers of type conv"):
        TorchSampler(tiny_family("lfm2"), batch_rows=16)
    with pytest.raises(InputError, match="multiple of 16"):
        TorchSampler(tiny_model(), batch_rows=20)


def test_a_model_that_does_more_than_the_sampler_knows_is_refused() -> None:
    """Its own code adds to the logits of every token but the first: a cached step cannot know that."""

    class Drifting(LlamaForCausalLM):
        def forward(self, *args: object, **kwargs: object) -> object:
            out = super().forward(*args, **kwargs)
            out.logits = out.logits + torch.arange(out.logits.shape[1])[:, None] * torch.arange(VOCAB)
            return out

    model = Drifting(tiny_model().config)
    model.load_state_dict(tiny_model().state_dict())
    with pytest.raises(InputError, match="cannot run model llama: a log-probability differs by"):
        TorchSampler(model, batch_rows=16)


def test_weights_that_are_not_finite_are_found_at_the_start() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    with pytest.raises(InputError, match="model llama: its logits are not finite; check the weights"):
        TorchSampler(model, batch_rows=16)


def test_a_large_model_is_checked_on_its_first_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision too: the copy is in float32, has a layer of each kind, and the model's own numbers."""
    model = tiny_family("gemma3_text").bfloat16()
    small = first_layers.first_layers(model)
    assert small.dtype == torch.float32 and small.config.num_hidden_layers == 2
    ids = torch.tensor([[3, 4, 5]])
    wide = tiny_family("gemma3_text").bfloat16().float()
    with torch.no_grad():
        # buffers that no checkpoint holds (rotary frequencies) are exact in the copy alone
        torch.testing.assert_close(small(input_ids=ids).logits, wide(input_ids=ids).logits, atol=5e-3, rtol=0)
    four = tiny_family("llama")
    four.config.num_hidden_layers = 4
    deep = type(four)(four.config)
    monkeypatch.setattr(first_layers, "SMALL", 0)
    assert first_layers.checkable(deep).config.num_hidden_layers == 2 and deep.config.num_hidden_layers == 4
    requests = [Request((3, 4, 5), (1, 2))]
    sampled = flat(TorchSampler(deep, batch_rows=16).generate(requests, Sampling(max_tokens=4)))
    monkeypatch.undo()
    assert sampled == flat(TorchSampler(deep, batch_rows=16).generate(requests, Sampling(max_tokens=4)))
