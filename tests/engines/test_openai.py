"""The client of OpenAI-compatible servers against one on loopback that misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.engines import openai_session
from relift.engines.http_client import HttpClient, read_key
from relift.engines.model_source import ModelSource
from relift.engines.open import open_answerer
from relift.engines.openai import OpenAIAnswers
from relift.engines.options import OpenAIOptions
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import GuardStop, InputError, ReliftError, ServerGone
from relift.schema import Finish
from relift.store.ledger import REQUESTS, Ledger, read_ledger
from tests.engines.answer_contract import CHECKS, WARM, Case, answers, texts
from tests.engines.flaky_server import BEHAVIOURS, GOOD, OUTCOMES, FlakyServer, answer_to, good_body

FAST = OpenAIOptions(concurrency=8, timeout_seconds=0.6, deadline_seconds=8.0)
CANARY = "sk-canary-8c1f"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_session, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(openai_session, "LONGEST_WAIT_SECONDS", 0.2)


def engine_for(server: FlakyServer, *, ledger: Path | None = None, **options: Any) -> OpenAIAnswers:
    engine = OpenAIAnswers("tiny", replace(FAST, base_url=server.base_url, **{"api": "completions", **options}))
    engine.ledger = ledger
    return engine


def asks_of(n: int, *, first: int = 0, turns: bool = False) -> list[AttemptRequest]:
    said = (("user", "1+1?"),) if turns else None
    return [AttemptRequest(f"q{i}/0/0", Prompt((3, 4, 5), said), i) for i in range(first, first + n)]


def ask_all(server: FlakyServer, asks: list[AttemptRequest], **options: Any) -> list[str]:
    with engine_for(server, **options) as engine:
        return [reply.text for reply in answers(engine, asks, WARM)]


# ---- the contract, with a scripted model behind the server ---------------------------------------------------------


def scripted(request: dict[str, Any]) -> dict[str, Any]:
    """Letters that depend on prompt and seed (on the prompt alone if greedy), as many as max_tokens."""
    seed = 0 if request["temperature"] == 0 else request["seed"]
    number = hash((seed, tuple(request["prompt"])))
    text = "".join(chr(97 + (number >> 3 * i) % 8) for i in range(request["max_tokens"]))
    at = min((text.find(stop) for stop in request.get("stop", ()) if stop in text), default=-1)
    length = len(text) if at < 0 else at + 2
    choice = {"text": text if at < 0 else text[:at], "finish_reason": "length" if at < 0 else "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": length}}


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    def after_two(behaviour: str) -> FlakyServer:
        seen: list[int] = []

        def behaviour_of(seed: int) -> str:
            seen.append(seed)
            return GOOD if len(dict.fromkeys(seen)) <= 2 else behaviour

        return FlakyServer(behaviour_of, visits=float("inf"), body=scripted)

    with FlakyServer(body=scripted) as server, after_two("hangs") as hanging, after_two("server error") as dying:
        yield Case(
            make=lambda: engine_for(server),
            prompts=[Prompt((3 + i, 4, 5)) for i in range(4)],
            too_long=Prompt((3,) * 90),  # and 12 more: the server says 100
            make_hanging=lambda: engine_for(hanging, concurrency=1, deadline_seconds=0.3),
            make_dying=lambda: engine_for(dying, concurrency=1, deadline_seconds=0.3),
        )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, case: Case) -> None:
    check(case)


# ---- a server that misbehaves --------------------------------------------------------------------------------------


def nothing_is_lost_or_bought_twice(n_each: int, folder: Path) -> None:
    n = n_each * len(BEHAVIOURS)
    met = [BEHAVIOURS[seed % len(BEHAVIOURS)] for seed in range(n)]
    wanted = [answer_to(i) if OUTCOMES.get(b, (0, None))[1] is None else "" for i, b in enumerate(met)]
    with FlakyServer(met.__getitem__) as server:
        assert ask_all(server, asks_of(n), ledger=folder / REQUESTS) == wanted
        assert server.sold == dict.fromkeys(range(n), 1)
        assert server.asked == {i: 1 if b == GOOD or b in OUTCOMES else 2 for i, b in enumerate(met)}
        requests = sum(server.asked.values())
        again = ask_all(server, asks_of(n), ledger=folder / REQUESTS)  # a second start
        assert again == wanted
        assert sum(server.asked.values()) == requests
    contents = read_ledger(folder / REQUESTS)
    assert (len(contents.replies), contents.unanswered) == (n, set())


def test_every_misbehaviour_once(tmp_path: Path) -> None:
    nothing_is_lost_or_bought_twice(1, tmp_path)


@pytest.mark.fault
def test_every_misbehaviour_twenty_times(tmp_path: Path) -> None:
    nothing_is_lost_or_bought_twice(20, tmp_path)


@pytest.mark.parametrize("behaviour", ["hangs", "drips", "rate limited, in an hour", "html"])
def test_what_never_ends_well_is_set_aside_and_the_others_go_on(behaviour: str, tmp_path: Path) -> None:
    """Asks 0 and 5 of 10 are never answered."""
    with FlakyServer(lambda seed: behaviour if seed % 5 == 0 else GOOD, visits=1e9) as server:
        engine = engine_for(server, deadline_seconds=1.0, timeout_seconds=0.4, ledger=tmp_path / REQUESTS)
        got: list[int] = []
        begin = time.monotonic()
        with pytest.raises(ReliftError) as error, engine:
            for i, reply in engine.stream(asks_of(10), WARM):
                assert reply.text == answer_to(i)
                got.append(i)
        assert time.monotonic() - begin < 3
        assert sorted(got) == [1, 2, 3, 4, 6, 7, 8, 9]
        assert str(error.value).startswith("2 of 10 asks got no answer; the first, q") and "\n" not in str(error.value)
        server.behaviour_of = lambda seed: GOOD
        assert ask_all(server, asks_of(10), ledger=tmp_path / REQUESTS) == [answer_to(i) for i in range(10)]
        assert server.sold == dict.fromkeys(range(10), 1)


def test_another_question_is_asked_anew(tmp_path: Path) -> None:
    """The same key with another seed, prompt or setting is not what was bought."""
    ask = asks_of(1)[0]
    with FlakyServer() as server:
        for n, (changed, sampling) in enumerate(
            (
                (ask, WARM),
                (ask, replace(WARM, temperature=0.5)),
                (replace(ask, seed=1), WARM),
                (replace(ask, prompt=Prompt((3, 4))), WARM),
                (replace(ask, key="q1/0/0"), WARM),
            )
        ):
            for _ in range(2):
                with engine_for(server, ledger=tmp_path / REQUESTS) as engine:
                    assert answers(engine, [changed], sampling)[0].text == answer_to(changed.seed)
                assert sum(server.asked.values()) == n + 1


def test_unusable_answers_are_not_bought_for_ever() -> None:
    with FlakyServer(lambda seed: "choices null", visits=1e9) as server:
        with pytest.raises(ReliftError, match="given up after 4 tries: status 200, but choices is not as it should be"):
            ask_all(server, asks_of(1))
        assert server.asked[0] == 4


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307])
def test_a_refusal_for_all_ends_it_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engines import flaky_server

    monkeypatch.setitem(flaky_server.REPLIES, "refused", lambda r: (status, {"location": "http://x"}, b"no\nway"))
    with FlakyServer(lambda seed: "refused", visits=1e9) as server:
        with pytest.raises(ReliftError, match=f"^the server refuses: status {status}: 'no way'$"):
            ask_all(server, asks_of(50), concurrency=1)
        assert sum(server.asked.values()) == 1


def test_a_refusal_of_one_ask_is_of_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engines import flaky_server

    monkeypatch.setitem(flaky_server.REPLIES, "bad request", lambda r: (400, {}, b"too long"))
    with FlakyServer(lambda seed: "bad request" if seed == 3 else GOOD, visits=1e9) as server:
        with pytest.raises(ReliftError, match="1 of 9 asks got no answer; the first, q3/0/0: status 400: 'too long'"):
            ask_all(server, asks_of(9))
        assert server.asked[3] == 1 and sum(server.sold.values()) == 8
    with FlakyServer(lambda seed: "bad request", visits=1e9) as server:
        with pytest.raises(ReliftError, match="the server refuses: status 400"):
            ask_all(server, asks_of(100), concurrency=4)
        assert sum(server.asked.values()) < 20


def test_concurrency_is_what_was_asked_for() -> None:
    with FlakyServer(delay_seconds=0.02) as server:
        ask_all(server, asks_of(40), concurrency=5)
        assert server.most_under_way == 5


# ---- what is sent and what is read ---------------------------------------------------------------------------------


def test_every_setting_is_sent() -> None:
    sampling = Sampling(9, temperature=0.6, top_p=0.9, top_k=20, stop_token_ids=(2, 7), stop=("##",))
    ask = AttemptRequest("q/0/0", Prompt((3, 4), (("system", "s"), ("user", "u"))), 2**63 - 1)
    with FlakyServer() as server:
        for api, prompt in (
            ("completions", {"prompt": [3, 4]}),
            ("chat", {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}),
        ):
            with engine_for(server, api=api) as engine:
                assert len(answers(engine, [ask], sampling)) == 1
            path, _, body = server.requests[-1]
            assert path == f"/v1/{'chat/' if api == 'chat' else ''}completions"
            assert body == prompt | {
                "model": "tiny", "max_tokens": 9, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.0,
                "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "n": 1, "stream": False,
                "seed": 2**63 - 1, "stop": ["##"], "stop_token_ids": [2, 7], "ignore_eos": True,
                "skip_special_tokens": True, "spaces_between_special_tokens": False,
            }  # fmt: skip


def test_an_unknown_server_is_asked_in_turns_and_in_plain_terms() -> None:
    with FlakyServer(models={"data": [{"id": "tiny", "owned_by": "somebody"}]}) as server:
        engine = engine_for(server, api="auto")
        assert engine.describe() == {
            "name": "openai", "host": "loopback", "api": "chat", "server": "somebody", "version": None,
            "model": "tiny", "seed_bits": 31, "thinking": ["<think>", "</think>"],
        }  # fmt: skip
        ask = replace(asks_of(1, turns=True)[0], seed=2**62 + 5, prompt=Prompt((), (("user", "1+1?"),)))
        with engine:
            assert answers(engine, [ask], WARM)[0].text == answer_to(5)
        assert not {"top_k", "stop_token_ids", "ignore_eos", "prompt"} & set(server.requests[-1][2])
        with pytest.raises(InputError, match="asked in turns, and the prompts are plain text"):
            engine.check(asks_of(1), WARM)
        with pytest.raises(InputError, match="top_k is set"):
            engine.check([ask], replace(WARM, top_k=5))


def test_a_known_server_says_what_it_is() -> None:
    with FlakyServer() as server:
        described = engine_for(server).describe()
        assert (described["server"], described["version"], described["api"]) == ("vllm", "0.1", "completions")
        assert engine_for(server, api="auto", tokenizer="somewhere").describe()["api"] == "completions"
        assert engine_for(server, api="auto").describe()["api"] == "chat"  # nobody makes token ids


def test_where_nobody_knows_tokens_the_server_ends_answers() -> None:
    with FlakyServer() as server, engine_for(server, api="chat") as engine:
        answers(engine, [AttemptRequest("q/0/0", Prompt((), (("user", "1+1?"),)), 1)], WARM)
        assert server.requests[-1][2]["ignore_eos"] is False


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize(
    ("content", "finish", "opened", "text"),
    [
        ("4", "stop", False, "<think>2+2</think>4"),
        ("4", "stop", True, "2+2</think>4"),  # the template has opened the thoughts
        (None, "length", False, "<think>2+2"),  # cut off in the middle of them: never closed
        (None, "stop", False, "<think>2+2</think>"),
    ],
)
def test_thoughts_are_put_back(field: str, content: str | None, finish: str, opened: bool, text: str) -> None:  # noqa: FBT001
    message = {"role": "assistant", "content": content, field: "2+2"}
    choice = {"message": message, "finish_reason": finish}
    with FlakyServer(body=lambda r: good_body(r, choices=[choice])) as server:
        ask = AttemptRequest("q/0/0", Prompt((3,), (("user", "2+2?"),), thoughts_opened=opened), 1)
        with engine_for(server, api="chat") as engine:
            (reply,) = answers(engine, [ask], WARM)
    assert texts([reply]) == [(text, Finish(finish), 7)]


def test_a_cut_answer_without_content_is_an_empty_answer_that_was_cut() -> None:
    choice = {"message": {"content": None}, "finish_reason": "length"}
    with FlakyServer(body=lambda r: good_body(r, choices=[choice])) as server:
        with engine_for(server, api="chat") as engine:
            assert texts(answers(engine, asks_of(1, turns=True), WARM)) == [("", Finish.length, 7)]


@pytest.mark.parametrize("behaviour", OUTCOMES)
def test_an_ending_is_the_outcome_of_its_question(behaviour: str, tmp_path: Path) -> None:
    _, text, finish = OUTCOMES[behaviour]
    events: list[str] = []
    with FlakyServer(lambda seed: behaviour, visits=1e9) as server:
        engine = OpenAIAnswers(
            "tiny", replace(FAST, base_url=server.base_url, api="completions"), on_event=events.append
        )
        engine.ledger = tmp_path / REQUESTS
        for _ in range(2):  # the second time from the ledger
            with engine:
                (reply,) = answers(engine, asks_of(1), WARM)
            assert (reply.text, reply.finish) == (answer_to(0) if text is None else text, finish)
        assert server.asked == {0: 1}
    said = [line for line in events if "withheld or broken off by the server" in line]
    assert len(said) == (finish is Finish.refused)


@pytest.mark.parametrize(
    ("message", "finish", "text"),
    [
        ({"content": None, "reasoning": None}, "stop", ("", Finish.stop)),
        ({}, "content_filter: PROHIBITED_CONTENT", ("", Finish.refused)),
        ({"content": None, "refusal": "I cannot"}, "stop", ("", Finish.refused)),
        ({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]}, "stop", ("42", Finish.stop)),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                         {"type": "text", "text": "4"}]},
            "stop", ("<think>2+2</think>4", Finish.stop),
        ),
        ({"content": [{"type": "thinking", "thinking": "2+"}]}, "length", ("<think>2+", Finish.length)),
        ({"content": []}, "stop", ("", Finish.stop)),
    ],
)  # fmt: skip
def test_contents_of_every_form(message: dict[str, Any], finish: str, text: tuple[str, Finish]) -> None:
    choice = {"message": message, "finish_reason": finish}
    with FlakyServer(body=lambda r: good_body(r, choices=[choice])) as server:
        with engine_for(server, api="chat") as engine:
            assert texts(answers(engine, asks_of(1, turns=True), WARM)) == [(*text, 7)]
        assert server.asked == {0: 1}


CONTEXT = {
    "openai": "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (16000 in the "
    "messages, 106946 in the completion).",
    "vllm": "'max_tokens' or 'max_completion_tokens' is too large: 10000. This model's maximum context length is 16384 "
    "tokens and your request has 16000 input tokens (10000 > 16384 - 16000).",
    "vllm, later": "You passed 16000 input tokens and requested 512 output tokens. However, the model's context length "
    "is only 16384 tokens, resulting in a maximum input length of 15872 tokens.",
    "sglang": "Requested token count exceeds the model's maximum context length of 16384 tokens. You requested a total "
    "of 24192 tokens: 16000 tokens from the input messages and 8192 tokens for the completion.",
    "llama.cpp": 'the request exceeds the available context size", "n_prompt_tokens":16000,"n_ctx":16384, "x": "',
}


@pytest.mark.parametrize("words", CONTEXT.values(), ids=CONTEXT)
def test_a_context_that_the_server_tells(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engines import flaky_server

    refusal = (400, {}, b'{"error": {"message": "' + words.encode() + b'"}}')
    monkeypatch.setitem(flaky_server.REPLIES, "too long", lambda r: refusal)
    fits = "the model reads 16,384 tokens and this prompt has 16,000; 12 were asked for: use --max-tokens 384"
    with FlakyServer(lambda seed: "too long" if seed == 0 else GOOD, visits=1e9) as server:
        with pytest.raises(ReliftError, match=f"1 of 9 asks got no answer; the first, q0/0/0: status 400: {fits}"):
            ask_all(server, asks_of(9))
        assert (server.asked[0], sum(server.sold.values())) == (1, 8)
        server.behaviour_of = lambda seed: "too long"
        with pytest.raises(ReliftError, match=f"the server refuses: status 400: {fits}"):
            ask_all(server, asks_of(9), concurrency=1)


FIELDS = {
    "mistral": ('{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}',
                422, "seed", "leave it out with --engine-option omit=seed"),
    "openai": ('{"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported with this model. Use '
               '\'max_completion_tokens\' instead."}}', 400, "max_tokens",
               "use --engine-option length_field=max_completion_tokens"),
    "value": ('{"error": {"message": "Unsupported value: \'temperature\' does not support 0.6 with this model."}}', 400,
              "temperature", "leave it out with --engine-option omit=temperature"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "field", "mend"), FIELDS.values(), ids=FIELDS)
def test_a_field_that_the_server_does_not_take(
    body: str, status: int, field: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engines import flaky_server

    monkeypatch.setitem(flaky_server.REPLIES, "strict", lambda r: (status, {}, body.encode()))
    models = {"data": [{"id": "tiny", "owned_by": "somebody"}]}
    with FlakyServer(lambda seed: "strict", visits=1e9, models=models) as server:
        with pytest.raises(ReliftError, match=f"the server does not take {field}: {mend}"):
            ask_all(server, asks_of(9, turns=True), api="chat", concurrency=1)
        assert sum(server.asked.values()) == 1


def test_fields_are_left_out_where_asked_and_where_they_are_the_standards() -> None:
    models = {"data": [{"id": "tiny", "owned_by": "somebody"}]}
    with FlakyServer(models=models) as server:
        ask_all(server, asks_of(1, turns=True), api="chat")
        plain = {"model", "messages", "max_tokens", "temperature", "top_p", "seed"}
        assert set(server.requests[-1][2]) == plain
        changed = {"api": "chat", "omit": ("top_p",), "length_field": "max_completion_tokens"}
        ask_all(server, asks_of(1, turns=True), **changed)
        assert set(server.requests[-1][2]) == plain - {"top_p", "max_tokens"} | {"max_completion_tokens"}
        assert engine_for(server, **changed).describe()["omitted"] == ["top_p"]
        with pytest.raises(InputError, match="no setting of a request is 'topp'; nearest: top_p"):
            engine_for(server, omit=("topp",))
        with pytest.raises(InputError, match="length_field=tokens: use max_tokens or max_completion_tokens"):
            engine_for(server, length_field="tokens")


def test_a_server_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers three asks and is gone; what was bought is kept, and bought once."""
    monkeypatch.setattr(openai_session, "GONE_SECONDS", 0.5)
    got: list[int] = []
    with FlakyServer(lambda seed: GOOD if seed < 3 else "hangs", visits=1e9) as server:
        options = {"ledger": tmp_path / REQUESTS, "concurrency": 2, "deadline_seconds": 60.0}
        with engine_for(server, **options) as engine, pytest.raises(ServerGone) as error:
            for i, _ in engine.stream(asks_of(20), WARM):
                got.append(i)
                if len(got) == 3:
                    server.stop()
    assert error.value.exit_status == 5
    assert "3 of 20 asks were answered and are kept: start it, then the same command again" in str(error.value)
    assert "--max-num-batched-tokens 6 (the prompts under way)" in str(error.value)  # two of three tokens
    assert sorted(got) == [0, 1, 2] and len(read_ledger(tmp_path / REQUESTS).replies) == 3


