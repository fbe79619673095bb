"""Use generated inputs as the product does: grade, load a checkpoint and answer, open a run and go on, ask a server,
read questions."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relift import confined
from relift.analysis import read_trajectories
from relift.data.questions import read_questions
from relift.engines import openai_session
from relift.engines.hf_model import load_tokenizer
from relift.engines.open import open_answerer
from relift.engines.openai import OpenAIAnswers
from relift.engines.options import OpenAIOptions
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import ReliftError
from relift.evaluate.models import read_model
from relift.grading import Grader, Submission
from relift.grading.gold_check import kind_of_golds
from relift.prompts import render
from relift.schema import TABLES, Verdict
from relift.store import RunReader, RunWriter, check_run, resolve_runs
from relift.store.files import read_record, record_bytes
from relift.store.ledger import read_ledger
from tests.engines.flaky_server import FlakyServer, good_body
from tests.generated.makers import answer_text, json_text, odd_bytes, odd_json

GRADING_LIMIT = 1.0  # seconds of one answer in the workers
KINDS_OF_ANSWERS = ("math", "exact", "choice")
GOLDS = {"math": ("5", "\\frac{1}{2}", "x^2+1", "(1,2]", "\\pi"), "exact": ("17", "-3"), "choice": ("A", "C")}


@cache
def grader() -> Grader:
    """Make a grader with its workers started, in the process that asks first."""
    made = Grader(workers=2, limit_seconds=GRADING_LIMIT)
    made.judge([Submission("f(2)", "\\boxed{f(1+1)}", kind="math")])
    return made


def grade(rng: random.Random, folder: Path) -> None:
    """Grade one text; as the gold answer too where it is short, as a question of a stranger may have it."""
    kind = rng.choice(KINDS_OF_ANSWERS)
    text, gold = answer_text(rng), rng.choice(GOLDS[kind])
    if len(text) < 200 and rng.random() < 0.2:
        text, gold = gold, text
    options = ("1", "2 cm", "x", "none of these") if kind == "choice" else ()
    judged = grader().judge([Submission(gold, text, kind=kind, options=options)])
    assert len(judged) == 1 and judged[0].verdict in tuple(Verdict)


TEMPLATE_PIECES = (
    "{% for m in messages %}", "{% endfor %}", "{{ m.content }}", "{{ m['content'] }}", "{% if m.role == 'user' %}",
    "{% endif %}", "{{ bos_token }}", "{{ eos_token }}", "{% if add_generation_prompt %}", "{{ 1/0 }}", "{{ 'a' + 1 }}",
    "{% for i in range(99999) %}", "{{ 'a' * 10**9 }}", "{{ '%9999999999d' % 1 }}", "{% include 'x' %}",
    "{{ raise_exception('\x1b[31m no') }}", "{{ messages | tojson }}", "{{ cycler.__init__.__globals__ }}",
    "{{ ''.__class__.__mro__ }}", "{% set ns = namespace(x=0) %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ strftime_now('%d') }}", "{{ tools }}", "{% break %}", "{%", "}}", "{#", "x", "\n", "{{ messages[9].content }}",
    "{{ 10**10**7 }}", "{{ 'x' | center(10**9) }}", "{{ lipsum(n=100000) }}",
)  # fmt: skip
SAMPLING = Sampling(max_tokens=2)


def use_checkpoint(rng: random.Random, folder: Path, *, base: Path) -> None:
    """Change the files of a sound checkpoint and answer a prompt with it, or have it refused with nothing written."""
    confined.CPU_SECONDS = 1  # of a template: the product's ten would make these tests long
    own = folder / "model"
    shutil.copytree(base, own)
    spoil_checkpoint(rng, own)
    before = {path.name: path.stat().st_size for path in own.iterdir()}
    try:
        model = read_model(str(own), engine="torch", revision=None, tokenizer=None, warn=lambda line: None)
        template = "chat" if model.chat_template else "plain"
        rendered = render("1+1=", template, model.tokenizer, setting="data.prompt =")
        ask = AttemptRequest("q/0/0", Prompt(rendered.token_ids), 0)
        sampling = Sampling(**{**vars(SAMPLING), "stop_token_ids": model.stop_token_ids})
        answerer = open_answerer("torch", model.source)
        answerer.check([ask], sampling)
        with answerer:
            replies = list(answerer.stream([ask], sampling))
        assert len(replies) == 1 and replies[0][1].n_tokens <= SAMPLING.max_tokens
    finally:
        assert before == {path.name: path.stat().st_size for path in own.iterdir()}
        assert [path.name for path in folder.iterdir()] == ["model"]
        shutil.rmtree(folder)


def changed(rng: random.Random, data: bytes) -> bytes:
    """Change a JSON file, which an earlier change may have made unreadable."""
    try:
        value = json.loads(data)
    except ValueError:
        return odd_bytes(rng, data)
    return json_text(odd_json(rng, value)).encode("utf-8", "surrogatepass")


def spoil_checkpoint(rng: random.Random, own: Path) -> None:
    """Change one or two files of a checkpoint."""
    for _ in range(rng.choice((1, 1, 2))):
        act = rng.randrange(8)
        files = sorted(path for path in own.iterdir() if path.suffix == ".json")
        config = own / "config.json"
        if act <= 2:  # of config.json a value, where most is to be broken
            config.write_bytes(changed(rng, config.read_bytes()))
            return
        if act == 3:
            path = rng.choice(files)
            path.write_bytes(changed(rng, path.read_bytes()))
            return
        if act == 4:
            path = rng.choice(sorted(path for path in own.iterdir() if path.is_file()))
            path.write_bytes(odd_bytes(rng, path.read_bytes()))
        elif act == 5:
            text = "".join(rng.choice(TEMPLATE_PIECES) for _ in range(rng.randint(1, 9)))
            (own / "chat_template.jinja").write_text(text)
        elif act == 6:
            eos = odd_json(rng, {"eos_token_id": 2, "bos_token_id": 1, "temperature": 0.6, "do_sample": True})
            (own / "generation_config.json").write_text(json_text(eos), "utf-8", "surrogatepass")
        else:
            names = [f"model-{i}.safetensors" for i in range(2)] + ["x.bin", "../x.safetensors", "model.safetensors"]
            index = {"metadata": {}, "weight_map": {f"w{i}": rng.choice(names) for i in range(3)}}
            (own / "model.safetensors.index.json").write_text(json_text(odd_json(rng, index)), "utf-8", "surrogatepass")


def use_run(rng: random.Random, folder: Path, *, run: Path) -> None:
    """Change the records of a run, seal them again, and do with it what commands do. Nothing is written outside of it,
    nothing half."""
    own = folder / "run"
    shutil.copytree(run, own)
    records = sorted([own / "run.json", *own.glob("commits/*.json"), *own.glob("weights/*/manifest.json")])
    path = own / "run.json" if rng.random() < 0.6 else rng.choice(records)
    if rng.random() < 0.75:
        body = odd_json(rng, read_record(path))
        try:
            data = record_bytes(body)
        except (ValueError, AttributeError, TypeError, RecursionError):  # none that can be sealed
            data = json_text(body).encode("utf-8", "surrogatepass")
        path.write_bytes(data)
    else:
        path.write_bytes(odd_bytes(rng, path.read_bytes()))
    refused: list[ReliftError] = []
    for act in (_read_all, check_run, lambda f: resolve_runs([f]).sound(), lambda f: read_trajectories([f]), _go_on):
        try:
            act(own)
        except ReliftError as error:
            refused.append(error)
    left = [path.name for path in own.rglob("*") if path.name.startswith((".tmp-", ".del-"))]
    assert [path.name for path in folder.iterdir()] == ["run"] and left == []
    shutil.rmtree(folder)
    for error in refused:
        assert "\n" not in str(error) and len(str(error)) < 2_000, str(error)[:300]


def _read_all(folder: Path) -> None:
    reader = RunReader(folder)
    for table in TABLES:
        reader.read(table)


def _go_on(folder: Path) -> None:
    with RunWriter(folder) as writer:
        saved = next(iter(writer.checkpoints()), None)
        writer.roll_back(None if saved is None else saved.step)


class OddServer(FlakyServer):
    """Serve one reply that the test makes, then good ones; and what is asked of its models."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        super().__init__(lambda seed: "made", replies={"made": lambda request: self.reply})


