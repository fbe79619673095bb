"""Check what every Answerer must do (relift.engines.texts) on one that a factory makes.

A `Case` is an engine with prompts for it. Checks that need an engine that can break are at the end; a case without
such an engine leaves them out, and says so by None.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from relift.engines.texts import Answerer, AttemptRequest, Prompt, Reply
from relift.engines.tokens import Sampling
from relift.errors import InputError, ReliftError
from relift.schema import Finish, seed_of

WARM = Sampling(max_tokens=12, temperature=1.0)
GREEDY = Sampling(max_tokens=12, temperature=0.0)


@dataclass(frozen=True)
class Case:
    """`make` gives an engine, not entered; all of them hold equal weights. Prompts: three or more, different, with room
    for 12 tokens; the model's answers to them differ from seed to seed."""

    make: Callable[[], Answerer]
    prompts: Sequence[Prompt]
    too_long: Prompt | None  # refused by `check`; None: this engine cannot know
    make_hanging: Callable[[], Answerer] | None = None  # answers the first two asks, then is silent
    make_dying: Callable[[], Answerer] | None = None  # answers the first two asks, then fails
    deadline_seconds: float = 10.0  # within which the two above must have given up
    samples: bool = True  # draws anew; a replay does not


def asks_for(case: Case, *, attempts: int = 3, salt: int = 7) -> list[AttemptRequest]:
    return [
        AttemptRequest(f"q{q}/0/{g}", prompt, seed_of(salt, "contract", 0, 0, str(q), g))
        for q, prompt in enumerate(case.prompts)
        for g in range(attempts)
    ]


def answers(engine: Answerer, asks: Sequence[AttemptRequest], sampling: Sampling) -> list[Reply]:
    """Replies in the order of the asks, each exactly once."""
    seen = dict[int, Reply]()
    for i, reply in engine.stream(asks, sampling):
        assert i not in seen, f"ask {i} answered twice"
        seen[i] = reply
    assert sorted(seen) == list(range(len(asks)))
    return [seen[i] for i in range(len(asks))]


def texts(replies: Sequence[Reply]) -> list[tuple[str, Finish, int]]:
    return [(reply.text, reply.finish, reply.n_tokens) for reply in replies]


def each_ask_is_answered_once(case: Case) -> None:
    asks = asks_for(case)
    with case.make() as engine:
        engine.check(asks, WARM)
        for reply in answers(engine, asks, WARM):
            assert isinstance(reply.text, str) and isinstance(reply.finish, Finish)
            assert 1 <= reply.n_tokens <= WARM.max_tokens
            assert reply.sum_logprob is None or -1e4 < reply.sum_logprob <= 0
            assert reply.mean_entropy is None or reply.mean_entropy >= 0
        assert list(engine.stream([], WARM)) == []


def order_does_not_matter(case: Case) -> None:
    asks = asks_for(case)
    with case.make() as engine:
        whole = texts(answers(engine, asks, WARM))
        assert texts(answers(engine, asks[::-1], WARM)) == whole[::-1]
        assert texts(answers(engine, asks[1::2], WARM)) == whole[1::2]
        mixed = texts(answers(engine, asks[::2] + asks[1::2], WARM))  # attempts at a question apart from one another
        assert mixed == whole[::2] + whole[1::2]
    with case.make() as engine:
        assert texts(answers(engine, asks, WARM)) == whole


def seeds_matter(case: Case) -> None:
    if not case.samples:
        return
    with case.make() as engine:
        one, two = (texts(answers(engine, asks_for(case, salt=salt), WARM)) for salt in (7, 8))
    assert one != two
    assert len(set(one)) > len(case.prompts)  # attempts at one question differ


def greedy_ignores_seeds(case: Case) -> None:
    if not case.samples:
        return
    with case.make() as engine:
        one, two = (texts(answers(engine, asks_for(case, salt=salt), GREEDY)) for salt in (7, 8))
    assert one == two
    assert all(one[i] == one[i - i % 3] for i in range(len(one)))


