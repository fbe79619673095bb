"""Check the contract of relift.engines.tokens.Engine on an engine that a factory makes.

Use: `for check in CHECKS: check(make_engine, prompts)`, or parametrise a test over CHECKS. All engines of one
factory must hold equal weights; prompts are three or more, different, with room for 12 more tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from relift.engines.tokens import Completion, Engine, Request, Sampling
from relift.errors import InputError
from relift.schema import Finish, seed_of

Prompts = Sequence[tuple[int, ...]]
MakeEngine = Callable[[], Engine]
WARM = Sampling(max_tokens=12, temperature=1.0)


def requests_for(prompts: Prompts, *, attempts: int = 3) -> list[Request]:
    return [
        Request(prompt, tuple(seed_of(7, "contract", 0, 0, str(q), g) for g in range(attempts)))
        for q, prompt in enumerate(prompts)
    ]


def tokens(groups: Sequence[Sequence[Completion]]) -> list[list[list[int]]]:
    return [[completion.token_ids_T.tolist() for completion in group] for group in groups]


def answers_come_in_order_and_complete(make: MakeEngine, prompts: Prompts) -> None:
    requests = requests_for(prompts)
    groups = make().generate(requests, WARM)
    assert [[c.seed for c in group] for group in groups] == [list(r.seeds) for r in requests]
    for completion in (c for group in groups for c in group):
        assert completion.token_ids_T.dtype == np.int32
        assert completion.logprobs_T.dtype == np.float32
        assert 1 <= len(completion.token_ids_T) == len(completion.logprobs_T) <= WARM.max_tokens
        assert np.all(np.isfinite(completion.logprobs_T)) and np.all(completion.logprobs_T <= 0)
        assert completion.mean_entropy is None or completion.mean_entropy >= 0


def nothing_asked_nothing_answered(make: MakeEngine, prompts: Prompts) -> None:
    assert make().generate([], WARM) == []
    assert make().generate([Request(prompts[0], ())], WARM) == [[]]


def same_call_gives_same_answers(make: MakeEngine, prompts: Prompts) -> None:
    engine, requests = make(), requests_for(prompts)
    first = tokens(engine.generate(requests, WARM))
    assert tokens(engine.generate(requests, WARM)) == first
    assert tokens(make().generate(requests, WARM)) == first


def an_answer_depends_on_its_own_seed_alone(make: MakeEngine, prompts: Prompts) -> None:
    engine, requests = make(), requests_for(prompts)
    whole = tokens(engine.generate(requests, WARM))
    assert tokens(engine.generate(requests[::-1], WARM)) == whole[::-1]
    assert tokens([engine.generate([request], WARM)[0] for request in requests]) == whole
    one_seed = [Request(r.prompt_ids, r.seeds[1:2]) for r in requests]
    assert tokens(engine.generate(one_seed, WARM)) == [group[1:2] for group in whole]
    other = [Request(r.prompt_ids, tuple(s + 1 for s in r.seeds)) for r in requests]
    assert tokens(engine.generate(other, WARM)) != whole


def greedy_ignores_seeds(make: MakeEngine, prompts: Prompts) -> None:
    groups = tokens(make().generate(requests_for(prompts), Sampling(max_tokens=12, temperature=0.0)))
    assert all(answer == group[0] for group in groups for answer in group)


def an_answer_ends_with_its_stop_token_or_at_max_tokens(make: MakeEngine, prompts: Prompts) -> None:
    engine, requests = make(), requests_for(prompts)
    free = tokens(engine.generate(requests, WARM))
    stop = free[0][0][len(free[0][0]) // 2]  # a token that comes up
    stopped = engine.generate(requests, Sampling(max_tokens=12, temperature=1.0, stop_token_ids=(stop,)))
    for free_group, group in zip(free, stopped, strict=True):
        for free_answer, completion in zip(free_group, group, strict=True):
            expected = free_answer[: free_answer.index(stop) + 1] if stop in free_answer else free_answer
            assert completion.token_ids_T.tolist() == expected
            assert completion.finish == (Finish.stop if expected[-1] == stop else Finish.length)
    assert any(c.finish == Finish.stop for group in stopped for c in group)
    for group in engine.generate(requests, Sampling(max_tokens=1, temperature=1.0)):
        assert all(len(c.token_ids_T) == 1 and c.finish == Finish.length for c in group)


def progress_ends_with_everything(make: MakeEngine, prompts: Prompts) -> None:
    seen: list[tuple[int, int]] = []
    groups = make().generate(requests_for(prompts), WARM, on_progress=lambda n, t: seen.append((n, t)))
    assert seen == sorted(seen)
    assert seen[-1] == (3 * len(prompts), sum(len(c.token_ids_T) for group in groups for c in group))


def bad_requests_are_refused_beforehand(make: MakeEngine, prompts: Prompts) -> None:
    good = Request(prompts[0], (1,))
    for bad, sampling in (
        (Request((), (1,)), WARM),
        (Request((10**9,), (1,)), WARM),
        (Request((-1,), (1,)), WARM),
        (good, Sampling(max_tokens=0)),
        (good, Sampling(max_tokens=10**9)),
        (good, Sampling(max_tokens=4, temperature=-1.0)),
        (good, Sampling(max_tokens=4, temperature=float("nan"))),
        (good, Sampling(max_tokens=4, top_p=0.0)),
        (good, Sampling(max_tokens=4, top_k=0)),
    ):
        with pytest.raises(InputError) as error:
            make().generate([good, bad], sampling)
        assert "\n" not in str(error.value)


def an_engine_describes_itself(make: MakeEngine, prompts: Prompts) -> None:
    engine = make()
    assert isinstance(engine.policy_version, int)
    assert isinstance(engine.describe()["name"], str)


CHECKS: tuple[Callable[[MakeEngine, Prompts], None], ...] = (
    answers_come_in_order_and_complete,
    nothing_asked_nothing_answered,
    same_call_gives_same_answers,
    an_answer_depends_on_its_own_seed_alone,
    greedy_ignores_seeds,
    an_answer_ends_with_its_stop_token_or_at_max_tokens,
    progress_ends_with_everything,
    bad_requests_are_refused_beforehand,
    an_engine_describes_itself,
)
