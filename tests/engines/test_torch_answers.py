"""Answers as texts from the torch sampler: the contract, stop strings, numbers, and when they arrive."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relift.engines.answer_text import reply_of
from relift.engines.decoding_batch import Drawn
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_answers import TorchAnswers
from relift.engines.torch_sampler import TorchSampler
from relift.errors import ReliftError
from relift.schema import Finish
from tests.engines import answer_contract
from tests.engines.answer_contract import CHECKS, WARM, Case, asks_for
from tests.engines.tiny import character_tokenizer, prompts, tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return character_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def case(tokenizer: Any) -> Case:
    model = tiny_model()

    def dying() -> TorchAnswers:
        broken = tiny_model()

        class Spoilt(TorchSampler):
            def stream(self, requests: Any, sampling: Sampling) -> Iterator[Drawn]:
                for n, drawn in enumerate(super().stream(requests, sampling)):
                    if n == 2:
                        raise ReliftError("the model's logits are not finite")
                    yield drawn

        class Dying(TorchAnswers):
            def __enter__(self) -> Any:
                self._sampler = Spoilt(self._load(), batch_rows=16)
                return self

        return Dying(lambda: broken, tokenizer, broken.config)

    return Case(
        make=lambda: TorchAnswers(lambda: copy.deepcopy(model), tokenizer, model.config, batch_rows=16),
        prompts=[Prompt(ids) for ids in prompts(6)],
        too_long=Prompt((5,) * 120),  # and 12 more: the model reads 128
        make_dying=dying,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, case: Case) -> None:
    check(case)


def test_answers_are_those_of_generate(case: Case, tokenizer: Any) -> None:
    """Tokens, log-probability and entropy, with a stop token that comes up, more asks than rows."""
    asks = asks_for(case, attempts=9)
    sampling = Sampling(max_tokens=40, temperature=0.7, stop_token_ids=(7, 9))
    with case.make() as engine:
        replies = answer_contract.answers(engine, asks, sampling)
    requests = [Request(p.token_ids, tuple(a.seed for a in asks if a.prompt == p)) for p in case.prompts]
    groups = TorchSampler(tiny_model(), batch_rows=16).generate(requests, sampling)
    for reply, c in zip(replies, (c for group in groups for c in group), strict=True):
        ended = c.finish is Finish.stop
        ids = c.token_ids_T.tolist()
        assert reply.text == tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True)
        assert (reply.finish, reply.n_tokens) == (c.finish, len(ids))
        assert reply.sum_logprob == pytest.approx(float(c.logprobs_T.sum(dtype=np.float64)), abs=1e-12)
        assert reply.mean_entropy == pytest.approx(c.mean_entropy, abs=1e-12)
    assert {reply.finish for reply in replies} == {Finish.stop, Finish.length}


def test_short_answers_arrive_before_long_ones_are_done(case: Case) -> None:
    """Token 7 ends an answer: some have ended long before the longest has 80 tokens."""
    asks = asks_for(case, attempts=8)
    with case.make() as engine:
        lengths = [r.n_tokens for _, r in engine.stream(asks, Sampling(max_tokens=80, stop_token_ids=(7,)))]
    assert max(lengths) == 80
    assert lengths.index(80) > len(asks) // 4


def test_a_stop_string_over_several_tokens(tokenizer: Any) -> None:
    """Characters are tokens: of "ab~~cd~" the stop "~~" is complete with the 4th token, "d" with the 6th."""
    ids = tokenizer("ab~~cd~")["input_ids"]
    logprob_T, entropy_T = -np.arange(1.0, 8.0), np.arange(1.0, 8.0)

    def cut(*stop: str, more: tuple[int, ...] = ()) -> Any:
        sampling = Sampling(max_tokens=8, stop=stop, stop_token_ids=(2,))
        return reply_of([*ids, *more], sampling, tokenizer=tokenizer, logprob_T=logprob_T, entropy_T=entropy_T)

    reply = cut("d", "~~")
    assert (reply.text, reply.finish, reply.n_tokens) == ("ab", Finish.stop, 4)
    assert (reply.sum_logprob, reply.mean_entropy) == (-10.0, 2.5)  # -(1+2+3+4); (1+2+3+4)/4
    assert (cut("d").text, cut("d").n_tokens) == ("ab~~c", 6)
    assert (cut("x").text, cut("x").finish, cut("x").n_tokens) == ("ab~~cd~", Finish.length, 7)
    assert (cut("a").text, cut("a").n_tokens) == ("", 1)
    ended = replace(cut("x", more=(2,)), sum_logprob=None, mean_entropy=None)
    assert (ended.text, ended.finish, ended.n_tokens) == ("ab~~cd~", Finish.stop, 8)
    assert reply_of(ids, Sampling(max_tokens=7), tokenizer=tokenizer).sum_logprob is None


def test_a_stop_token_that_is_a_word_is_no_part_of_the_text(tokenizer: Any) -> None:
    word = tokenizer("b")["input_ids"][0]
    reply = reply_of(tokenizer("aab")["input_ids"], Sampling(max_tokens=9, stop_token_ids=(word,)), tokenizer=tokenizer)
    assert (reply.text, reply.finish, reply.n_tokens) == ("aa", Finish.stop, 3)


def test_greedy_has_the_log_probability_of_temperature_1(case: Case) -> None:
    asks = asks_for(case, attempts=1)
    with case.make() as engine:
        for reply in answer_contract.answers(engine, asks, replace(WARM, temperature=0.0)):
            assert reply.sum_logprob is not None and math.isfinite(reply.sum_logprob) and reply.sum_logprob < 0


def test_an_answerer_is_entered_first(case: Case) -> None:
    with pytest.raises(ValueError, match="enter the answerer"):
        next(case.make().stream([AttemptRequest("a/0/0", case.prompts[0], 1)], WARM))


def test_a_folder_is_loaded_when_entered(tmp_path: Path) -> None:
    from relift.engines.model_source import resolve_model
    from relift.engines.open import open_answerer
    from relift.engines.options import TorchOptions
    from tests.engines.tiny import write_checkpoint

    source = resolve_model(str(write_checkpoint(tmp_path / "model")))
    engine = open_answerer("torch", source, options=TorchOptions(batch_rows=16))
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "aside")
    with pytest.raises(ReliftError, match="no .safetensors file"), engine:
        pass
    (tmp_path / "aside").rename(tmp_path / "model" / "model.safetensors")
    assert engine.describe()["dtype"] == "float32"
    with engine:
        assert len(list(engine.stream([AttemptRequest("a/0/0", Prompt((5, 6)), 1)], WARM))) == 1
