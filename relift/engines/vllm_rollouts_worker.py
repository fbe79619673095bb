"""Run vLLM for training in a process of its own: requests and weights come in, answers with log-probabilities go out.

JSON lines; arrays travel as base64 of little-endian int32 and float32.
In:   {"open": {arguments of vllm.LLM}, "sleeps": false}              first, once
      {"publish": file, "aliases": {name: name}, "version": n, "probe": [token ids]}
      {"generate": n, "sampling": {...}, "requests": [[[token ids], [seeds]], ...]}
      {"rest": true}                                                   free the GPU until something is asked again
Out:  {"ready": {...}}                                                 an engine with random weights is there
      {"published": n, "logprobs": array}                              of the probe's tokens but the first
      {"answers": [[number, tokens], ...], "tokens": array, "logprobs": array, "generate": n, "version": n}
      {"rested": true}
      {"beat": steps}                                                  now and then, so that silence means something

Answer number i of a `generate` is the i-th seed, counted over all its requests. The process ends with its input, and
with the thread that started it. What goes wrong is on its standard error.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

BEAT_SECONDS = 1.0
MEMORY_PARTS = ("weights", "kv_cache")  # vLLM's tags
PR_SET_PDEATHSIG = 1  # linux/prctl.h
Message = dict[str, Any]


def packed(values: Sequence[float] | Sequence[int], dtype: str) -> str:
    """Write the numbers as base64 text. `dtype`: <i4 or <f4."""
    return base64.b64encode(np.asarray(values, dtype=dtype).tobytes()).decode()


def sampling_params(sampling: Mapping[str, Any], seed: int) -> Any:
    """Make vLLM's settings, every field that concerns an answer set: no defaults of vLLM's or the checkpoint's count.

    `flat_logprobs` keeps the log-probabilities as plain lists: an object a token costs more than sampling it.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=1,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        repetition_penalty=1.0,
        temperature=sampling["temperature"],
        top_p=sampling["top_p"],
        top_k=sampling["top_k"],
        min_p=0.0,
        seed=seed if sampling["temperature"] > 0 else None,
        stop_token_ids=list(sampling["stop_token_ids"]),
        ignore_eos=True,  # an answer ends with one of our stop tokens and nothing else
        max_tokens=sampling["max_tokens"],
        min_tokens=0,
        logprobs=0,  # of the token drawn alone
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


class Worker:
    """Work with one engine on the requests of one call."""

    def __init__(self, llm: Any, out: TextIO, *, sleeps: bool) -> None:
        self.llm, self.engine, self.out, self.sleeps = llm, llm.llm_engine, out, sleeps
        self.asleep: set[str] = set()
        self.version: int | None = None
        self.call = 0
        self.number_of: dict[str, int] = {}  # request id -> number of the answer, of what is under way
        self.steps, self.last_beat = 0, time.monotonic()

    def take(self, message: Message) -> None:
        if "publish" in message:
            self.publish(message)
        elif "generate" in message:
            self.begin(message)
        elif "rest" in message:
            self.rest()

    def publish(self, message: Message) -> None:
        """Load the weights of the file, forget what was cached of the old ones, and tell the probe's numbers."""
        from safetensors.torch import load_file

        self.drop()
        self.wake("weights")
        tensors = load_file(message["publish"])
        os.unlink(message["publish"])  # mapped: its memory is given back with the tensors
        # Every entry by name, `lm_head.weight` of a tied model too: without it vLLM keeps the head it packed before.
        entries = [*tensors.items(), *((name, tensors[of]) for name, of in message["aliases"].items())]
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(entries)})
        del tensors, entries
        self.wake("kv_cache")
        self.llm.reset_prefix_cache()
        self.version = message["version"]
        self.say({"published": self.version, "logprobs": packed(self.prompt_logprobs(message["probe"]), "<f4")})

    def prompt_logprobs(self, token_ids: list[int]) -> list[float]:
        """Score every token but the first at temperature 1, given those before it."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, ignore_eos=True)
        prompt = TokensPrompt(prompt_token_ids=token_ids)
        (output,) = self.llm.generate(prompt, params, use_tqdm=False)
        places = zip(output.prompt_logprobs[1:], token_ids[1:], strict=True)
        return [entry[token].logprob for entry, token in places]

    def begin(self, message: Message) -> None:
        """Add all requests; attempts at one prompt one after the other, so that they find its keys and values."""
        from vllm.inputs import TokensPrompt

        self.drop()
        for part in MEMORY_PARTS:
            self.wake(part)
        self.call, number = message["generate"], 0
        for token_ids, seeds in message["requests"]:
            for seed in seeds:
                name = f"{self.call}-{number}"
                prompt = TokensPrompt(prompt_token_ids=token_ids)
                self.engine.add_request(name, prompt, sampling_params(message["sampling"], seed))
                self.number_of[name] = number
                number += 1

    def drop(self) -> None:
        """Forget requests of a call that is not waited for any more."""
        if self.number_of:
            self.engine.abort_request(list(self.number_of), internal=False)
            self.number_of.clear()

    def step(self) -> None:
        """Take one step of the engine; answers that ended go out."""
        ended, tokens, logprobs = [], [], []
        for output in self.engine.step():
            number = self.number_of.pop(output.request_id, None) if output.finished else None
            if number is not None:
                answer = output.outputs[0]
                ended.append([number, len(answer.token_ids)])
                tokens.extend(answer.token_ids)
                logprobs.extend(answer.logprobs.logprobs)
        self.steps += 1
        if ended:
            arrays = {"tokens": packed(tokens, "<i4"), "logprobs": packed(logprobs, "<f4")}
            self.say({"answers": ended, **arrays, "generate": self.call, "version": self.version})
        elif time.monotonic() - self.last_beat > BEAT_SECONDS:
            self.say({"beat": self.steps})

    def rest(self) -> None:
        """Give the GPU's memory back; weights are kept on the host, keys and values are forgotten."""
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=1)
            self.asleep = set(MEMORY_PARTS)
        self.say({"rested": True})

    def wake(self, part: str) -> None:
        """Take this part of the GPU's memory again, if it was given back."""
        if part in self.asleep:
            self.llm.wake_up(tags=[part])
            self.asleep.discard(part)

    def say(self, message: Message) -> None:
        self.out.write(json.dumps(message) + "\n")
        self.out.flush()
        self.last_beat = time.monotonic()

    def work(self, inbox: queue.SimpleQueue[Message]) -> None:
        """Work for ever; the end of the input ends the process."""
        while True:
            while not inbox.empty() or not self.engine.has_unfinished_requests():
                self.take(inbox.get())
            self.step()


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when the one that started it dies, even while this one is stopped."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(0)


def main() -> None:
    die_with_parent()
    # vLLM and what it loads print to standard output: our lines go where it pointed, theirs to standard error.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            inbox.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    from vllm import LLM

    message = inbox.get()
    llm = LLM(**message["open"])
    worker = Worker(llm, out, sleeps=message["sleeps"])
    worker.say({"ready": {"max_num_seqs": llm.llm_engine.vllm_config.scheduler_config.max_num_seqs}})
    worker.work(inbox)


if __name__ == "__main__":
    main()
