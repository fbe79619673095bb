"""Show page Attempts: every answer of a run at a step, to filter, search and read."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.training.text_signs import frequent_wrong
from relift.dashboards.attempts import MANY, MARKS, SORTS, VERDICTS, AttemptFilter, attempts_of, marked, select
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready
from relift.dashboards.origins import NAMES, able_origins, choose_origin, of_origin
from relift.dashboards.question_widgets import show_head
from relift.dashboards.reading import MARKS as VERDICT_MARKS
from relift.dashboards.reading import show_side, side_of
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.widgets import choose_runs, keep_choices, link, plain, restore_choices, start_page
from relift.errors import ReliftError

PER_PAGE = 200  # rows of the table at once
SHORT = 140  # characters of a text in the table


def show() -> None:
    """Show the whole page."""
    start_page("attempts")
    choice = choose_runs()
    if choice is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        origin = choose_origin("Questions that were", able_origins(choice)) or "probe"
        choice = of_origin(choice, origin)
        runs = _choose_of(choice)
        step = _choose_step(runs)
    if not runs:
        st.info("None of these runs has answers yet.", icon=":material/inbox:")
        return
    frame = _read(runs, step, choice.splits)
    if frame is None:
        return
    wanted = _filters(frame)
    try:
        rows = select(frame, wanted)
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return
    _counts(frame, rows)
    if rows.empty:
        st.info("No attempt is left: take a filter away.", icon=":material/search:")
        return
    left, right = st.columns([7, 5], gap="medium")
    with left:
        chosen = _table(rows)
    with right:
        _reading(choice, frame, chosen)
    _frequent(rows)


def _choose_of(choice: Choice) -> list[RunInfo]:
    """Choose the runs whose attempts are listed: the last one with probes where nothing is chosen."""
    able = [run for run in choice.runs if run.probe_steps]
    if len(able) < 2:
        return able
    trained = [run for run in able if run.probe_steps[-1] > 0] or able
    names = st.pills(
        "Answers of", [run.name for run in able], selection_mode="multi", key="of", bind="query-params",
        help=f"Nothing chosen: {trained[0].name}.",
    )  # fmt: skip
    return [run for run in able if run.name in (names or ())] or trained[:1]


def _choose_step(runs: list[RunInfo]) -> int | None:
    steps = sorted({step for run in runs for step in run.probe_steps})
    if len(steps) < 2:
        return None
    text = st.selectbox(
        "At step", [str(step) for step in steps], index=None, key="step", bind="query-params",
        placeholder="each run's last", width=170,
    )  # fmt: skip
    return int(text) if text else None


def _read(runs: list[RunInfo], step: int | None, splits: tuple[str, ...]) -> pd.DataFrame | None:
    """Read the attempts of these runs; what cannot be read is named, None where nothing is left."""
    frames = []
    for run in runs:
        if step is not None and step not in run.probe_steps:
            st.caption(f"{plain(run.name)} has no answers at step {step}.")
            continue
        try:
            frames.append(attempts_of(run, run.probe_steps[-1] if step is None else step))
        except ReliftError as error:
            st.error(f"{plain(run.name)} is left out: {plain(error)}", icon=":material/error:")
    if not frames:
        return None
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if splits:
        frame = frame[frame["split"].isin(splits).to_numpy()]
    if len(frame) > MANY:
        st.caption(f"Over {MANY:,} attempts: their texts are not searched; open a question to read them.")
    return frame.reset_index(drop=True)


def _filters(frame: pd.DataFrame) -> AttemptFilter:
    """Show the rows of filters, all of it in the address."""
    held = [verdict for verdict in VERDICTS if (frame["verdict"] == verdict).any()]
    marks = [mark for mark in MARKS if marked(frame, mark).any()]
    rules = sorted(frame["verdict_rule"].dropna().unique())
    texts = ("text", "regex", "answer", "q")
    restore_choices("attempts", {"verdict": held, "sign": marks, "rule": rules, "order": SORTS, **dict.fromkeys(texts)})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.pills("Verdict", held, selection_mode="multi", key="verdict", bind="query-params")
        if marks:
            st.pills(
                "That", marks, selection_mode="multi", key="sign", bind="query-params",
                help="\n".join(f"- *{mark}*: {MARKS[mark]}" for mark in marks),
            )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.text_input("Search the answers", key="text", bind="query-params", placeholder="text of an answer", width=240)
        st.toggle("Pattern", key="regex", bind="query-params", help="Search for a regular expression (RE2).")
        st.text_input("Final answer", key="answer", bind="query-params", placeholder="exactly", width=130)
        st.text_input("Question", key="q", bind="query-params", placeholder="its id", width=130)
        if len(rules) > 1:
            st.multiselect("Rule of the verdict", rules, key="rule", bind="query-params", width=190)
        st.selectbox("Sort by", list(SORTS), key="order", bind="query-params", width=180)
    keep_choices("attempts", ("verdict", "sign", "rule", "order", *texts))
    state: Any = st.session_state
    return AttemptFilter(
        verdict=tuple(state.get("verdict") or ()), mark=tuple(state.get("sign") or ()),
        rule=tuple(state.get("rule") or ()), find=(state.get("text") or ""), regex=bool(state.get("regex")),
        answer=(state.get("answer") or "").strip(), question=(state.get("q") or "").strip(),
        sort=state.get("order") or next(iter(SORTS)),
    )  # fmt: skip


def _counts(frame: pd.DataFrame, rows: pd.DataFrame) -> None:
    parts = [f"**{len(rows):,}** of {len(frame):,} attempts"]
    verdicts = rows["verdict"].value_counts()
    parts += [f"{verdicts[verdict]:,} {verdict}" for verdict in VERDICTS if verdict in verdicts]
    parts += [f"{n:,} {mark}" for mark in MARKS if (n := int(marked(rows, mark).sum()))]
    st.markdown(" · ".join(parts))


def _table(rows: pd.DataFrame) -> str | None:
    """Show a page of the attempts; return the address of the one chosen."""
    pages, page = -(-len(rows) // PER_PAGE), 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Answers", anchor=False)
        downloads(Ready("attempts", rows.drop(columns="problem")))
        if pages > 1:
            page = st.pagination(pages, key="part", bind="query-params")
    shown = rows.iloc[(page - 1) * PER_PAGE : page * PER_PAGE]
    table = pd.DataFrame(
        {
            "": [VERDICT_MARKS.get(str(verdict), "?") for verdict in shown["verdict"]],
            "answer": shown["answer"].to_numpy(object), "gold": shown["gold"].to_numpy(object),
            "text": [None if text is None else " ".join(text[: 3 * SHORT].split())[:SHORT] for text in shown["text"]],
            "tokens": shown["n_tokens"].to_numpy(), "compression": shown["compression"].to_numpy(),
            "marks": [", ".join(name) for name in _marks_of(shown)],
            "rule": shown["verdict_rule"].to_numpy(object), "split": shown["split"].to_numpy(object),
            "run": shown["run"].to_numpy(object), "step": shown["step"].to_numpy(),
            "draw": shown["draw"].to_numpy(), "attempt": shown["attempt"].to_numpy() + 1,
        }
    )  # fmt: skip
    columns = {
        "": st.column_config.TextColumn(width=28), "answer": st.column_config.TextColumn(width=70),
        "gold": st.column_config.TextColumn(width=60), "text": st.column_config.TextColumn(width=260),
        "tokens": st.column_config.NumberColumn(width=60),
        "compression": st.column_config.NumberColumn(
            format="%.2f", width=90, help="Bytes of the text by those it compresses to: higher is more repetitive."
        ),
    }  # fmt: skip
    event: Any = st.dataframe(
        table, hide_index=True, column_config=columns, selection_mode="single-row", on_select="rerun", height=430,
        key="attempts-list", row_height=30,
    )  # fmt: skip
    picked = (event or {}).get("selection", {}).get("rows") or []
    if picked and picked[0] < len(shown):
        st.query_params["attempt"] = _address(shown.iloc[picked[0]])
    return st.query_params.get("attempt")


def _marks_of(rows: pd.DataFrame) -> list[list[str]]:
    by_mark = {mark: marked(rows, mark) for mark in MARKS}
    return [[mark for mark, held in by_mark.items() if held[i]] for i in range(len(rows))]


def _address(row: pd.Series) -> str:
    """Name an attempt for the address."""
    return f"{row['run']}|{row['question_id']}|{int(row['draw'])}|{int(row['attempt'])}"


def _reading(choice: Choice, frame: pd.DataFrame, chosen: str | None) -> None:
    """Show the attempt chosen below its problem, with a link to its question."""
    st.subheader("The answer chosen", anchor=False)
    row = None if chosen is None else _find(frame, chosen)
    run = None if row is None else choice.find(str(row["run"]))
    if row is None or run is None:
        st.caption("Choose a row to read it here. Arrow keys move among rows, Space chooses one.")
        return
    question_id = str(row["question_id"])
    with st.container(horizontal=True):
        origin = NAMES[run.origin] if run.origin != "probe" else None
        link(
            "question", "Open its question", icon=":material/open_in_new:", q=question_id, of=run.name,
            run=[one.name for one in choice.runs] if len(choice.runs) > 1 else None, step=int(row["step"]),
            origin=origin,
        )  # fmt: skip
        link(
            "attempts", "All answers to it", icon=":material/filter_alt:", q=question_id, of=run.name,
            run=[one.name for one in choice.runs] if len(choice.runs) > 1 else None, step=int(row["step"]),
            origin=origin,
        )  # fmt: skip
    show_head(choice, question_id, {}, rendered=False, key="attempt-head")
    show_side(side_of(run, row.drop(["problem", "gold"])), rendered=False, key="attempt-text")


def _find(frame: pd.DataFrame, chosen: str) -> pd.Series | None:
    """Find the attempt that an address names, None if it is not there."""
    parts = chosen.split("|")
    if len(parts) != 4 or not all(part.isdecimal() and len(part) < 6 for part in parts[2:]):
        return None
    keep = (frame["run"] == parts[0]) & (frame["question_id"] == parts[1])
    keep &= (frame["draw"] == int(parts[2])) & (frame["attempt"] == int(parts[3]))
    rows = frame[keep.to_numpy()]
    return None if rows.empty else rows.iloc[0]


def _frequent(rows: pd.DataFrame) -> None:
    """Show the wrong answers that several attempts at a question share; a row chosen lists its attempts."""
    frequent = frequent_wrong(rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Most frequent wrong answers", anchor=False)
        if len(frequent):
            downloads(Ready("frequent-wrong", frequent))
    if frequent.empty:
        st.caption("No two of these attempts gave the same wrong answer to a question.")
        return
    st.markdown("Wrong answers that several of these attempts gave to the same question: a mistake with a system.")
    of_question = rows.drop_duplicates("question_id").set_index("question_id")
    table = pd.DataFrame(
        {
            "problem": [" ".join(str(of_question.at[q, "problem"]).split())[:SHORT] for q in frequent["question_id"]],
            "gold": [of_question.at[q, "gold"] for q in frequent["question_id"]],
            "answer": frequent["answer"].to_numpy(object), "given": frequent["count"],
            "of wrong attempts": frequent["n_wrong"], "of attempts": frequent["n_attempts"],
        }
    )  # fmt: skip
    event: Any = st.dataframe(
        table, hide_index=True, selection_mode="single-row", on_select="rerun", key="frequent", height=300,
        column_config={"problem": st.column_config.TextColumn(width=320)},
    )  # fmt: skip
    picked = (event or {}).get("selection", {}).get("rows") or []
    if picked and picked[0] < len(frequent):
        row = frequent.iloc[picked[0]]
        link(
            "attempts", f"Read the {int(row['count'])} attempts", icon=":material/arrow_forward:",
            **_kept_parameters(), q=row["question_id"], answer=row["answer"],
        )  # fmt: skip
    else:
        st.caption("Choose a row to list its attempts.")


def _kept_parameters() -> dict[str, object]:
    """Read the parameters of the address that a link to a part of this list keeps."""
    names = ("run", "split", "origin", "of", "step")
    return {name: st.query_params.get_all(name) for name in names}


if __name__ == "__main__":
    show()
