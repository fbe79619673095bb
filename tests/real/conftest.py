"""The folder of real models (RELIFT_REAL_MODELS, laid by tests.real.make_models); without it tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MODELS = ("smollm2", "gemma3")


@pytest.fixture(params=MODELS)
def checkpoint(request: pytest.FixtureRequest) -> Path:
    folder = Path(os.environ.get("RELIFT_REAL_MODELS", ""), request.param)
    if not os.environ.get("RELIFT_REAL_MODELS") or not (folder / "config.json").is_file():
        pytest.skip(f"no {request.param}: set RELIFT_REAL_MODELS to the folder that `make real-models` wrote")
    return folder
