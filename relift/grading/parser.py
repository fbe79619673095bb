r"""A small reader of mathematics: canonical strings into trees. What it does not know for certain it refuses.

Nothing is evaluated here and no text is ever handed to an interpreter. The grammar is that of answers: numbers, mixed
numbers, roots, fractions, powers, common functions, single letters as variables, products without a sign; around
them lists, tuples and intervals, sets, unions, matrices and equations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

MAX_DEPTH = 16  # of brackets and braces
MAX_ATOMS = 150  # of one expression: trees are walked recursively
MAX_ELEMENTS = 64  # of a list
MAX_CELLS = 256  # of a matrix
MAX_DIGITS = 256  # of one number


class Unreadable(Exception):
    """The text is outside the grammar, or could be read in two ways."""


@dataclass(frozen=True)
class Number:
    """A literal; `is_decimal`: written with a point or a power of ten."""

    value: Fraction
    is_decimal: bool = False


@dataclass(frozen=True)
class Name:
    """A variable ("x", "x_1", "theta"), or one of the constants pi, e, i, inf."""

    name: str
    is_constant: bool = False


@dataclass(frozen=True)
class Apply:
    """An operation on trees: + - * / ^ neg ! % pm root(index, x) log(base, x) binom(n, k), or a function by name."""

    operation: str
    arguments: tuple[Tree, ...]


Tree: TypeAlias = "Number | Name | Apply"


@dataclass(frozen=True)
class Group:
    """Elements in brackets: opening and closing are "(" "[" "{", ")" "]" "}", or "" for a bare list."""

    opening: str
    closing: str
    elements: tuple[Answer, ...]


@dataclass(frozen=True)
class Union:
    """Parts joined by a union sign."""

    parts: tuple[Answer, ...]


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Tree, ...], ...]


@dataclass(frozen=True)
class Equation:
    """Sides of a = b = c."""

    sides: tuple[Answer, ...]


Answer: TypeAlias = "Tree | Group | Union | Matrix | Equation"

FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan ln exp sinh cosh tanh".split())
_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi "
    "omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell".split()
)
_RELATIONS = re.compile(
    r"\\(?:le|ge|ne|approx|equiv|sim|lt|gt|to|in|mid|subset|dots|Rightarrow|implies)(?![a-zA-Z])|[<>]"
)
_WORD = re.compile(r"(?<![a-zA-Z])(?![pbv]?matrix\})[a-zA-Z]{3,}")  # three letters are a word, not a product
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_SUBSCRIPT = re.compile(r"_(?:(\w)|\{(\w{1,8})\})")
_MATRIX = re.compile(r"\\begin\{([pb]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_ASSIGNED_SET = re.compile(r"[a-zA-Z]\\in(?=[\[(\\])")
_OPEN, _CLOSE = {"(": ")", "[": "]", r"\{": r"\}"}, {")", "]", r"\}"}
_AMBIGUOUS_FUNCTIONS = frozenset("fghFGHPQT")  # a letter before a bracket that may be a function's name


def parse_answer(plain: str) -> Answer:
    """The tree of a canonical string. Raises Unreadable."""
    if not plain:
        raise Unreadable("nothing")
    if plain.startswith(r"\approx"):
        plain = plain[len(r"\approx") :].strip()
    plain = _ASSIGNED_SET.sub("", plain, count=1) if _ASSIGNED_SET.match(plain) else plain
    if _RELATIONS.search(plain) or _WORD.search(_COMMAND.sub(" ", plain)):
        raise Unreadable("a relation other than an equation, or a word")
    return _answer(plain, depth=0)


def _answer(text: str, *, depth: int) -> Answer:
    if depth > MAX_DEPTH:
        raise Unreadable("too deep")
    elements = _split(text, ",;")
    if len(elements) > 1:
        if len(elements) > MAX_ELEMENTS:
            raise Unreadable("too many elements")
        return Group("", "", tuple(_answer(element, depth=depth + 1) for element in elements))
    sides = _split(text, "=")
    if len(sides) > 1:
        return Equation(tuple(_answer(side, depth=depth + 1) for side in sides))
    parts = _split(text, r"\cup")
    if len(parts) > 1:
        return Union(tuple(_answer(part, depth=depth + 1) for part in parts))
    matrix = _MATRIX.fullmatch(text)
    if matrix:
        return _matrix(matrix[2])
    if text.endswith("%"):  # a percentage is the whole of an element, and no part of an expression
        return Apply("%", (_Parser(text[:-1]).parse(),))
    group = _group(text, depth=depth)
    return _Parser(text).parse() if group is None else group


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators outside all brackets. `separator`: a command, or any one of these characters."""
    parts, level, start, place = [], 0, 0, 0
    while place < len(text):
        character = text[place]
        if character == "\\":
            command = _COMMAND.match(text, place)
            piece = command[0] if command else text[place : place + 2]
        else:
            piece = character
        if piece in ("{", "(", "[", r"\{", r"\begin"):
            level += 1
        elif piece in ("}", ")", "]", r"\}", r"\end"):
            level -= 1
        elif level == 0 and (piece == separator or (separator[0] != "\\" and len(piece) == 1 and piece in separator)):
            parts.append(text[start:place].strip())
            start = place + len(piece)
        place += len(piece)
    parts.append(text[start:].strip())
    if level != 0 or "" in parts:
        raise Unreadable("unbalanced brackets, or an empty element")
    return parts


