"""Say whether a response keeps a format that training may reward: thoughts that are closed, an answer in a box."""

from __future__ import annotations

from relift.grading.boxes import last_box
from relift.grading.extract import THINKING_TAGS, without_thoughts

FORMATS = ("think", "box", "think_box")


def keeps_format(text: str, name: str, *, opened: bool = False) -> bool:
    """Whether a response keeps the format `name`.

    think      it begins with an opening mark of thoughts (or the prompt has `opened` them), closes them once, and
               something follows
    box        an answer stands in a box, behind the thoughts if there are any
    think_box  both
    """
    assert name in FORMATS
    return all(
        _thinks(text, opened=opened) if one == "think" else _boxes(text, opened=opened) for one in name.split("_")
    )


def _thinks(text: str, *, opened: bool) -> bool:
    for opening, closing in THINKING_TAGS:
        begins = text.lstrip().startswith(opening)
        if (opened or begins) and text.count(closing) == 1:
            before, _, after = text.partition(closing)
            return before.count(opening) == int(begins) and opening not in after and bool(after.strip())
    return False


def _boxes(text: str, *, opened: bool) -> bool:
    rest = without_thoughts(text, opened=opened)
    return rest is not None and last_box(rest) is not None
