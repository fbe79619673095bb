"""Style figures for print and save them: one rc dictionary, one style per run, four files.

Figures are built on matplotlib.figure.Figure, without pyplot, whose global state is not safe in a server's
threads. matplotlib is imported when a figure is made: reading a run must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from relift.inert import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_WIDTH = 5.5  # inches: the text block of ICLR and NeurIPS
COLUMN_WIDTH = 3.25  # inches: a column of ICML; an ACL column is 3.03

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.0,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType: submission systems refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "relift",  # else the ids inside an svg differ from run to run
}

# ordered bands: four points of viridis, dark to bright, never the qualitative set
BAND_COLOURS = {"Hardest": "#440154", "Hard": "#31688E", "Medium": "#35B779", "Easy": "#B5DE2B"}
GREY = "#E3E3E3"  # what cannot be told from noise
GAIN, LOSS = "#4393C3", "#D6604D"  # of RdBu, as the colours of an excess


@dataclass(frozen=True)
class RunStyle:
    """Hold colour (Okabe and Ito 2008), dash pattern and marker of one run: each alone tells it from the others."""

    label: str
    colour: str
    dash: Any
    marker: str

    def line(self) -> dict[str, Any]:
        """Return keywords for Axes.plot."""
        return {"color": self.colour, "linestyle": self.dash, "marker": self.marker}


_METHODS = {
    "base": RunStyle("base", "#000000", (0, (1, 1.5)), "."),
    "step 0": RunStyle("step 0", "#000000", (0, (1, 1.5)), "."),
    "rl": RunStyle("RL", "#0072B2", "solid", "o"),
    "sft": RunStyle("SFT", "#E69F00", (0, (5, 1.5)), "s"),
    "sft_matched": RunStyle("SFT, matched", "#56B4E9", (0, (2, 1)), "v"),
    "relift": RunStyle("ReLIFT", "#D55E00", (0, (6, 1, 1, 1)), "D"),
    "sft_rl": RunStyle("SFT, then RL", "#009E73", (0, (3, 1, 1, 1, 1, 1)), "^"),
}
# colours of any run, given out in this order: 3 to 1 or near it on white, no yellow, no grey like the base's
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7B4FA6", "#E69F00", "#56B4E9", "#8C6D31")
_LOOKS: tuple[tuple[Any, str], ...] = (
    ("solid", "P"), ((0, (4, 1)), "X"), ((0, (3, 2)), "<"), ((0, (1, 1)), ">"), ((0, (8, 2)), "h"),
    ((0, (5, 1, 1, 1)), "p"), ((0, (2, 2)), "*"),
)  # fmt: skip


def run_styles(names: Iterable[str]) -> dict[str, RunStyle]:
    """Give each run name a style, in the order of legends: our methods, then others in order of appearance.

    A colour that is one method's belongs to whoever is present: other runs take the colours that no present method
    has, and only where these are used up a second run gets one again, with another dash and marker.
    """
    given = dict.fromkeys(str(n) for n in names)
    styles = {name: look for name, look in _METHODS.items() if name in given}
    used = {look.colour for look in styles.values()}
    free = [colour for colour in _COLOURS if colour not in used] or list(_COLOURS)
    for position, name in enumerate(n for n in given if n not in _METHODS):
        colours = free if position < len(free) else _COLOURS
        place = position if position < len(free) else position - len(free)
        styles[name] = RunStyle(
            shown(name), colours[place % len(colours)], *_LOOKS[(position + position // len(_LOOKS)) % len(_LOOKS)]
        )
    return styles


def shorten(name: str, *, longest: int) -> str:
    """Cut a name in the middle: seeds and suffixes stand at its end."""
    if len(name) <= longest:
        return name
    head = (longest - 1) // 2
    return f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"


def shown(name: str, *, longest: int = 32) -> str:
    """Write a name that people chose as matplotlib can draw it: one line, no mathematics, no more than `longest`."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    text = shorten(text, longest=longest)
    return text.replace("$", r"\$")  # a lone pair of them would be taken for a formula, which may not parse


def context() -> AbstractContextManager[None]:
    """Set the rc settings of this module for the length of a `with`; global settings come back after it."""
    from matplotlib import rc_context

    return rc_context(RC)


def new_axes(rows: int, columns: int, *, height: float, width: float = PAGE_WIDTH, **options: Any) -> Any:
    """Make Axes (rows, columns) on a new Figure of `width` x `height` inches with constrained layout."""
    from matplotlib.figure import Figure

    with context():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        for one in axes.flat:
            finish_ticks(one)
    return axes


def one_axes(*, height: float, width: float = PAGE_WIDTH) -> Any:
    """Make the single Axes of a new Figure."""
    return new_axes(1, 1, height=height, width=width)[0, 0]