def _group(text: str, *, depth: int) -> Group | None:
    """The text as one bracketed group with commas (or a set); None when it is none."""
    opening = next((mark for mark in _OPEN if text.startswith(mark)), None)
    closing = next((mark for mark in _CLOSE if text.endswith(mark)), None)
    if opening is None or closing is None:
        return None
    inner = text[len(opening) : len(text) - len(closing)]
    try:
        elements = _split(inner, ",;")
    except Unreadable:  # the two marks do not belong together: (a)(b)
        return None
    if len(elements) == 1 and opening != r"\{":
        return None  # brackets around an expression
    if len(elements) > MAX_ELEMENTS or (r"\{" in (opening,)) != (r"\}" in (closing,)):
        raise Unreadable("too many elements, or marks that do not match")
    return Group(opening[-1], closing[-1], tuple(_answer(element, depth=depth + 1) for element in elements))


def _matrix(body: str) -> Matrix:
    rows = [row for row in re.split(r"\\\\", body) if row.strip()]
    cells = [[_Parser(cell.strip()).parse() for cell in row.split("&")] for row in rows]
    if not rows or len({len(row) for row in cells}) != 1 or len(cells) * len(cells[0]) > MAX_CELLS:
        raise Unreadable("not a matrix")
    return Matrix(tuple(tuple(row) for row in cells))


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0
        self.atoms = 0

    def parse(self) -> Tree:
        tree = self.sum()
        if self.peek():
            raise Unreadable(f"more after the expression: {self.text[self.place : self.place + 10]!r}")
        return tree

    def peek(self) -> str:
        """The next piece: a command, an escaped character, or a character; "" at the end."""
        while self.place < len(self.text) and self.text[self.place] == " ":
            self.place += 1
        if self.place >= len(self.text):
            return ""
        if self.text[self.place] == "\\":
            command = _COMMAND.match(self.text, self.place)
            return command[0] if command else self.text[self.place : self.place + 2]
        return self.text[self.place]

    def take(self, piece: str) -> bool:
        if self.peek() != piece:
            return False
        self.place += len(piece)
        return True

    def expect(self, piece: str) -> None:
        if not self.take(piece):
            raise Unreadable(f"no {piece!r}")

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")
        if self.take(r"\pm"):
            tree: Tree = Apply("pm", (Number(Fraction(0)), self.product()))
        else:
            tree = self.signed()
        while True:
            if self.take("+"):
                tree = Apply("+", (tree, self.product()))
            elif self.take("-"):
                tree = Apply("-", (tree, self.product()))
            elif self.take(r"\pm"):
                tree = Apply("pm", (tree, self.product()))
            else:
                self.depth -= 1
                return tree

    def signed(self) -> Tree:
        if self.take("-"):
            return Apply("neg", (self.product(),))
        self.take("+")
        return self.product()

    def product(self) -> Tree:
        tree = self.power()
        divided = False
        while True:
            piece = self.peek()
            if piece in (r"\cdot", "/"):
                self.place += len(piece)
                negative = self.take("-")
                factor = self.power()
                factor = Apply("neg", (factor,)) if negative else factor
                tree, divided = Apply("*" if piece == r"\cdot" else "/", (tree, factor)), piece == "/"
            elif self._starts_factor(piece):
                if divided or piece.isdigit() or piece == ".":
                    raise Unreadable("a product without a sign behind a division, or two numbers side by side")
                tree = self._mixed(tree, piece) or Apply("*", (tree, self.power()))
            else:
                return tree

    def _starts_factor(self, piece: str) -> bool:
        return piece not in ("", "+", "-", ")", "]", "}", r"\}", "|", r"\pm", "%", "!", "^", "_", "&", r"\\", ",", "=")

    def _mixed(self, tree: Tree, piece: str) -> Tree | None:
        """A whole number before a fraction of numbers is a mixed number: their sum."""
        if piece != r"\frac" or not isinstance(tree, Number) or tree.is_decimal:
            return None
        start = self.place
        fraction = self.power()
        if isinstance(fraction, Apply) and fraction.operation == "/":
            if all(isinstance(a, Number) and not a.is_decimal for a in fraction.arguments):
                return Apply("+", (tree, fraction))
        self.place = start
        return None

    def power(self) -> Tree:
        tree = self.postfix(self.atom())
        if self.take("^"):
            exponent = self.script()
            tree = self.postfix(Apply("^", (tree, exponent)))
            if self.peek() == "^":
                raise Unreadable("two exponents")
        return tree

    def postfix(self, tree: Tree) -> Tree:
        while self.take("!"):
            tree = Apply("!", (tree,))
        return tree

    def script(self) -> Tree:
        """An exponent or the argument of a command: a braced expression, or one digit, letter or command."""
        if self.take("{"):
            tree = self.sum()
            self.expect("}")
            return tree
        piece = self.peek()
        if piece.isdigit() and piece.isascii():
            self.place += 1
            return Number(Fraction(int(piece)))
        if piece in ("(", "[", "") or piece.isspace():
            raise Unreadable("an argument in round brackets")
        return self.atom()

    def atom(self) -> Tree:
        self.atoms += 1
        if self.atoms > MAX_ATOMS:
            raise Unreadable("too long")
        piece = self.peek()
        number = _NUMBER.match(self.text, self.place)
        if number and number[0].isascii():
            return self._number(number[0])
        if piece == "(" or piece == "[":
            self.place += 1
            tree = self.sum()
            self.expect(")" if piece == "(" else "]")
            return tree
        if piece == "{":
            return self.script()
        if piece.startswith("\\"):
            return self._command(piece)
        if piece.isalpha() and piece.isascii():
            self.place += 1
            return self._letter(piece)
        raise Unreadable(f"{piece!r}")

    def _number(self, literal: str) -> Number:
        self.place += len(literal)
        if len(literal) > MAX_DIGITS or self.peek() == "_":
            raise Unreadable("a long number, or one with a subscript")
        return Number(Fraction(literal.removesuffix(".")), "." in literal.removesuffix("."))

    def _letter(self, letter: str) -> Tree:
        if letter in ("e", "i"):
            return Name(letter, is_constant=True)
        if letter in "EIj":
            raise Unreadable("a letter that may be a constant")
        subscript = _SUBSCRIPT.match(self.text, self.place)
        if subscript:
            self.place = subscript.end()
            return Name(f"{letter.lower()}_{subscript[1] or subscript[2]}")
        if self.peek() in ("_", "'") or (self.peek() == "(" and letter in _AMBIGUOUS_FUNCTIONS):
            raise Unreadable("a function, or a derivative")
        return Name(letter.lower())

    def _command(self, piece: str) -> Tree:
        name = piece[1:]
        self.place += len(piece)
        if name in ("pi", "infty"):
            return Name("pi" if name == "pi" else "inf", is_constant=True)
        if name in _GREEK:
            return self._letter_of_greek(name)
        if name == "frac":
            return Apply("/", (self.script(), self.script()))
        if name == "binom":
            return Apply("binom", (self.script(), self.script()))
        if name == "sqrt":
            return self._root()
        if name == "log":
            self.expect("_")
            base = self.script()
            return Apply("log", (base, self._argument()))
        if name in FUNCTIONS:
            exponent = self.script() if self.take("^") else None
            if isinstance(exponent, Apply) and exponent.operation == "neg":
                raise Unreadable("an inverse function, or a reciprocal")
            tree = Apply(name, (self._argument(),))
            return tree if exponent is None else Apply("^", (tree, exponent))
        raise Unreadable(piece)

    def _letter_of_greek(self, name: str) -> Tree:
        if self.peek() == "_":
            raise Unreadable("a subscript")
        return Name(name)

    def _root(self) -> Tree:
        index: Tree = Number(Fraction(2))
        if self.take("["):
            index = self.sum()
            self.expect("]")
        if self.peek() == "(":
            return Apply("root", (index, self.atom()))
        return Apply("root", (index, self.script()))

    def _argument(self) -> Tree:
        """The argument of a function: a bracket, or numbers and letters side by side, to the next sign."""
        piece = self.peek()
        if piece in ("(", "{"):
            tree = self.atom()
            if self.peek() in ("^", "!") or self._starts_factor(self.peek()):
                if self.peek() not in (r"\cdot", "/") and not self.peek().startswith("\\"):
                    raise Unreadable("unclear where the argument ends")
            return tree
        tree = self.power()
        while self.peek().isalnum() or self.peek() in (r"\pi", r"\theta", r"\alpha", r"\beta", r"\sqrt"):
            tree = Apply("*", (tree, self.power()))
        if self.peek() in ("(", "/", r"\frac"):
            raise Unreadable("unclear where the argument ends")
        return tree
