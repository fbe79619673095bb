"""Record a measurement: the machine it ran on, the versions of what ran, the file with the result.

Shared by every script of this folder, so that all results name their machine in the same words.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any


def cpu_name() -> str:
    """Return the processor's model name, or the machine type where the system does not name one."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def pin_to_one_core() -> None:
    """Bind this process and its future children to one core, and torch to one thread."""
    import torch

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)


def one_core_hardware() -> dict[str, Any]:
    """Describe the machine of a measurement on one core: processor, cores, vector instructions of torch."""
    import torch

    return {"cpu": cpu_name(), "cores_used": 1, "instructions": torch.backends.cpu.get_cpu_capability()}


def matmul_gflops(rows: int, inner: int, columns: int, *, rounds: int = 10) -> float:
    """Measure float32 [rows, inner] @ [inner, columns] on this core: GFLOP/s, the best of `rounds`."""
    import torch

    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    flops, best = 2.0 * rows * inner * columns, float("inf")
    n = max(1, int(1e9 / flops))
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(n):
            a @ b
        best = min(best, (time.perf_counter() - begin) / n)
    return flops / best / 1e9


def package_versions(*names: str) -> dict[str, str]:
    """Return the versions of Python and of these distributions."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def write_result(result: Mapping[str, Any], out: Path | None) -> None:
    """Write a result as JSON into `out`, or print it where there is none."""
    text = json.dumps(result, indent=1) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")
