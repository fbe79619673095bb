"""Import our model for `lighteval custom ENGINE:MODEL FILE TASKS`, which runs this file outside the package."""

from __future__ import annotations

from relift.benchmarks.lighteval.model import ReliftModel

__all__ = ["ReliftModel"]