def finish_says_why_an_answer_ended(case: Case) -> None:
    asks = asks_for(case)
    with case.make() as engine:
        for reply in answers(engine, asks, WARM):  # no stop token is given, so nothing but the length ends it
            assert (reply.finish, reply.n_tokens) == (Finish.length, WARM.max_tokens) or not case.samples
        if case.samples:
            for reply in answers(engine, asks, replace(WARM, max_tokens=1)):
                assert (reply.finish, reply.n_tokens) == (Finish.length, 1)


def a_stop_string_ends_an_answer_and_is_no_part_of_it(case: Case) -> None:
    if not case.samples:
        return
    asks = asks_for(case)
    with case.make() as engine:
        free = answers(engine, asks, WARM)
        stop = next(reply.text[3:5] for reply in free if len(reply.text) > 6)  # two characters that come up
        cut = answers(engine, asks, replace(WARM, stop=(stop, "never comes up")))
    for before, after in zip(free, cut, strict=True):
        at = before.text.find(stop)
        if at < 0:
            assert texts([after]) == texts([before])
        else:
            assert (after.text, after.finish) == (before.text[:at], Finish.stop)
            assert 1 <= after.n_tokens <= before.n_tokens
    assert any(reply.finish is Finish.stop for reply in cut)


def check_refuses_what_cannot_be_answered(case: Case) -> None:
    good, *more = asks_for(case)
    bad = [
        ([good, good], WARM),
        ([good], replace(WARM, max_tokens=0)),
        ([good], replace(WARM, temperature=-1.0)),
        ([good], replace(WARM, temperature=float("nan"))),
        ([good], replace(WARM, top_p=0.0)),
        ([good], replace(WARM, top_k=0)),
        ([good], replace(WARM, stop=("",))),
    ]
    if case.too_long is not None:
        bad.append(([good, *more, replace(good, key="long/0/0", prompt=case.too_long)], WARM))
    engine = case.make()  # before anything is spent: not entered
    engine.check([good, *more], WARM)
    for asks, sampling in bad:
        with pytest.raises(InputError) as error:
            engine.check(asks, sampling)
        assert "\n" not in str(error.value)


def an_engine_describes_itself(case: Case) -> None:
    engine = case.make()
    described = engine.describe()  # what identifies a run is known before anything is spent
    assert isinstance(described["name"], str)
    with engine:
        assert engine.describe() == described
    assert case.make().describe() == described


def a_stream_that_is_left_alone_does_no_harm(case: Case) -> None:
    asks = asks_for(case)
    with case.make() as engine:
        whole = texts(answers(engine, asks, WARM))
        first = list(itertools.islice(engine.stream(asks, WARM), 2))
        assert [texts([reply])[0] for _, reply in first] == [whole[i] for i, _ in first]
        assert texts(answers(engine, asks, WARM)) == whole


def an_engine_that_fails_says_so_in_time(case: Case) -> None:
    for make in (case.make_hanging, case.make_dying):
        if make is None:
            continue
        got: list[tuple[int, Reply]] = []
        begin = time.monotonic()
        with pytest.raises(ReliftError) as error, make() as engine:
            got.extend(engine.stream(asks_for(case), WARM))  # extend keeps what came before the error
        assert "\n" not in str(error.value)
        assert time.monotonic() - begin < case.deadline_seconds
        assert len(got) == 2 and all(isinstance(reply, Reply) for _, reply in got)


CHECKS: tuple[Callable[[Case], None], ...] = (
    each_ask_is_answered_once,
    order_does_not_matter,
    seeds_matter,
    greedy_ignores_seeds,
    finish_says_why_an_answer_ended,
    a_stop_string_ends_an_answer_and_is_no_part_of_it,
    check_refuses_what_cannot_be_answered,
    an_engine_describes_itself,
    a_stream_that_is_left_alone_does_no_harm,
    an_engine_that_fails_says_so_in_time,
)
