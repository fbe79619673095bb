r"""Put back commands of TeX that lost their backslash: `\f` of `\frac` read as a form feed, `\t` of `\times` as a TAB.

A string that was written with single backslashes and read by a language that has escapes loses them. Where the rest of
the command's name follows the control character, the command is put back.
"""

from __future__ import annotations

import re

# By control character: its escape letter, and the rests of the commands that begin with it
_COMMANDS = {
    "\a": ("a", "lpha pprox ngle st rctan rcsin rccos rray"),
    "\b": ("b", "oxed eta inom egin ar mod igl igr ig igcup igcap ullet oldsymbol mathbf"),
    "\f": ("f", "rac box orall lat"),
    "\t": ("t", "imes ext extbf extit extrm heta anh au riangle frac binom ilde extstyle"),
    "\v": ("v", "ec arphi ert ee dots arepsilon arnothing artheta"),
    "\r": ("r", "ight angle ho vert brace floor ceil"),
}
_LETTER = {control: letter for control, (letter, _) in _COMMANDS.items()}
DAMAGED = re.compile(
    "|".join(
        rf"{re.escape(control)}(?=(?:{'|'.join(sorted(rests.split(), key=len, reverse=True))})(?![a-z]))"
        for control, (_, rests) in _COMMANDS.items()
    )
)


def repaired_escapes(text: str) -> tuple[str, int]:
    """Put the commands back; return the text and the number of them."""
    if not any(control in text for control in _COMMANDS):
        return text, 0
    return DAMAGED.subn(lambda m: "\\" + _LETTER[m[0]], text)
