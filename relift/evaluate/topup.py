"""Run `relift topup`: more samples where they decide something, as a draw of their own that no rate uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from relift.analysis import fit_prior, reach, top_up
from relift.errors import InputError, ResumeRefused
from relift.evaluate.append import counts_of
from relift.evaluate.command import ending_on_signals
from relift.evaluate.models import Model, read_model
from relift.evaluate.options import EvalOptions
from relift.evaluate.plan import Destination, require_room
from relift.evaluate.probe import append_to, standing_line
from relift.evaluate.run_settings import RunSettings, plan_again, run_settings
from relift.inert import PlainConsole
from relift.schema import Origin, RunStatus
from relift.store import RunReader
from relift.terminal import warn_on

FIRST_DRAW = 2  # draws 0 and 1 are for rates; questions chosen by outcome would bias them


def run_topup(run: Path, options: EvalOptions, *, samples: int, undetermined: bool) -> None:
    """Sample the questions at zero, or the undetermined ones, `samples` times more.

    Raises InputError, ResumeRefused (the model is not what it was) with nothing written.
    """
    console = PlainConsole(stderr=True, quiet=options.quiet)
    reader = RunReader(run)
    settings = run_settings(reader)
    why = "top-up of undetermined questions" if undetermined else "top-up of questions at zero"
    model = the_same_model(reader, settings, options, console)
    destination, chosen = destination_of(reader, settings, why=why, samples=samples, undetermined=undetermined)
    if not chosen:
        print(f"{run}: no question to sample again ({why})")
        return
    plan = plan_again(reader, settings, model, chosen=chosen, samples=samples)
    require_room(plan, model.context, stretched=model.stretched)
    with ending_on_signals(console):
        for standing in append_to(run, destination, plan, model, options, why=why, console=console):
            print(f"draw {destination.draw}, {standing_line(standing)}")
    still = at_zero(RunReader(run), destination)
    print(f"{len(chosen & still)} of {len(chosen)} are at zero still")


def the_same_model(reader: RunReader, settings: RunSettings, options: EvalOptions, console: Console) -> Model:
    """Read the run's own model; refused when its contents have changed since. (Of a training run's base resolve_model
    compares them.)"""
    model = read_model(
        settings.model, engine=options.engine, revision=settings.revision, tokenizer=options.tokenizer,
        warn=warn_on(console),
    )  # fmt: skip
    was = settings.identity.get("model")
    if was is not None and was != model.fingerprint:
        raise ResumeRefused(
            f"{reader.folder}: {settings.model} is not the model that was evaluated: its contents changed "
            f"({str(was)[:8]} then, {model.fingerprint[:8]} now)"
        )
    return model


def destination_of(
    reader: RunReader, settings: RunSettings, *, why: str, samples: int, undetermined: bool
) -> tuple[Destination, set[int]]:
    """Find the next free draw and the questions to ask; or, after a start that did not finish, that one's."""
    version = 0 if settings.origin is Origin.benchmark else settings.step
    here = Destination(settings.origin, FIRST_DRAW, settings.step, settings.decoding_id, version)
    for name, entry in reader.run.appended.items():
        number = name.rpartition(".d")[2]
        begun = replace(here, draw=int(number) if number.isdecimal() else FIRST_DRAW)
        if name == begun.name and entry.status is not RunStatus.done and entry.why == why:
            if entry.samples != samples:
                raise InputError(
                    f"{reader.folder}: draw {number} was begun with --samples {entry.samples}: finish it with that"
                )
            return begun, set(entry.question_ixs)
    draws = {file.draw for file in reader.files("attempts", origin=str(settings.origin), steps=[settings.step])}
    draw = max(FIRST_DRAW, 1 + max((d for d in draws if d is not None), default=0))
    return replace(here, draw=draw), _undetermined(reader, here) if undetermined else at_zero(reader, here)


def at_zero(reader: RunReader, destination: Destination) -> set[int]:
    """Find the questions that were asked and never answered correctly, over all draws."""
    counts = counts_of(reader, destination).groupby("question_ix")["n_correct"].sum()
    return {int(ix) for ix in counts.index[counts == 0]}


def _undetermined(reader: RunReader, destination: Destination) -> set[int]:
    """Find the questions whose reach is undetermined (relift.analysis.reach)."""
    table = reader.read("questions", columns=["question_ix", "question_id"])
    counts = counts_of(reader, destination).merge(table, on="question_ix", validate="many_to_one")
    step = destination.step
    frame = counts.assign(run_id=reader.run_id, run=reader.run_id, step=step, origin=str(destination.origin))
    ix_of = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
    return {ix_of[str(q)] for q in top_up(reach(frame, fit_prior(frame, step=step), step=step))["question_id"]}