@cache
def odd_server() -> OddServer:
    """Start the server in the process that asks first; it ends with it."""
    openai_session.FIRST_WAIT_SECONDS, openai_session.LONGEST_WAIT_SECONDS = 0.01, 0.05
    return OddServer().__enter__()


def ask_server(rng: random.Random, folder: Path) -> None:
    """Ask for two answers, the first replies to which are made here; then with a healed server again."""
    server = odd_server()
    first = rng.randrange(2**40)
    chat = rng.random() < 0.5
    request = {"seed": first} | ({"messages": []} if chat else {})
    body = odd_json(rng, good_body(request))
    data = json_text(body).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        data = odd_bytes(rng, data)
    status = rng.choice((200, 200, 200, 200, 201, 204, 301, 400, 401, 404, 413, 418, 429, 500, 503, 599))
    headers = rng.choice(({}, {}, {"retry-after": "0"}, {"retry-after": "x"}, {"retry-after": "-1"}, {"location": "/"}))
    if rng.random() < 0.3:
        content = rng.choice(("application/json", "text/html", "\x1b[31m", "application/json; charset=x"))
        headers = {**headers, "content-type": content}
    server.reply = status, headers, data
    if rng.random() < 0.3:
        server.models = odd_bytes(rng, json_text(odd_json(rng, _models())).encode("utf-8", "surrogatepass"))
    else:
        server.models = _models()
    asks = [AttemptRequest(f"q{i}/0/0", Prompt((3, 4, 5), (("user", "1+1?"),)), first + i) for i in range(2)]
    ledger = folder / "requests.jsonl"
    try:
        _answers(server, asks, ledger, chat=chat)
    except ReliftError as error:
        assert len(str(error).splitlines()) == 1, str(error)
    server.models = _models()
    server.visits, visits = 0, server.visits
    try:
        replies = _answers(server, asks, ledger, chat=chat)
    finally:
        server.visits = visits
    assert len(replies) == 2
    contents = read_ledger(ledger)
    assert contents.damaged_lines == [] and not contents.torn
    pd.DataFrame({"text": [reply.text for reply in replies]}).to_json()  # no lone surrogate
    for reply in replies:
        assert 0 <= reply.n_tokens <= 64 and (reply.sum_logprob is None or math.isfinite(reply.sum_logprob))


