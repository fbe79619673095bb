"""Sample training answers with vLLM, which runs in a child process and is started again when it dies or hangs.

An Engine (relift/engines/tokens.py). Weights come by `publish` alone: the child opens the model's configuration with
random weights, so that nothing is read from disk twice and a version that was never published cannot answer. After
every publication one forward pass on fixed tokens is compared with the learner's own numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self, TypeVar

import numpy as np
import torch

from relift.engines.checks import check_requests
from relift.engines.probe import Score, compare_probe, probe_tokens, tolerance_of
from relift.engines.tokens import Completion, Request, Sampling
from relift.engines.vllm import installed_version
from relift.engines.vllm_child import COMMAND, EngineFailure, RolloutOptions, VLLMChild
from relift.engines.weights_file import weights_file
from relift.errors import ReliftError
from relift.schema import Finish

T = TypeVar("T")


class VLLMRollouts:
    """Sample with vLLM, as an Engine. Use it in a `with`; the child starts with the first publication.

    `score` is asked at each publication for the learner's log-probabilities of the probe. `on_event` is told of
    restarts. `command` starts the child; tests give another one.

    An answer is vLLM's own draw from its seed: the same for every batch and order in float32 on a CPU (tests/vllm), and
    not the torch sampler's. `mean_entropy` is None: vLLM tells log-probabilities of the drawn tokens alone.
    """

    def __init__(
        self,
        model_config: Any,
        options: RolloutOptions,
        *,
        score: Score,
        on_event: Callable[[str], None] = lambda line: None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._options, self._score, self._on_event = options, score, on_event
        self._version_of_vllm = installed_version()
        self._child = VLLMChild(model_config, options, command)
        self.max_context = self._child.max_context
        self._vocab = int(model_config.get_text_config().vocab_size)
        self._probe = probe_tokens(self._vocab, self.max_context)
        self.policy_version = -1  # nothing was published
        self._weights: Mapping[str, torch.Tensor] | None = None
        self._expected = np.zeros(0, np.float32)
        self._opened = False
        self._calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._child.close()

    def describe(self) -> dict[str, object]:
        """Tell version, dtype and what else can change an answer."""
        on_gpu = self._child.on_gpu
        return {
            "name": "vllm",
            "vllm": self._version_of_vllm,
            "torch": torch.__version__,
            "platform": "cuda" if on_gpu else "cpu",
            "device": torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability(),
            "dtype": self._options.dtype,
            "tensor_parallel": self._options.tensor_parallel,
            "max_sequences": self._options.max_sequences,
            "max_context": self.max_context,
            "threads": torch.get_num_threads(),
        }

    def publish(self, state_dict: object, *, version: int) -> None:
        """Take new weights as this version and check that the engine answers with them.

        The weights are kept by reference, for a child that has to be started again: leave them alone while this version
        generates. Raises ReliftError for weights that are not finite or that the engine does not answer with.
        """
        if not isinstance(state_dict, Mapping):
            raise ReliftError(f"published weights are a {type(state_dict).__name__}; give a mapping of name to tensor")
        self._expected = np.asarray(self._score(self._probe), np.float32)
        self._weights, self.policy_version = state_dict, version
        if not self._opened:
            self._child.open()  # what keeps it from starting at all is told at once
            self._opened = True
        self._persist(self._send_weights)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """Answer in the order of requests and seeds. A call whose child fails is made again, whole.

        Log-probabilities are those of the sampling temperature (of 1 at temperature 0). Where top-p or top-k leave
        tokens out, vLLM's are of what remains, and NaN stands instead: not measured. Raises InputError before any work
        for what cannot be answered, ReliftError when a log-probability is not finite or the child fails too often.
        """
        check_requests(requests, sampling, vocab=self._vocab, max_context=self.max_context)
        if not any(request.seeds for request in requests):
            return [[] for _ in requests]
        if self._weights is None:
            raise ValueError("publish weights first")
        answers = self._persist(lambda: self._generate(requests, sampling, on_progress))
        if self._child.shares_gpu:
            self._rest()
        return answers

    def _rest(self) -> None:
        """Have the child give the GPU's memory back; the answers are here, so a failure is the next call's business."""
        try:
            self._child.tell({"rest": True})
            self._child.hear("rested")
        except EngineFailure as failure:
            self._on_event(f"{failure}; vLLM is started again when it is needed")

    def _persist(self, act: Callable[[], T]) -> T:
        """Do it; where the child fails, do it again with another child, so often."""
        for left in range(self._options.restarts, -1, -1):
            try:
                return act()
            except EngineFailure as failure:
                if not left:
                    raise ReliftError(
                        f"{failure}; vLLM failed {self._options.restarts + 1} times at the same work: lower "
                        'vllm.max_sequences or vllm.gpu_memory, or set rollout.engine = "torch"'
                    ) from None
                self._on_event(f"{failure}; vLLM is started again and the work repeated")
            except BaseException:
                self._child.end()  # nobody waits for what is under way
                raise
        raise AssertionError("the last round returns or raises")

    def _send_weights(self) -> None:
        """Hand the weights to the child, a new one if need be, and compare the probe."""
        assert self._weights is not None
        if not self._child.lives:
            self._child.open()
        with weights_file(self._weights, dtype=getattr(torch, self._options.dtype)) as file:
            self._child.tell(
                {
                    "publish": str(file.path),
                    "aliases": file.aliases,
                    "version": self.policy_version,
                    "probe": list(self._probe),
                }
            )
            reply = self._child.hear("published")
        got = unpacked(reply["logprobs"], "<f4")
        if reply["published"] != self.policy_version or got.shape != self._expected.shape:
            raise self._child.failure("took other weights than it was given")
        compare_probe(got, self._expected, tolerance=tolerance_of(self._options.dtype), version=self.policy_version)

    def _generate(
        self, requests: Sequence[Request], sampling: Sampling, on_progress: Callable[[int, int], None] | None
    ) -> list[list[Completion]]:
        if not self._child.lives:
            self._send_weights()
        self._calls += 1
        asked = [[list(request.prompt_ids), list(request.seeds)] for request in requests]
        self._child.tell({"generate": self._calls, "sampling": asdict(sampling), "requests": asked})
        seeds = [seed for request in requests for seed in request.seeds]
        done: list[Completion | None] = [None] * len(seeds)
        n_done, n_tokens = 0, 0
        while n_done < len(seeds):
            message = self._child.hear("answers")
            if message["generate"] != self._calls:
                continue  # of a call that was left
            if message["version"] != self.policy_version:
                raise self._child.failure(f"answered with version {message['version']} of the weights")
            for number, completion in self._completions(message, seeds, sampling):
                if done[number] is not None:
                    raise self._child.failure("answered what it was not asked")
                done[number] = completion
                n_done += 1
                n_tokens += len(completion.token_ids_T)
            if on_progress is not None:
                on_progress(n_done, n_tokens)
        answers = iter(done)
        return [[next(answers) for _ in request.seeds] for request in requests]  # type: ignore[misc]

    def _completions(
        self, message: Mapping[str, Any], seeds: Sequence[int], sampling: Sampling
    ) -> list[tuple[int, Completion]]:
        """Read the answers of a message, each with its number, and check them."""
        tokens, logprobs = unpacked(message["tokens"], "<i4"), unpacked(message["logprobs"], "<f4")
        ends = np.cumsum([n for _, n in message["answers"]])
        if len(tokens) != ends[-1] or len(logprobs) != ends[-1] or not ((tokens >= 0) & (tokens < self._vocab)).all():
            raise self._child.failure("wrote tokens that the model does not have, or lost some")
        if not np.isfinite(logprobs).all():
            self._child.end()
            raise ReliftError(
                f"vLLM gave a log-probability that is not finite with version {self.policy_version} of the weights"
            )
        if sampling.temperature > 0 and (sampling.top_p < 1 or sampling.top_k != -1):
            logprobs = np.full_like(logprobs, np.nan)
        found = []
        for (number, n), end in zip(message["answers"], ends.tolist(), strict=True):
            token_ids_T = tokens[end - n : end]
            stopped = bool(n) and int(token_ids_T[-1]) in sampling.stop_token_ids
            if not 0 <= number < len(seeds) or not (stopped and n <= sampling.max_tokens or n == sampling.max_tokens):
                raise self._child.failure("answered what it was not asked, or not as it was asked")
            finish = Finish.stop if stopped else Finish.length
            found.append((number, Completion(token_ids_T, logprobs[end - n : end], finish, None, seeds[number])))
        return found


def unpacked(text: str, dtype: str) -> np.ndarray:
    """Read the array in a base64 text."""
    return np.frombuffer(base64.b64decode(text), dtype=dtype).astype(dtype[1:])
