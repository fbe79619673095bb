import subprocess
import sys

import pytest

HEAVY = "torch transformers matplotlib scipy.stats scipy.optimize streamlit"
PROGRAM = f"""
import sys, time
start = time.process_time()
import relift.analysis
print(time.process_time() - start, *[name for name in {HEAVY.split()!r} if name in sys.modules])
"""


def test_import_is_quick_and_light() -> None:
    seconds, *loaded = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == []
    if float(seconds) > 1.0:
        pytest.fail(f"import relift.analysis took {seconds} CPU seconds; at most 1.0")