def _models() -> dict[str, Any]:
    return {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 100}]}


def _answers(server: FlakyServer, asks: list[AttemptRequest], ledger: Path, *, chat: bool) -> list[Any]:
    options = OpenAIOptions(
        base_url=server.base_url, api="chat" if chat else "completions", concurrency=2, timeout_seconds=0.5,
        deadline_seconds=2.0,
    )  # fmt: skip
    engine = OpenAIAnswers("tiny", options)
    engine.ledger = ledger
    with engine:
        return [reply for _, reply in sorted(engine.stream(asks, Sampling(max_tokens=64)), key=lambda pair: pair[0])]


ROWS: tuple[dict[str, Any], ...] = (
    {"problem": "1+1?", "answer": "2", "level": 1, "demonstration": "\\boxed{2}"},
    {
        "problem": "2+2?",
        "answer": "4",
        "source": "x",
        "split": "train",
        "demonstration": ["\\boxed{4}", "It is \\boxed{4}"],
    },
    {"problem": "Which?", "answer": "A", "options": ["x", "y"], "answer_kind": "choice", "demonstration": None},
)


_STRUCT = pa.struct([("content", pa.string()), ("y", pa.int64())])


def read_data(rng: random.Random, folder: Path) -> None:
    """Change a file of questions and read it: questions, or one refusal."""
    suffix = rng.choice((".jsonl", ".jsonl", ".parquet"))
    path = folder / f"questions{suffix}"
    if suffix == ".jsonl":
        rows = odd_json(rng, list(ROWS))
        rows = rows if isinstance(rows, list) else [rows]
        text = rng.choice(("\n", "\n", "\r\n", "\n\n", "\x00")).join(json_text(row) for row in rows)
        data = (rng.choice(("", "", "\ufeff")) + text).encode("utf-8", "surrogatepass")
        path.write_bytes(odd_bytes(rng, data) if rng.random() < 0.4 else data)
    else:
        data = _parquet(rng)
        path.write_bytes(odd_bytes(rng, data) if rng.random() < 0.5 else data)
    try:
        found = read_questions(path, answer_kind=kind_of_golds)
        assert all(q.problem.strip() and isinstance(q.answer, str) for q in found.questions)
        json.dumps(found.fingerprint).encode()
        "".join(q.problem + q.answer for q in found.questions).encode()  # no lone surrogate
    finally:
        assert [each.name for each in folder.iterdir()] == [path.name]
        shutil.rmtree(folder)


def _parquet(rng: random.Random) -> bytes:
    """Write a parquet file with odd columns: other types, nulls, bombs of equal cells, two columns of a name."""
    n = rng.choice((0, 1, 3, 3, 1_000))
    wide = rng.choice((1, 10, 5_000_000 if n <= 3 else 1_000))
    made: dict[str, Callable[[], pa.Array]] = {
        "text": lambda: pa.array([f"{i}+1?" for i in range(n)], pa.string()),
        "long": lambda: pa.array(["a" * wide] * n, pa.string()),
        "number": lambda: pa.array([i % 9 for i in range(n)], rng.choice((pa.int8(), pa.float64(), pa.int64()))),
        "null": lambda: pa.nulls(n, rng.choice((pa.null(), pa.string()))),
        "list": lambda: pa.array([["x", None]] * n),
        "struct": lambda: pa.array([{"content": "x", "y": i} for i in range(n)], _STRUCT),
        "bytes": lambda: pa.array([b"\xff\x00" * 3] * n, pa.binary()),
        "time": lambda: pa.array([0] * n, pa.timestamp("ns")),
        "dictionary": lambda: pa.array(["a", "b", None][:n] if n <= 3 else ["a"] * n, pa.string()).dictionary_encode(),
        "map": lambda: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
    }  # fmt: skip
    names = [*rng.sample(("problem", "answer", "answer_kind", "options", "level", "demonstration"), 4), "problem", "x"]
    names = names if rng.random() < 0.1 else list(dict.fromkeys(names))
    columns = [made[rng.choice(("text", "text", *made))]() for _ in names]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, names=names), sink, compression=rng.choice(("zstd", "none", "gzip")))
    return bytes(sink.getvalue().to_pybytes())


def uses(base: Path, run: Path) -> dict[str, tuple[Callable[[random.Random, Path], None], float]]:
    """List each kind of input with its use and the seconds that it may take."""
    load_tokenizer(str(base))  # what is imported at the first use is no input's time or memory
    return {
        "grader text": (grade, GRADING_LIMIT),
        "checkpoint": (partial(use_checkpoint, base=base), 20.0),
        "run record": (partial(use_run, run=run), 5.0),
        "server reply": (ask_server, 8.0),
        "data file": (read_data, 5.0),
    }
