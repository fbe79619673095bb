"""Two hosts, played by two network namespaces with a cable between them: torchrun on each, one run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from relift.store import RunReader, check_run
from relift.store.checkpoints import checkpoint_folder
from relift.trainer.checkpoint import MODEL_FILES
from tests.cli.command import relift, write_config
from tests.resume.harness import config_of, lay_inputs
from tests.trainer.test_parallel_run import assert_same_run

ROOT = Path(__file__).parents[2]
HOSTS = {"10.77.31.1": "relift-a", "10.77.31.2": "relift-b"}  # address -> namespace


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    """Two namespaces, each with one end of a cable; gone afterwards."""
    if shutil.which("ip") is None:
        pytest.skip("no command ip here: apt-get install iproute2")
    try:
        for name in HOSTS.values():
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", "relift-a", "type", "veth", "peer", "cable", "netns", "relift-b")
        for address, name in HOSTS.items():
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.decode().strip()}")
    else:
        yield
    finally:
        for name in HOSTS.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def train(config: Path, run: Path, *, hide: Path | None = None) -> list[tuple[int, str]]:
    """Start torchrun on both hosts; give (exit status, standard error) of each. `hide`: a folder that the second one
    has of its own, empty."""
    first = next(iter(HOSTS))
    processes = []
    for rank, (address, name) in enumerate(HOSTS.items()):
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
            "--node-rank", str(rank), "--master-addr", first, "--master-port", "29577",
            "-m", "relift.cli", "train", str(config), "--out", str(run), "--quiet",
        ]  # fmt: skip
        if hide is not None and address != first:
            command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hide), *command]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"}
        processes.append(
            subprocess.Popen(
                ["ip", "netns", "exec", name, *command],
                cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    try:
        errors = [process.communicate(timeout=400)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.mark.slow
@pytest.mark.usefixtures("hosts")
def test_two_hosts_are_one(tmp_path: Path) -> None:
    """The real grader finds every answer wrong, so phases of fine-tuning train."""
    config = write_config(tmp_path / "config.toml", config_of(lay_inputs(tmp_path / "inputs"), steps=6))
    run, alone = tmp_path / "two" / "run", tmp_path / "one" / "run"
    run.parent.mkdir()
    ended = train(config, run)
    assert [status for status, _ in ended] == [0, 0], ended
    assert relift("train", config, "--out", alone, "--quiet").status == 0
    assert_same_run(run, alone)
    assert check_run(run).problems == [] and RunReader(run).run.surroundings["world_size"] == 2
    weights = [
        {n: t for f in checkpoint_folder(r, 6).glob(MODEL_FILES) for n, t in load_file(f).items()} for r in (run, alone)
    ]
    off = sum((weights[0][n].double() - t.double()).square().sum().item() for n, t in weights[1].items())
    assert np.sqrt(off / sum(t.double().square().sum().item() for t in weights[1].values())) < 1e-6
    assert not list(run.parent.glob(".relift-*"))

    # The same, where the second host has another disk under that name.
    apart = tmp_path / "apart"
    apart.mkdir()
    (_, said), (_, other) = train(config, apart / "run", hide=apart)
    assert "1 of 2 processes, on other hosts, do not see what the first one writes there" in said
    assert "do not see" not in other and not list(apart.iterdir())
