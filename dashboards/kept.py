"""Keep what a function returns, for all sessions, until one of the runs that it was given grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, TypeVar, cast

import streamlit as st

F = TypeVar("F", bound=Callable[..., Any])
_OF_RUNS = "relift.dashboards.runs"  # by name: that module keeps its own functions with this one


def kept(entries: int, *, grows: bool = True, spinner: str | None = None) -> Callable[[F], F]:
    """Keep the last `entries` results of a function by its arguments; what is returned must not be changed.

    Runs and choices count by what they are and by the fingerprint of their folders; with `grows` False, for what a
    run holds from its start, without the fingerprint. Functions among the arguments do not count: the other arguments
    must say what is computed. Exceptions are not kept. `spinner` is shown while the function works.
    """
    name = "key" if grows else "identity"
    hashes: dict[Any, Callable[[Any], Any]] = {
        f"{_OF_RUNS}.RunInfo": lambda run: repr(getattr(run, name)),
        f"{_OF_RUNS}.Choice": lambda choice: repr(getattr(choice, name)),
        FunctionType: lambda _: None,
        partial: lambda _: None,
    }

    def keep(function: F) -> F:
        wrapped = st.cache_resource(max_entries=entries, show_spinner=spinner or False, hash_funcs=hashes)(function)
        return cast(F, wrapped)

    return keep