def test_a_proxy_that_drops_every_connection_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections dropped at once count as none, for a while without any reply; between replies they are repeated."""
    monkeypatch.setattr(openai_session, "GONE_SECONDS", 0.5)
    options = {"ledger": tmp_path / REQUESTS, "concurrency": 2, "deadline_seconds": 60.0}
    with FlakyServer(lambda seed: GOOD if seed < 3 else "resets", visits=1e9) as server:
        with engine_for(server, **options) as engine, pytest.raises(ServerGone, match="3 of 20 asks were answered"):
            list(engine.stream(asks_of(20), WARM))
    assert len(read_ledger(tmp_path / REQUESTS).replies) == 3
    with FlakyServer(lambda seed: "resets", visits=2) as server:
        assert len(ask_all(server, asks_of(5))) == 5


def test_tokens_that_the_server_does_not_count() -> None:
    with FlakyServer(body=lambda r: good_body(r, usage=None)) as server:
        with pytest.raises(ReliftError, match="does not say how many tokens .* --tokenizer"):
            ask_all(server, asks_of(5))
        options = replace(FAST, base_url=server.base_url, api="completions")
        with OpenAIAnswers("tiny", options, count_tokens=len) as engine:
            assert answers(engine, asks_of(1), WARM)[0].n_tokens == len(answer_to(0)) + 1


# ---- before anything is spent --------------------------------------------------------------------------------------


def test_nobody_there(tmp_path: Path) -> None:
    with FlakyServer() as server:
        url = server.base_url
    for options, message in (
        (replace(FAST, base_url=url), f"--base-url {url}: no server that answers there: cannot connect"),
        (replace(FAST, base_url=None), "--base-url is missing"),
        (replace(FAST, base_url="localhost:8000"), "is no address"),
        (replace(FAST, base_url="http://[::1"), "is no address"),
        (replace(FAST, base_url="http://me:secret@host/v1"), "holds a user name, a password or a query"),
        (replace(FAST, base_url=url, api="telnet"), "--engine-option api=telnet"),
        (replace(FAST, base_url=url, concurrency=0), "--engine-option concurrency=0"),
        (replace(FAST, base_url=url, max_usd=1.0), "needs both prices"),
    ):
        with pytest.raises(InputError) as error:
            OpenAIAnswers("tiny", options).describe()
        assert message in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (b"<html>", "does not speak OpenAI's protocol; is /v1 missing?"),
        (b"[1]", "does not speak OpenAI's protocol"),
        (b"[" * 100_000, "does not speak OpenAI's protocol"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, "no model 'tiny' there; it serves a, b"),
        (401, "status 401: 'not here'"),
    ],
)
def test_a_server_that_is_another(models: Any, message: str) -> None:
    with FlakyServer(models=models) as server, pytest.raises(InputError) as error, engine_for(server):
        pass
    assert message in str(error.value)


def test_a_provider_without_a_list_of_models() -> None:
    with FlakyServer(models=404) as server:
        assert engine_for(server, api="auto").describe()["api"] == "chat"
        assert ask_all(server, asks_of(2, turns=True), api="auto") == [answer_to(0), answer_to(1)]


def test_by_name() -> None:
    with FlakyServer() as server:
        source = ModelSource("tiny", None, "tiny")
        with open_answerer(
            "openai", source, options=replace(FAST, base_url=server.base_url, api="completions")
        ) as engine:
            assert len(answers(engine, asks_of(3), WARM)) == 3


# ---- budgets -------------------------------------------------------------------------------------------------------


def test_budgets_hold_over_all_starts(tmp_path: Path) -> None:
    """An answer may take 12 tokens and takes 7. With 40: 7 * 4 + 12 = 40 allows five answers, 7 * 5 + 12 = 47 not."""
    with FlakyServer() as server:
        for _ in range(2):
            with pytest.raises(GuardStop, match="35 tokens have been bought, the next answer may take 12, and max"):
                ask_all(server, asks_of(20), ledger=tmp_path / REQUESTS, max_completion_tokens=40)
            assert sum(server.sold.values()) == 5
        with pytest.raises(GuardStop, match="11 requests have been made.*; 6 of 15 asks were answered"):
            ask_all(server, asks_of(20), ledger=tmp_path / REQUESTS, max_requests=11)
        assert sum(server.sold.values()) == 11
        ask_all(server, asks_of(20), ledger=tmp_path / REQUESTS)
        assert server.sold == dict.fromkeys(range(20), 1)


def test_a_budget_in_dollars() -> None:
    """A prompt of 3 tokens and 12 more may cost 3 + 12 * 10 = 123 millionths, and costs 5 + 7 * 10 = 75. With 500:
    75 * n + 123 <= 500 up to n = 5, so six answers."""
    with FlakyServer() as server:
        prices = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 10.0}
        with pytest.raises(GuardStop, match=r"\$0.00045 are spent, the next answer may cost \$0.000123, and max_usd"):
            ask_all(server, asks_of(20), max_usd=500e-6, **prices)
        assert sum(server.sold.values()) == 6


def test_a_request_that_was_broken_off_may_have_been_charged() -> None:
    """The first try hangs and counts 12 tokens. 12 + 12 <= 24 allows the second; 12 + 7 + 12 no other ask."""
    with FlakyServer(lambda seed: "hangs" if seed == 0 else GOOD) as server:
        with pytest.raises(GuardStop, match="19 tokens have been bought"):
            ask_all(server, asks_of(2), concurrency=1, max_completion_tokens=24)
        assert server.sold == {0: 1}


def sent_and_killed(path: Path, n: int, *, request: str = "r") -> None:
    """Write the ledger of a start that was killed with n requests of 3 and at most 12 tokens under way."""
    with Ledger(path) as ledger:
        for i in range(n):
            ledger.note_sent(f"k{i}", request, most=(3, 12))


def test_what_was_under_way_at_a_kill_counts_as_spent(tmp_path: Path) -> None:
    """Three unknown ones count 36 tokens; 36 + 12 <= 48 allows one answer of 7, then 36 + 7 + 12 = 55 no other.
    In dollars: 3 * 123 = 369 millionths, 369 + 123 <= 492 allows one."""
    with FlakyServer() as server:
        sent_and_killed(tmp_path / "a", 3)
        with pytest.raises(GuardStop, match="43 tokens have been bought"):
            ask_all(server, asks_of(5), ledger=tmp_path / "a", max_completion_tokens=48)
        assert sum(server.sold.values()) == 1
        sent_and_killed(tmp_path / "b", 3)
        prices = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 10.0}
        with pytest.raises(GuardStop, match=r"\$0.000444 are spent"):
            ask_all(server, asks_of(5, first=9), ledger=tmp_path / "b", max_usd=492e-6, **prices)
        assert sum(server.sold.values()) == 2


def test_replies_without_choices_count_in_later_starts_and_refusals_do_not(tmp_path: Path) -> None:
    """Four tries of one ask at 12 tokens each: 48 of 60 are gone, and the next start has one try left."""
    with FlakyServer(lambda seed: "choices null", visits=1e9) as server:
        with pytest.raises(ReliftError, match="given up after 4 tries"):
            ask_all(server, asks_of(1), ledger=tmp_path / REQUESTS, max_completion_tokens=60)
        with pytest.raises(GuardStop, match="60 tokens have been bought"):
            ask_all(server, asks_of(1), ledger=tmp_path / REQUESTS, max_completion_tokens=60)
        assert server.asked == {0: 5}
    with FlakyServer(lambda seed: "rate limited, soon", visits=3) as server:
        ask_all(server, asks_of(1), ledger=tmp_path / "free", max_completion_tokens=12)
        with pytest.raises(GuardStop, match="7 tokens have been bought"):
            ask_all(server, asks_of(1, first=1), ledger=tmp_path / "free", max_completion_tokens=12)


@pytest.mark.parametrize("value", ["sk-proj-abc", "hf_aBcD1234", "a b"])
def test_a_key_in_place_of_a_variables_name_is_not_shown(value: str) -> None:
    with pytest.raises(InputError, match="looks like a key itself") as caught:
        OpenAIAnswers("tiny", replace(FAST, base_url="http://127.0.0.1:1/v1", api_key_env=value))
    assert value not in str(caught.value)


def test_a_key_that_comes_back_in_escapes_is_blotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", CANARY)
    client = HttpClient("http://127.0.0.1:1/v1", read_key("SOME_KEY"), connections=1)
    escaped = "".join(f"\\u{ord(c):04x}" for c in CANARY)
    data = client._without_key(f'{{"text": "I know {escaped}, \\u00e9"}}'.encode())
    assert json.loads(data) == {"text": "I know [key], é"}


# ---- keys, kills, leaving early ------------------------------------------------------------------------------------


def test_a_key_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """The server sends the key back wherever it can: in errors, in answers, in its name."""
    monkeypatch.setenv("SOME_KEY", CANARY)
    from tests.engines import flaky_server

    echo = json.dumps({"error": f"bad key {CANARY}"}).encode()
    monkeypatch.setitem(flaky_server.REPLIES, "echo", lambda r: (500, {}, echo))
    events: list[str] = []
    models = {"data": [{"id": "tiny", "owned_by": f"vllm {CANARY}"}]}
    body = lambda r: good_body(r, choices=[{"message": {"content": f"I know {CANARY}"}, "finish_reason": "stop"}])  # noqa: E731
    with FlakyServer(lambda seed: "echo", models=models, body=body) as server:
        options = replace(FAST, base_url=server.base_url, api_key_env="SOME_KEY")
        engine = OpenAIAnswers("tiny", options, on_event=events.append)
        engine.ledger = tmp_path / REQUESTS
        with engine:
            replies = answers(engine, asks_of(3, turns=True), WARM)
        server.visits = 1e9
        with pytest.raises(ReliftError) as error, OpenAIAnswers("tiny", replace(options, deadline_seconds=0.2)) as last:
            answers(last, asks_of(2, first=5, turns=True), WARM)
        assert all(headers["authorization"] == f"Bearer {CANARY}" for _, headers, _ in server.requests)
    assert [reply.text for reply in replies] == ["I know [key]"] * 3
    assert "bad key [key]" in str(error.value) and "bad key [key]" in events[0]
    seen = [str(error.value), *events, json.dumps(engine.describe()), repr(vars(engine)), *capfd.readouterr()]
    seen += [path.read_text() for path in tmp_path.iterdir()]
    assert not any(CANARY in text for text in seen)


def test_a_key_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(FAST, base_url="http://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY")
    with pytest.raises(
        InputError, match="--engine-option api_key_env=NO_SUCH_KEY: this environment variable is not set"
    ):
        OpenAIAnswers("tiny", options)
    monkeypatch.setenv("NO_SUCH_KEY", f"{CANARY}\nX: y")
    with pytest.raises(InputError, match="cannot be a key") as error:
        OpenAIAnswers("tiny", options)
    assert CANARY not in str(error.value)


def test_leaving_early_ends_the_requests(tmp_path: Path) -> None:
    with FlakyServer(lambda seed: "hangs" if seed > 3 else GOOD, visits=1e9) as server:
        with engine_for(server, timeout_seconds=60.0, deadline_seconds=60.0, ledger=tmp_path / REQUESTS) as engine:
            begin = time.monotonic()
            stream = engine.stream(asks_of(20), WARM)
            next(stream)
            stream.close()
            assert time.monotonic() - begin < 5
        assert 1 <= len(read_ledger(tmp_path / REQUESTS).replies) <= 4


STREAM = """
import sys
from pathlib import Path
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.engines.options import OpenAIOptions
from relift.engines.openai import OpenAIAnswers
answerer = OpenAIAnswers("tiny", OpenAIOptions(base_url=sys.argv[1], concurrency=8, api="completions"))
answerer.ledger = Path(sys.argv[2])
with answerer as engine:
    asks = [AttemptRequest(f"q{i}/0/0", Prompt((3, 4, 5)), i) for i in range(400)]
    for i, reply in engine.stream(asks, Sampling(max_tokens=12)):
        print(i, reply.text, flush=True)
