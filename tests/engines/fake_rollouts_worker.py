"""Speaks like relift.engines.vllm_rollouts_worker without vLLM: scripted answers, and the ways in which one goes wrong.

    fake_rollouts_worker.py MODE FOLDER    good, or what happens in the middle of a call: hangs, dies, lies, repeats,
                                           stale, not finite, babbles; cannot-open, or wrong weights, from the start

FOLDER counts the starts: a mode with "once " before it goes wrong in the first one alone. The log-probability of a
token is -(1 + sum of all weights) / (2 + token): it depends on the weights that were published and on nothing else.
"""

import base64
import hashlib
import json
import os
import struct
import sys
import time
from pathlib import Path

VOCAB = 67


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def packed(values, code):
    return base64.b64encode(struct.pack(f"<{len(values)}{code}", *values)).decode()


def sum_of(path):
    """Sum of all float32 numbers of a safetensors file."""
    data = Path(path).read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    numbers = data[8 + n :]
    return sum(struct.unpack(f"<{len(numbers) // 4}f", numbers))


def answer(sampling, prompt, seed):
    ids = []
    for t in range(sampling["max_tokens"]):
        key = json.dumps([0 if sampling["temperature"] == 0 else seed, prompt, t]).encode()
        ids.append(3 + int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") % (VOCAB - 3))
        if ids[-1] in sampling["stop_token_ids"]:
            break
    return ids


def misbehave(mode, message, version):
    place = {"generate": message["generate"], "version": version}
    right = {"answers": [[2, 1]], "tokens": packed([3], "i"), "logprobs": packed([-1.0], "f"), **place}
    if mode == "hangs":
        time.sleep(3600)
    if mode == "dies":
        print("RuntimeError: out of\tpaper\nINFO 11-27 and another line", file=sys.stderr)
        sys.exit(7)
    if mode == "lies":
        say(right | {"tokens": packed([VOCAB + 5], "i")})
    if mode == "repeats":
        say(right | {"answers": [[0, len(answer(message["sampling"], *first_of(message)))]]} | first_answer(message))
    if mode == "cuts short":
        say(right | {"tokens": packed([3], "i")})
    if mode == "stale":
        say(right | {"version": version - 1})
    if mode == "not finite":
        say(right | {"logprobs": packed([float("nan")], "f")})
    if mode == "babbles":
        print("this is no message", flush=True)


def first_of(message):
    prompt, seeds = message["requests"][0]
    return prompt, seeds[0]


def first_answer(message):
    ids = answer(message["sampling"], *first_of(message))
    return {"tokens": packed(ids, "i"), "logprobs": packed([-1.0] * len(ids), "f")}


def main(mode, folder):
    starts = len(list(Path(folder).iterdir()))
    Path(folder, str(starts)).touch()
    if mode.startswith("once "):
        mode = mode.removeprefix("once ") if starts == 0 else "good"
    total = version = None
    for line in sys.stdin:
        message = json.loads(line)
        if "open" in message:
            if mode == "cannot-open":
                print("ValueError: Head size 24 is not supported", file=sys.stderr)
                sys.exit(1)
            say({"ready": {}})
        if "publish" in message:
            total, version = sum_of(message["publish"]), message["version"]
            os.unlink(message["publish"])
            if mode == "wrong weights":
                total += 1
            probe = [-(1 + total) / (2 + token) for token in message["probe"][1:]]
            say({"published": version, "logprobs": packed(probe, "f")})
        if "generate" in message:
            number = 0
            for prompt, seeds in message["requests"]:
                for seed in seeds:
                    if number == 2 and mode != "good":
                        misbehave(mode, message, version)
                    ids = answer(message["sampling"], prompt, seed)
                    arrays = {
                        "tokens": packed(ids, "i"),
                        "logprobs": packed([-(1 + total) / (2 + token) for token in ids], "f"),
                    }
                    say(
                        {"answers": [[number, len(ids)]], **arrays, "generate": message["generate"], "version": version}
                    )
                    number += 1


main(*sys.argv[1:])
