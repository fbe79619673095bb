"""Define a field of the configuration with its class of change, and the model that all sections are.

A field says what may happen to it when a run is resumed (`change`):
identity   another value is another run: refused, naming the difference
tunable    may change with `--allow-change FIELD`, which is recorded in run.json
numeric    changes rounding only (threads, micro-batches): resumes, `exact = false` is recorded
runtime    changes nothing that is measured
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Change = Literal["identity", "tunable", "numeric", "runtime"]


def field(default: Any, change: Change, description: str, **limits: Any) -> Any:
    """Declare a field: its default, its class of change, its description and pydantic's limits."""
    return Field(default, description=description, json_schema_extra={"change": change}, **limits)


class Section(BaseModel):
    """A frozen part of the configuration: unknown keys are refused, "none" stands for None where that may stand."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {name for name, info in cls.model_fields.items() if type(None) in get_args(info.annotation)}
        return {k: None if v == "none" and k in optional else v for k, v in values.items()}
