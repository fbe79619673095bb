"""Styles of runs: every run its own colour, none pale, and names cut in the middle."""

from __future__ import annotations

from relift.analysis.style import run_styles, shorten


def test_runs_of_any_name_have_colours_of_their_own_before_one_comes_again() -> None:
    styles = run_styles([f"mine {i}" for i in range(12)])
    colours = [look.colour for look in styles.values()]
    assert len(set(colours[:8])) == 8
    assert "#F0E442" not in colours and "#999999" not in colours
    looks = {(look.colour, look.dash, look.marker) for look in styles.values()}
    assert len(looks) == 12


def test_a_method_keeps_its_colour_and_others_take_what_is_free() -> None:
    styles = run_styles(["mine", "rl", "base"])
    assert list(styles) == ["base", "rl", "mine"]
    assert styles["rl"].colour == "#0072B2" and styles["base"].colour == "#000000"
    assert styles["mine"].colour not in ("#0072B2", "#000000")


def test_names_are_cut_in_the_middle() -> None:
    assert shorten("a-long-name-of-a-run_seed1", longest=12) == "a-lon…_seed1"
    assert shorten("short", longest=12) == "short"
