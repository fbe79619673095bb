"""The file of `lighteval custom ENGINE:MODEL FILE TASKS`. lighteval runs it outside the package: it only imports."""

from __future__ import annotations

from relift.benchmarks.lighteval.model import ReliftModel

__all__ = ["ReliftModel"]
