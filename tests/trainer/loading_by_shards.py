"""Load a base by shards, or whole, in one of the processes of test_base_by_shards, and tell what it took."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from pathlib import Path

import torch

from relift.config import parse_config
from relift.learner import distributed
from relift.learner.learner import Learner
from relift.learner.optim import OptimizerSpec
from relift.trainer import parallel
from relift.trainer.base_by_shards import load_base
from tests.learner.tiny import some_sequences


def anonymous_bytes() -> int:
    """Read this process's memory that is no mapped file: what is read from a file stands in the page cache beside."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])


class Peak:
    """Watch the memory of this process every two milliseconds."""

    def __enter__(self) -> Peak:
        self.before = self.most = anonymous_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            self.most = max(self.most, anonymous_bytes())
            time.sleep(0.002)


def main(base: str, engine: str, out: str) -> None:
    torch.set_num_threads(1)
    parallel.join_world(120)
    values = {"model": {"path": base, "device": "cpu"}, "rollout": {"engine": engine}}
    config = parse_config(values, where="test")
    with Peak() as peak:
        model, weights = load_base(config)
        learner = Learner(model, {"rl": OptimizerSpec(1e-3)}, weights=weights)
    scores = [float(s.sum()) for s in learner.score(some_sequences(4))]
    hashes = {}
    for name, tensor in learner.model.state_dict().items():
        whole = distributed.full(tensor).contiguous()
        hashes[name] = hashlib.sha256(whole.view(torch.uint8).numpy().tobytes()).hexdigest()
    told = {"by_shards": weights is not None, "peak": peak.most - peak.before, "hashes": hashes, "scores": scores}
    Path(out, f"{distributed.world()[0]}.json").write_text(json.dumps(told))
    if distributed.world()[1] > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
