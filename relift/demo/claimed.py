"""Take a folder for one experiment, so that no other one is mixed into it."""

from __future__ import annotations

from pathlib import Path

from relift.errors import InputError


def claim_folder(out: Path, *, note: str, text: str, what: str, other: str) -> None:
    """Take a folder for the experiment that `text` tells of, by a file `note` in it.

    `what` names its kind ("demo"), `other` an experiment of that kind with another text. InputError where the folder
    holds anything else, or is none.
    """
    path = out / note
    elsewhere = "choose another folder with --out"
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is no folder: {elsewhere}")
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"{out} holds {other}: {elsewhere}, or remove it")
    if not path.exists() and out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no {what}: {elsewhere}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot write there: {error.strerror}; {elsewhere}") from None