def panels(n: int, *, height: float, per_row: int = 5, share_y: Literal["no", "all"] = "no") -> Any:
    """Make `n` Axes [n] on a new Figure, in rows of at most `per_row` of `height` inches each."""
    rows, columns = -(-n // per_row), min(per_row, max(1, n))
    axes = new_axes(max(1, rows), columns, height=height * max(1, rows), sharey=share_y == "all").ravel()
    for one in axes[n:]:
        one.set_axis_off()
    return axes[:n]


def by_style(frame: pd.DataFrame, styles: Mapping[str, RunStyle]) -> list[tuple[str, pd.DataFrame]]:
    """List (run, its rows) in the order of the legend; two runs of one name stay apart."""
    parts = [(str(run), rows) for (_, run), rows in frame.groupby(["run_id", "run"], sort=False, observed=True)]
    order = {run: position for position, run in enumerate(styles)}
    return sorted(parts, key=lambda part: order[part[0]])


def line_with_interval(axes: Axes, x: Any, frame: pd.DataFrame, value: str, look: RunStyle) -> None:
    """Draw `value` over `x` with the columns low and high shaded, or as a bar where there is one point."""
    if len(frame) == 1:
        axes.vlines(x, frame["low"], frame["high"], color=look.colour, linewidth=0.8)
    else:
        axes.fill_between(x, frame["low"], frame["high"], color=look.colour, alpha=0.15, linewidth=0)
    axes.plot(x, frame[value], **look.line())


def draw_lines(
    axes: Axes, frame: pd.DataFrame, styles: Mapping[str, RunStyle], *, x: str, value: str, floor: str | None = None
) -> None:
    """Draw a line per run of `value` over `x` with columns low and high shaded; `floor`: what chance gives, dotted."""
    for run, line in by_style(frame.dropna(subset=value), styles):
        known = line.sort_values(x)
        line_with_interval(axes, known[x].astype(float), known, value, styles[run])
        if floor is not None and known[floor].notna().any():
            axes.plot(known[x].astype(float), known[floor], color=styles[run].colour, linestyle=":", linewidth=0.8)


def finish_ticks(axes: Axes) -> None:
    """Fix tick sizes now: matplotlib makes ticks when it draws, which may be outside `context`."""
    axes.tick_params(labelsize=RC["xtick.labelsize"], width=RC["xtick.major.width"], length=2.5)


def whole_steps(axes: Axes) -> None:
    """Set at most five whole-number ticks on the x axis, labelled as training steps."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_xlabel("training step")


def legend_above(
    figure: Figure, styles: Mapping[str, RunStyle], *, columns: int = 6, markers: Literal["line", "none"] = "line"
) -> None:
    """Draw one legend of the runs for the whole figure, outside at the top; none for a single run.

    markers="none": the lines of this figure carry no markers.
    """
    from matplotlib.lines import Line2D

    if len(styles) < 2:
        return
    looks = [(look.label, look.line() | ({"marker": "none"} if markers == "none" else {})) for look in styles.values()]
    handles = [Line2D([], [], label=label, **look) for label, look in looks]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(columns, len(handles)), handlelength=2.6)


def text_colour(colour: Any) -> str:
    """Choose black or white, whichever contrasts more with `colour` (WCAG 2.1: at least 4.5 to 1 on any colour)."""
    from matplotlib.colors import to_rgb

    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


FORMATS = ("pdf", "svg", "png")


def save_figure(
    figure: Figure, folder: Path | str, name: str, frame: pd.DataFrame, *, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write `name`.pdf, .svg, .png (300 dpi) and .csv, the frame behind the figure; returns their paths.

    `formats`: which of FORMATS. The same frame gives the same bytes: dates and versions are left out of the
    metadata. Makes the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": "relift", "Producer": None},
        "svg": {"Date": None, "Creator": "relift"},
        "png": {"Software": None},
    }
    paths = []
    engine = figure.get_layout_engine()
    with context():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not for each of the three formats: it is most of the time
        for kind in formats:
            paths.append(folder / f"{name}.{kind}")
            figure.savefig(paths[-1], format=kind, metadata=metadata[kind])
        figure.set_layout_engine(engine)
    paths.append(folder / f"{name}.csv")
    write_csv(frame, paths[-1])
    return paths


def count_range(values: Iterable[float]) -> str:
    """Write "8", or "7 to 8", or "?" of nothing: for captions."""
    seen = np.unique([int(v) for v in values if pd.notna(v)])
    if not len(seen):
        return "?"
    return str(seen[0]) if len(seen) == 1 else f"{seen[0]} to {seen[-1]}"