"""


def kills_buy_twice_at_most_what_was_under_way(n_kills: int, folder: Path) -> None:
    with FlakyServer(delay_seconds=0.01) as server:
        said: dict[int, str] = {}
        for kill in range(n_kills + 1):
            child = subprocess.Popen(
                [sys.executable, "-c", STREAM, server.base_url, str(folder / REQUESTS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert child.stdout is not None
            before = len(said)
            for line in child.stdout:
                i, text = line.rstrip("\n").split(" ", 1)
                assert said.setdefault(int(i), text) == text
                if kill < n_kills and len(said) >= before + 400 // (n_kills + 2):
                    child.kill()
                    break
            child.stdout.close()
            child.wait()
        assert said == {i: answer_to(i) for i in range(400)}
        assert child.returncode == 0
        assert sum(server.sold.values()) - 400 <= 8 * n_kills
        assert max(server.sold.values()) <= 2


def test_a_kill_buys_twice_at_most_what_was_under_way(tmp_path: Path) -> None:
    kills_buy_twice_at_most_what_was_under_way(2, tmp_path)


@pytest.mark.fault
def test_twenty_kills_buy_twice_at_most_what_was_under_way(tmp_path: Path) -> None:
    kills_buy_twice_at_most_what_was_under_way(20, tmp_path)
