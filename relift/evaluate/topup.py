"""`relift topup`: more samples where they decide something, as a draw of their own that no rate uses."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pandas as pd
from rich.console import Console

from relift.errors import InputError, ResumeRefused
from relift.evaluate.append import counts_of, name_of
from relift.evaluate.command import ending_on_signals
from relift.evaluate.models import Model, read_model
from relift.evaluate.options import EvalOptions
from relift.evaluate.plan import Place, require_room
from relift.evaluate.probe import append_to, standing_line
from relift.evaluate.run_settings import Asking, asking_of, plan_again
from relift.schema import Origin
from relift.store import RunReader
from relift.terminal import warn_on

FIRST_DRAW = 2  # draws 0 and 1 are for rates; questions chosen by outcome would bias them

# Counts per draw and question (with run_id, run, step, question_id) -> question_ids to sample again.
Undetermined = Callable[[pd.DataFrame], Collection[str]]


def run_topup(run: Path, options: EvalOptions, *, samples: int, undetermined: Undetermined | None) -> None:
    """Sample the questions at zero, or with `undetermined` those that it names, `samples` times more.

    Raises InputError, ResumeRefused (the model is not what it was) with nothing written.
    """
    console = Console(stderr=True, quiet=options.quiet)
    reader = RunReader(run)
    asking = asking_of(reader)
    why = "top-up of questions at zero" if undetermined is None else "top-up of undetermined questions"
    model = the_same_model(reader, asking, options, console)
    place, chosen = place_of(reader, asking, why=why, samples=samples, undetermined=undetermined)
    if not chosen:
        print(f"{run}: no question to sample again ({why})")
        return
    plan = plan_again(reader, asking, model, chosen=chosen, samples=samples)
    require_room(plan, model.context)
    with ending_on_signals(console):
        for standing in append_to(run, place, plan, model, options, why=why, console=console):
            print(f"draw {place.draw}, {standing_line(standing)}")
    still = at_zero(RunReader(run), place)
    print(f"{len(chosen & still)} of {len(chosen)} are at zero still")


def the_same_model(reader: RunReader, asking: Asking, options: EvalOptions, console: Console) -> Model:
    """The run's own model; refused when its contents have changed since. (Of a training run's base resolve_model
    compares them.)"""
    model = read_model(
        asking.model, engine=options.engine, revision=asking.revision, tokenizer=options.tokenizer,
        warn=warn_on(console),
    )  # fmt: skip
    was = asking.identity.get("model")
    if was is not None and was != model.fingerprint:
        raise ResumeRefused(
            f"{reader.folder}: {asking.model} is not the model that was evaluated: its contents changed "
            f"({str(was)[:8]} then, {model.fingerprint[:8]} now)"
        )
    return model


def place_of(
    reader: RunReader, asking: Asking, *, why: str, samples: int, undetermined: Undetermined | None
) -> tuple[Place, set[int]]:
    """The next free draw and the questions to ask; or, after a start that did not finish, that one's."""
    version = 0 if asking.origin is Origin.benchmark else asking.step
    here = Place(asking.origin, FIRST_DRAW, asking.step, asking.decoding_id, version)
    for entry_name, entry in reader.run_json.get("appended", {}).items():
        draw = int(entry_name.rpartition(".d")[2])
        place = Place(asking.origin, draw, asking.step, asking.decoding_id, version)
        if entry_name == name_of(place) and entry["status"] != "done" and entry["why"] == why:
            if entry["samples"] != samples:
                raise InputError(
                    f"{reader.folder}: draw {draw} was begun with --samples {entry['samples']}: finish it with that"
                )
            return place, set(entry["question_ixs"])
    draws = {file.draw for file in reader.files("attempts", origin=str(asking.origin), steps=[asking.step])}
    draw = max(FIRST_DRAW, 1 + max((d for d in draws if d is not None), default=0))
    place = Place(asking.origin, draw, asking.step, asking.decoding_id, version)
    return place, at_zero(reader, here) if undetermined is None else _undetermined(reader, here, undetermined)


def at_zero(reader: RunReader, place: Place) -> set[int]:
    """Questions that were asked and never answered correctly, over all draws."""
    counts = counts_of(reader, place).groupby("question_ix")["n_correct"].sum()
    return {int(ix) for ix in counts.index[counts == 0]}


def _undetermined(reader: RunReader, place: Place, undetermined: Undetermined) -> set[int]:
    table = reader.read("questions", columns=["question_ix", "question_id"])
    counts = counts_of(reader, place).merge(table, on="question_ix", validate="many_to_one")
    frame = counts.assign(run_id=reader.run_id, run=reader.run_id, step=place.step, origin=str(place.origin))
    place_by_id = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
    return {place_by_id[q] for q in undetermined(frame)}
