"""Build what every page shares: the heading, the row that chooses runs, links, states.

Text of people and of models is shown through `plain` (in Markdown) or as code, never as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from relift.dashboards import pages
from relift.dashboards.charts.common import remember_runs
from relift.dashboards.cubes import damaged
from relift.dashboards.runs import STATES, Choice, RunInfo, fingerprint, folders, probed_splits, silent, survey

POLL_SECONDS = 5
SHORTCUTS = {
    "N P": "next and previous question of the list (page Question)",
    "J K": "earlier and later step (page Question)",
    "M": "raw text or mathematics (page Question)",
    "Tab": "from control to control; Enter or Space presses",
    "arrows": "among cells of a table that has the focus; Space chooses its row",
}
_BANNER = "damage-banner"
_PAGE, _ENTERED = "page-shown", "page-entered"
NO_RUN = "No run was named. Start the dashboard with the folders of runs: `relift dashboard RUN...`"


def plain(text: object) -> str:
    """Write text as Markdown that shows it as it is: no sign of it forms a link, an image or mathematics."""
    folded = " ".join(str(text).split())
    signs = "\\`*_{}[]<>#~$&@" + ("." if "www" in folded.lower() else "")
    shown = "".join(f"&#{ord(c)};" if c in signs else c for c in folded)
    shown = re.sub(r":(?=\S)", "&#58;", shown)  # directives, addresses
    # a list or a rule begins with one of these
    return f"&#{ord(shown[0])};{shown[1:]}" if shown[:1] in set("-+=0123456789") else shown


def start_page(name: str) -> None:
    """Show the heading of a page with its sentence."""
    page = next(page for page in pages.PAGES if page.name == name)
    st.set_page_config(page_title=f"{page.title} - relift")
    st.session_state[_ENTERED] = st.session_state.get(_PAGE) != name
    st.session_state[_PAGE] = name
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(page.title, anchor=False, width="content")
        st.markdown(f":gray[{page.sentence}]")
        _link_and_keys()


def _link_and_keys() -> None:
    """Offer the address of what is shown, and the list of keys."""
    with st.popover(":material/link:", width="content", help="A link to what is shown, and the keys"):
        address = str(st.context.url or "")
        query = urlencode(st.query_params.to_dict(), doseq=True)
        st.caption("This address opens the page as it is, with all that is chosen on it:")
        st.code(f"{address.partition('?')[0]}{'?' if query else ''}{query}", language=None, wrap_lines=True)
        st.caption("Keys")
        for keys, meaning in SHORTCUTS.items():
            st.markdown(f"`{keys}` {meaning}")


def restore_choices(name: str, options: Mapping[str, Iterable[Any] | None]) -> None:
    """Bring back what was chosen on a page when it is entered again by an address that says none of it.

    `options`: by the key of each widget the values it may have, None for any text. Call it before the widgets.
    """
    chosen = st.session_state.get(f"kept-{name}")
    if not chosen or not st.session_state.get(_ENTERED) or any(key in st.query_params for key in options):
        return
    for key, known in options.items():
        value = chosen.get(key)
        if known is not None:
            held = set(known)
            value = [v for v in value if v in held] if isinstance(value, list) else value if value in held else None
        if value:
            st.session_state[key] = value


def keep_choices(name: str, keys: Iterable[str]) -> None:
    """Note what is chosen on a page, for `restore_choices`."""
    state = st.session_state
    st.session_state[f"kept-{name}"] = {key: state[key] for key in keys if key in state and state[key]}


def choose_runs(*, splits: bool = True) -> Choice | None:
    """Offer runs, the base of bands and sets of questions on top of a page; all of it stands in the address.

    None where there is nothing to show, which is then said. Nothing chosen means every run. Also starts the watch
    over running runs.
    """
    runs = survey()
    if not runs:
        st.info(
            NO_RUN,
            icon=":material/folder_open:",
        )
        return None
    watch(runs)
    for run in runs:
        if not run.readable:
            st.error(f"{plain(run.name)} cannot be read: {plain(run.problem)}", icon=":material/error:")
    readable = tuple(run for run in runs if run.readable)
    remember_runs(run.name for run in readable)
    if not readable:
        return None
    filled = tuple(run for run in readable if run.state != "empty")
    if not filled:
        names = ", ".join(plain(run.name) for run in readable)
        st.info(f"{names}: {STATES['empty']}.", icon=":material/hourglass_empty:")
        return None
    said: set[str] = set()
    st.session_state[_BANNER] = (st.container(), said)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = _runs_row(filled)
        base = _base_row(filled)
        wanted = _splits_row(chosen) if splits else ()
    say_damage(problem for run in chosen if run.probe_steps for problem in damaged(run).values())
    return Choice(chosen, base if any(run.run_id == base for run in chosen) else None, wanted)


def say_damage(reasons: Iterable[str]) -> None:
    """Say on top of the page what a damaged file took away from its figures, each once."""
    nowhere: set[str] = set()  # a page without a row of runs
    place, said = st.session_state.get(_BANNER) or (st.container(), nowhere)
    for reason in reasons:
        if reason not in said:
            said.add(reason)
            place.error(f"Left out, all else is shown: {plain(reason)}. More on page Data.", icon=":material/error:")


def _runs_row(filled: tuple[RunInfo, ...]) -> tuple[RunInfo, ...]:
    if len(filled) == 1:
        return filled
    names = [run.name for run in filled]
    wanted = st.pills(
        "Runs", names, selection_mode="multi", key="run", bind="query-params", help="None chosen: all of them."
    )
    return tuple(run for run in filled if run.name in (wanted or names))


def _base_row(filled: tuple[RunInfo, ...]) -> str | None:
    able = [run for run in filled if 0 in run.probe_steps]
    if len(able) < 2:
        return None
    with st.popover("Base", width="content"):  # seldom changed
        name = st.selectbox(
            "Base of the bands", [run.name for run in able], index=None, key="base", bind="query-params",
            placeholder="found by itself",
            help="Whose first probe sorts the questions into bands. Not chosen: the run called base, else the only one "
            "that has step 0 alone, else the first.",
        )  # fmt: skip
    return next((run.run_id for run in able if run.name == name), None)


def _splits_row(chosen: tuple[RunInfo, ...]) -> tuple[str, ...]:
    found = probed_splits(Choice(chosen))
    if len(found) < 2:
        return ()
    wanted = st.pills(
        "Questions", list(found), selection_mode="multi", key="split", bind="query-params", help="None chosen: all."
    )
    return tuple(wanted or ())


@st.fragment(run_every=POLL_SECONDS)
def _watching(before: dict[str, tuple[int, ...]], known: tuple[Path, ...]) -> None:
    if folders() != known or any(fingerprint(Path(folder)) != marks for folder, marks in before.items()):
        st.rerun(scope="app")


def watch(runs: tuple[RunInfo, ...]) -> None:
    """Look every few seconds whether a run has grown or a new one has begun, and only then make the page again."""
    _watching({str(run.folder): run.fingerprint for run in runs if not run.final}, folders())


def link(page: str, label: str, *, icon: str | None = None, **parameters: object) -> None:
    """Show a link to a page with these parameters in its address; null ones are left out, lists are repeated."""
    st.page_link(f"pages/{page}.py", label=label, icon=icon, query_params=_parameters(parameters), width="content")


def link_to_question(question_id: str, *, run: str | None = None, step: int | None = None, label: str = "Open") -> None:
    """Show a link to a question, in a run (by name) and at a step."""
    link("question", label, q=question_id, run=run, step=step)


def _parameters(parameters: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: [str(v) for v in value] if isinstance(value, list | tuple) else str(value)
        for name, value in parameters.items()
        if value is not None and value != () and value != []
    }


def age_of(run: RunInfo, *, now: float) -> str:
    """Say how long ago the folder was last written in."""
    seconds = max(0.0, now - run.changed_seconds)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n} {unit}{'s' * (n > 1)} ago"
    return "just now"


def remaining(run: RunInfo) -> str | None:
    """Say how fast a run goes and how long it has left, by its last commits; None where that is not known."""
    if run.state != "running" or silent(run) or run.seconds_per_step is None:
        return None
    rate = f"{run.seconds_per_step:,.3g} s a step"
    if not run.planned_steps or run.committed_step is None:
        return rate
    seconds = run.seconds_per_step * max(0, run.planned_steps - run.committed_step)
    return f"{rate}, about {_long(seconds)} left"


def _long(seconds: float) -> str:
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def state_text(run: RunInfo) -> str:
    """Say the state of a run as a phrase."""
    if silent(run):
        return "says it is running, but nothing was written for a while: if it was killed, start it again"
    return STATES[run.state]
