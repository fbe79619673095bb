"""Speaks like relift.engines.vllm_worker without vLLM: a scripted model, and the ways in which an engine goes wrong.

    fake_vllm_worker.py MODE    good, or what happens after two replies: hangs, dies, lies, repeats, babbles, cuts short
                                or at the start: never-opens, cannot-open

Its tokens are those of tests.engines.tiny.character_tokenizer. Nothing of ours is imported, so that it starts at once.
"""

import hashlib
import json
import sys
import time

VOCAB = 67


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(sampling, prompt, seed):
    """Token ids that depend on prompt and seed alone (on the prompt if greedy), up to a stop token or string."""
    seed = 0 if sampling["temperature"] == 0 else seed
    ids, text = [], ""
    for t in range(sampling["max_tokens"]):
        number = hashlib.blake2b(json.dumps([seed, prompt, t]).encode(), digest_size=4).digest()
        ids.append(3 + int.from_bytes(number, "big") % (VOCAB - 3))
        text += chr(ord("?") + ids[-1] - 3)
        if ids[-1] in sampling["stop_token_ids"] or any(stop in text for stop in sampling["stop"]):
            break
    return ids


def misbehave(mode, stream):
    if mode == "hangs":
        time.sleep(3600)
    if mode == "dies":
        print("Traceback (most recent call last):\nRuntimeError: out of\tpaper\nand another line", file=sys.stderr)
        sys.exit(7)
    if mode == "lies":
        say({"replies": [[2, [VOCAB + 5], None]], "stream": stream})
    if mode == "repeats":
        say({"replies": [[0, [5], None]], "stream": stream})
    if mode == "cuts short":
        say({"replies": [[2, [], None]], "stream": stream})
    if mode == "babbles":
        print("INFO: this is no message", flush=True)


def main(mode):
    arguments = json.loads(sys.stdin.readline())["open"]
    assert arguments["load_format"] == "safetensors" and arguments["trust_remote_code"] is False
    if mode == "never-opens":
        time.sleep(3600)
    if mode == "cannot-open":
        sys.exit("ValueError: Head size 24 is not supported")
    say({"ready": {"max_num_seqs": 2}})
    said, sampling, stream = 0, None, 0
    for line in sys.stdin:
        message = json.loads(line)
        if "sampling" in message:
            sampling, stream = message["sampling"], message["stream"]
        for index, prompt, seed in message.get("asks", ()):
            if said == 2 and mode != "good":
                misbehave(mode, stream)
            say({"replies": [[index, answer(sampling, prompt, seed), None]], "stream": stream})
            say({"beat": said})
            said += 1


main(sys.argv[1])
