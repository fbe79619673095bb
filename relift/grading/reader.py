r"""A reader of whole answers: lists, tuples, intervals, sets, unions, matrices, relations, around expressions."""

from __future__ import annotations

import re
from fractions import Fraction

from relift.grading.parser import MAX_DEPTH, parse_expression
from relift.grading.trees import (
    Answer,
    Apply,
    Colon,
    Equation,
    Group,
    Inequality,
    Matrix,
    Name,
    Number,
    Tree,
    Union,
    Unreadable,
)

MAX_ELEMENTS = 64  # of a list
MAX_CELLS = 256  # of a matrix

_OTHER_RELATIONS = re.compile(
    r"\\(?:equiv|sim|to|in|notin|mid|nmid|subset|subseteq|Rightarrow|implies|iff|Leftrightarrow|parallel|perp)(?![a-zA-Z])"
)
_SIGNS = {"<": "<", ">": ">", r"\lt": "<", r"\gt": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!="}
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,256}(?:\.[0-9]{1,256})?")
_WORD = re.compile(r"[a-zA-Z]{3,}")  # three letters in a row are a word, not a product
_MATRIX_NAME = re.compile(r"\\(?:begin|end)\{[pbvBV]?matrix\}")
_BRACED_SUBSCRIPT = re.compile(r"_\{[\w+,-]{1,24}\}")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_MATRIX = re.compile(r"\\begin\{([pb]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_MEMBER = re.compile(r"[a-zA-Z]\\in ?(?=[\[(\\])")
_ROWS = re.compile(r"\\\\")
_OPEN, _CLOSE = {"(": ")", "[": "]", r"\{": r"\}"}, {")", "]", r"\}"}


def parse_answer(plain: str) -> Answer:
    """Read a canonical string. Raises Unreadable."""
    if not plain:
        raise Unreadable("nothing")
    if PLAIN_NUMBER.fullmatch(plain):
        number = Number(Fraction(plain.removeprefix("-")), "." in plain)
        return Apply("neg", (number,)) if plain[0] == "-" else number
    plain = _MEMBER.sub("", plain, count=1) if _MEMBER.match(plain) else plain
    words = _COMMAND.sub(" ", _BRACED_SUBSCRIPT.sub(" ", _MATRIX_NAME.sub(" ", plain)))
    if _OTHER_RELATIONS.search(plain) or _WORD.search(words):
        raise Unreadable("a relation that is not compared here, or a word")
    return _answer(plain, depth=0)


def _answer(text: str, *, depth: int) -> Answer:
    if depth > MAX_DEPTH:
        raise Unreadable("too deep")
    elements = split(text, (",", ";"))
    if len(elements) > 1:
        if len(elements) > MAX_ELEMENTS:
            raise Unreadable("too many elements")
        return Group("", "", tuple(_answer(element, depth=depth + 1) for element in elements))
    inequality = _inequality(text)
    if inequality is not None:
        return inequality
    sides = split(text, ("=",))
    if len(sides) > 1:
        return _equation(tuple(_answer(side, depth=depth + 1) for side in sides))
    parts = split(text, (r"\cup",))
    if len(parts) > 1:
        return Union(tuple(_answer(part, depth=depth + 1) for part in parts))
    matrix = _MATRIX.fullmatch(text)
    if matrix:
        return _matrix(matrix[2])
    if text == r"\varnothing":
        return Group("{", "}", ())
    parts = split(text, (":",))
    if len(parts) > 1:
        return _colon(parts)
    if text.endswith("%"):  # a percentage is the whole of an element, and no part of an expression
        return Apply("%", (parse_expression(text[:-1]),))
    group = _group(text, depth=depth)
    return parse_expression(text) if group is None else group


def _equation(sides: tuple[Answer, ...]) -> Equation:
    """Put the variable of 5 = x first."""
    last = sides[-1]
    if len(sides) == 2 and isinstance(last, Name) and not last.is_constant and not isinstance(sides[0], Name):
        return Equation(sides[::-1])
    return Equation(sides)


def _inequality(text: str) -> Inequality | None:
    pieces = split(text, tuple(_SIGNS), keep=True)
    if len(pieces) == 1:
        return None
    if len(pieces) > 7 or "=" in text:
        raise Unreadable("a long chain of relations")
    sides = tuple(parse_expression(piece) for piece in pieces[::2])
    return Inequality(sides, tuple(_SIGNS[sign] for sign in pieces[1::2]))


def _colon(parts: list[str]) -> Colon:
    numbers = tuple(parse_expression(part) for part in parts)
    if len(parts) > 4 or not all(isinstance(number, Number) for number in numbers):
        raise Unreadable("a colon between other things than numbers")
    return Colon(tuple(number for number in numbers if isinstance(number, Number)))


def split(text: str, separators: tuple[str, ...], *, keep: bool = False) -> list[str]:
    """Cut a text at separators (characters or commands) outside all brackets; `keep`: with the separators between.

    Raises Unreadable for brackets without a partner and for empty parts.
    """
    if text and not any(separator in text for separator in separators):
        return [text]
    parts: list[str] = []
    level = start = place = 0
    while place < len(text):
        piece = text[place]
        if piece == "\\":
            command = _COMMAND.match(text, place)
            piece = command[0] if command else text[place : place + 2]
        if piece in ("{", "(", "[", r"\{", r"\begin"):
            level += 1
        elif piece in ("}", ")", "]", r"\}", r"\end"):
            level -= 1
        elif level == 0 and piece in separators:
            parts.append(text[start:place].strip())
            if keep:
                parts.append(piece)
            start = place + len(piece)
        place += len(piece)
    parts.append(text[start:].strip())
    if level != 0 or "" in parts:
        raise Unreadable("unbalanced brackets, or an empty element")
    return parts


def _group(text: str, *, depth: int) -> Group | None:
    """Read the text as one bracketed group with commas (or a set); None when it is none."""
    opening = next((mark for mark in _OPEN if text.startswith(mark)), None)
    closing = next((mark for mark in _CLOSE if text.endswith(mark)), None)
    if opening is None or closing is None:
        return None
    inner = text[len(opening) : len(text) - len(closing)].strip()
    if opening == r"\{" and closing == r"\}" and not inner:
        return Group("{", "}", ())
    try:
        elements = split(inner, (",", ";"))
    except Unreadable:  # the two marks do not belong together: (a)(b)
        return None
    if len(elements) == 1 and opening != r"\{":
        return None  # brackets around an expression
    if len(elements) > MAX_ELEMENTS or (opening == r"\{") != (closing == r"\}"):
        raise Unreadable("too many elements, or marks that do not match")
    return Group(opening[-1], closing[-1], tuple(_answer(element, depth=depth + 1) for element in elements))


def _matrix(body: str) -> Matrix:
    rows = [row for row in _ROWS.split(body) if row.strip()]
    cells = [[parse_expression(cell.strip()) for cell in row.split("&")] for row in rows]
    if not rows or len({len(row) for row in cells}) != 1 or len(cells) * len(cells[0]) > MAX_CELLS:
        raise Unreadable("not a matrix")
    return Matrix(tuple(tuple(row) for row in cells))


def assigned_name(equation: Answer) -> str | None:
    """Name the variable that an equation gives a value to, x of `x=5`; None for other answers."""
    if isinstance(equation, Equation) and isinstance(equation.sides[0], Name) and not equation.sides[0].is_constant:
        return equation.sides[0].name
    return None


def plain_sides(equation: Equation) -> tuple[Tree, Tree] | None:
    """The two sides of an equation between expressions; None for other equations."""
    if len(equation.sides) != 2:
        return None
    left, right = equation.sides
    if isinstance(left, (Number, Name, Apply)) and isinstance(right, (Number, Name, Apply)):
        return left, right
    return None
