"""Run the tests of mesh_of_one.py in a process of their own: a group of torch.distributed does not outlive a fork.

Other tests fork this process, and what they fork would take the group of a mesh of one for theirs.
"""

from __future__ import annotations

import subprocess
import sys

from tests.repository import ROOT


def test_mixed_precision_on_a_mesh_of_one() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/learner/mesh_of_one.py"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert " passed" in ended.stdout and "failed" not in ended.stdout
