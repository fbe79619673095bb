"""Run vLLM in a process of its own: asks come in as JSON lines, answers go out as JSON lines.

In:   {"open": {arguments of vllm.LLM}}                        first, once
      {"sampling": {...}, "logprobs": false, "stream": n}      a new stream; what is left of the last one is dropped
      {"asks": [[index, [token ids], seed], ...]}              of the stream
Out:  {"ready": {...}}                                         the model is loaded
      {"replies": [[index, [token ids], sum of log-probabilities or null], ...], "stream": n}
      {"beat": steps}                                          now and then, so that silence means something

It ends with its input: whoever started it is gone then. What goes wrong is on its standard error. Steps of the engine
are taken by hand, so that answers leave as they are finished; `LLM.generate` returns when all are.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import Any, TextIO

from relift.engines.tokens import Sampling

BEAT_SECONDS = 1.0
Message = dict[str, Any]


class Worker:
    """One engine and the stream it works on."""

    def __init__(self, engine: Any, out: TextIO) -> None:
        self.engine, self.out = engine, out
        self.stream = 0
        self.index_of: dict[str, int] = {}  # request id -> index of the ask, of what is under way
        self.sampling = Sampling(max_tokens=1)
        self.logprobs = False
        self.steps, self.last_beat = 0, time.monotonic()

    def take(self, message: Message) -> None:
        if "sampling" in message:
            if self.index_of:
                self.engine.abort_request(list(self.index_of), internal=False)
                self.index_of.clear()
            fields = message["sampling"]
            self.sampling = Sampling(
                **{**fields, "stop": tuple(fields["stop"]), "stop_token_ids": tuple(fields["stop_token_ids"])}
            )
            self.stream, self.logprobs = message["stream"], message["logprobs"]
        for index, token_ids, seed in message.get("asks", ()):
            self._add(index, token_ids, seed)

    def _add(self, index: int, token_ids: list[int], seed: int) -> None:
        from vllm.inputs import TokensPrompt

        name = f"{self.stream}-{index}"
        prompt = TokensPrompt(prompt_token_ids=token_ids)
        self.engine.add_request(name, prompt, sampling_params(self.sampling, seed, logprobs=self.logprobs))
        self.index_of[name] = index

    def step(self) -> None:
        """Take one step of the engine; answers that ended go out."""
        replies = []
        for output in self.engine.step():
            index = self.index_of.pop(output.request_id, None) if output.finished else None
            if index is not None:
                answer = output.outputs[0]
                total = answer.cumulative_logprob if self.logprobs else None
                replies.append([index, list(answer.token_ids), total])
        self.steps += 1
        if replies:
            self.say({"replies": replies, "stream": self.stream})
        elif time.monotonic() - self.last_beat > BEAT_SECONDS:
            self.say({"beat": self.steps})

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


def sampling_params(sampling: Sampling, seed: int, *, logprobs: bool) -> Any:
    """vLLM's settings, every field that concerns an answer set: neither vLLM's nor the checkpoint's defaults count.

    Texts are made from the tokens by whoever asked, the same way for every engine; vLLM needs them for stop strings
    alone. An answer ends with one of our stop tokens and nothing else (`ignore_eos`).
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=1,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        repetition_penalty=1.0,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=0.0,
        seed=seed if sampling.temperature > 0 else None,
        stop=list(sampling.stop),
        stop_token_ids=list(sampling.stop_token_ids),
        ignore_eos=True,
        max_tokens=sampling.max_tokens,
        min_tokens=0,
        logprobs=0 if logprobs else None,
        detokenize=bool(sampling.stop),
        skip_special_tokens=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def warm_up(engine: Any) -> None:
    """Write one token, so that a model that this machine has no kernel for fails now."""
    from vllm.inputs import TokensPrompt

    prompt = TokensPrompt(prompt_token_ids=[0, 0])
    engine.add_request("warm-up", prompt, sampling_params(Sampling(max_tokens=2), 0, logprobs=False))
    while engine.has_unfinished_requests():
        engine.step()


def main() -> None:
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

    engine = LLM(**inbox.get()["open"]).llm_engine
    warm_up(engine)
    worker = Worker(engine, out)
    worker.say({"ready": {"max_num_seqs": engine.vllm_config.scheduler_config.max_num_seqs}})
    worker.work(inbox)


if __name__ == "__main__":
    main()
