r"""A small reader of expressions: canonical strings into trees. What it does not know for certain it refuses.

Nothing is evaluated here and no text is ever handed to an interpreter. The grammar is that of answers: numbers, mixed
numbers, repeating decimals, roots, fractions, powers, common functions, single letters as variables (upper and lower
case are different ones), products without a sign. One pass from left to right, with caps on depth and length.
"""

from __future__ import annotations

import re
from fractions import Fraction

from relift.grading.trees import GREAT, Apply, Name, Number, Tree, Unreadable

MAX_DEPTH = 16  # of brackets and braces
MAX_ATOMS = 150  # of one expression: trees are walked recursively
MAX_DIGITS = 256  # of one number
MAX_PERIOD = 64  # digits that repeat
MAX_SUBSCRIPT = 24  # characters

FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan ln exp sinh cosh tanh".split())
_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi "
    "omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell".split()
)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_REPEATING = re.compile(
    r"\\overline\{?(\d{1,64})\}?|\((\d{1,64})\)|((?:\\dot\{?\d\}?\d{0,62})?\\dot\{?\d\}?)", re.ASCII
)
_DOTS = re.compile(r"\\dots")
_SUBSCRIPT = re.compile(r"_(?:(\w)|\{([\w+,-]{1,24})\})")
_INDEX = re.compile(r"_(?:([a-z])|\{((?:\d{0,3}[a-z]|\d{1,4})(?:[+-](?:\d{0,3}[a-z]|\d{1,4})){0,6})\})", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)
_MIXED = re.compile(r" (\d{1,64})/(\d{1,64})(?![\d.!^_/])", re.ASCII)
_FUNCTION_NAMES = frozenset("fghFGHPQT")  # a letter before a bracket that may be a function's name
_STOPS = frozenset(("", "+", "-", ")", "]", "}", r"\}", "|", r"\pm", r"\mp", "%", "!", "^", "_", "&", r"\\", ",", "=",
                    ":", ";", "<", ">", r"\dots"))  # fmt: skip


def parse_expression(text: str) -> Tree:
    """Read one expression. Raises Unreadable."""
    return _Parser(text).parse()


class _Parser:
    """Read one expression by recursive descent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0
        self.atoms = 0
        self.bound: list[str] = []  # variables of the sums around this place

    def parse(self) -> Tree:
        tree = self.sum()
        if self.peek():
            raise Unreadable(f"more after the expression: {self.text[self.place : self.place + 10]!r}")
        return tree

    def peek(self) -> str:
        """Look at the next piece: a command, an escaped character, or a character; "" at the end."""
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

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")

    def sum(self) -> Tree:
        self.enter()
        if self.take(r"\pm") or self.take(r"\mp"):
            tree: Tree = Apply("pm", (Number(Fraction(0)), self.product()))
        else:
            tree = self.signed()
        while True:
            if self.take("+"):
                tree = Apply("+", (tree, self.product()))
            elif self.take("-"):
                tree = Apply("-", (tree, self.product()))
            elif self.take(r"\pm") or self.take(r"\mp"):
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
        bare = isinstance(tree, Number)  # a number written down, with nothing between it and what follows
        while True:
            piece = self.peek()
            if piece in (r"\cdot", "/"):
                self.place += len(piece)
                negative = self.take("-")
                factor = self.power()
                factor = Apply("neg", (factor,)) if negative else factor
                tree, divided = Apply("*" if piece == r"\cdot" else "/", (tree, factor)), piece == "/"
                bare = isinstance(factor, Number)
            elif piece not in _STOPS:
                number = _DIGIT.match(piece) is not None or piece == "."
                if divided or (number and bare):
                    raise Unreadable("a product without a sign behind a division, or two numbers side by side")
                tree = self._mixed(tree, piece) or Apply("*", (tree, self.power()))
                bare = number
            else:
                return tree

    def _mixed(self, tree: Tree, piece: str) -> Tree | None:
        """Read a whole number before a proper fraction of numbers, 1\\frac{4}{5}, as their sum."""
        if piece != r"\frac" or not isinstance(tree, Number) or tree.is_decimal:
            return None
        start = self.place
        fraction = self.power()
        if isinstance(fraction, Apply) and fraction.operation == "/":
            over, under = fraction.arguments
            if isinstance(over, Number) and isinstance(under, Number) and not (over.is_decimal or under.is_decimal):
                if over.value >= under.value:
                    raise Unreadable("a mixed number whose fraction is no proper one")
                return Apply("+", (tree, fraction))
        self.place = start
        return None

    def power(self) -> Tree:
        self.enter()
        tree = self.postfix(self.atom())
        if self.take("^"):
            exponent = self.script(is_exponent=True)
            self._refuse_digit("an exponent of several digits without braces")
            tree = self.postfix(Apply("^", (tree, exponent)))
            if self.peek() == "^":
                raise Unreadable("two exponents")
        self.depth -= 1
        return tree

    def postfix(self, tree: Tree) -> Tree:
        """Read the factorials behind an atom: `5!!` is a double factorial, `(5!)!` is not."""
        signs = 0
        while self.take("!"):
            signs += 1
        if signs > 2:
            raise Unreadable("three factorial signs")
        return Apply("!" * signs, (tree,)) if signs else tree

    def script(self, *, is_exponent: bool = False) -> Tree:
        """Read an exponent or the argument of a command: a braced expression, or one digit, letter or command."""
        if self.take("{"):
            tree = self.sum()
            self.expect("}")
            return tree
        piece = self.peek()
        if _DIGIT.match(piece):
            self.place += 1
            return Number(Fraction(int(piece)))
        if piece == "(" and is_exponent:  # plain text's 2^(1/4)
            return self.atom()
        if piece in ("(", "[", "") or piece.isspace():
            raise Unreadable("an argument in round brackets")
        if is_exponent and piece == "-":
            raise Unreadable("a sign without braces")
        return self.atom()

    def atom(self) -> Tree:
        self.atoms += 1
        if self.atoms > MAX_ATOMS:
            raise Unreadable("too long")
        piece = self.peek()
        number = _NUMBER.match(self.text, self.place)
        if number:
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

    def _number(self, literal: str) -> Tree:
        """Read a number, a mixed number with a slash (3 1/2), or a decimal with digits that repeat."""
        self.place += len(literal)
        if len(literal) > MAX_DIGITS:
            raise Unreadable("a long number")
        if "." in literal:
            repeating = _REPEATING.match(self.text, self.place)
            if repeating:
                self.place = repeating.end()
                period = repeating[1] or repeating[2] or "".join(_DIGIT.findall(repeating[3]))
                return Number(repeating_decimal(literal, period))
            if _DOTS.match(self.text, self.place):
                self.place += len(r"\dots")
                return Number(repeating_decimal(*_guessed_period(literal)))
        elif self.text.startswith(" ", self.place):
            mixed = _MIXED.match(self.text, self.place)
            if mixed:
                self.place = mixed.end()
                over, under = int(mixed[1]), int(mixed[2])
                if not 0 < over < under:
                    raise Unreadable("a mixed number whose fraction is no proper one")
                return Apply("+", (Number(Fraction(literal)), Number(Fraction(over, under))))
        if self.peek() == "_":
            raise Unreadable("a number with a subscript")
        return Number(Fraction(literal.removesuffix(".")), "." in literal.removesuffix("."))

    def _refuse_digit(self, why: str) -> None:
        """Refuse a digit right behind a script of one digit: TeX sets 2^10 as 2 to the 1st beside 0, people do not."""
        before, after = self.text[self.place - 1 : self.place], self.text[self.place : self.place + 1]
        if _DIGIT.match(before) and _DIGIT.match(after):
            raise Unreadable(why)

    def _letter(self, letter: str) -> Tree:
        if letter in ("e", "i") and letter not in self.bound and not self.text.startswith("_", self.place):
            return Name(letter, is_constant=True)
        if letter in self.bound:
            return Name(letter)
        index = self._index()
        if index is not None:
            return Apply("index", (Name(letter), index))
        name = letter + self._subscript()
        if self.peek() == "'" or (self.peek() == "(" and letter in _FUNCTION_NAMES):
            raise Unreadable("a function, or a derivative")
        return Name(name)

    def _index(self) -> Tree | None:
        """Read the index of a sequence, n-1 of a_{n-1}; None for subscripts that only tell names apart, x_1, v_max."""
        match = _INDEX.match(self.text, self.place)
        if match is None or not any(character.isalpha() for character in match[0]):
            return None
        self.place = match.end()
        self._refuse_digit("a subscript of several digits without braces")
        reader = _Parser(match[1] or match[2])
        reader.bound, reader.depth = self.bound, self.depth + 1
        return reader.parse()

    def _great(self, operation: str) -> Tree:
        """Read a sum or product: its variable with the first value, the last value, and the term behind it."""
        self.expect("_")
        self.expect("{")
        letter = self.peek()
        if not (letter.isalpha() and letter.isascii() and len(letter) == 1):
            raise Unreadable("a sum without a variable")
        self.place += 1
        self.expect("=")
        first = self.sum()
        self.expect("}")
        self.expect("^")
        last = self.script(is_exponent=True)
        self._refuse_digit("a last value of several digits without braces")
        self.bound = [*self.bound, letter]
        term = self.product()
        self.bound = self.bound[:-1]
        return Apply(operation, (Name(letter), first, last, term))

    def _subscript(self) -> str:
        subscript = _SUBSCRIPT.match(self.text, self.place)
        if subscript:
            self.place = subscript.end()
            self._refuse_digit("a subscript of several digits without braces")
            return f"_{subscript[1] or subscript[2]}"
        if self.peek() == "_":
            raise Unreadable("a subscript")
        return ""

    def _command(self, piece: str) -> Tree:
        name = piece[1:]
        self.place += len(piece)
        if name in ("pi", "infty"):
            return Name("pi" if name == "pi" else "inf", is_constant=True)
        if name in _GREEK:
            return Name(name + self._subscript())
        if name == "frac":
            return Apply("/", (self.script(), self.script()))
        if name == "binom":
            return Apply("binom", (self.script(), self.script()))
        if name == "sqrt":
            return self._root()
        if name in GREAT:
            return self._great(name)
        if name == "log":
            self.expect("_")
            base = self.script()
            self._refuse_digit("a base of several digits without braces")
            return Apply("log", (base, self._argument()))
        if name in FUNCTIONS:
            exponent = self.script(is_exponent=True) if self.take("^") else None
            if isinstance(exponent, Apply) and exponent.operation == "neg":
                if exponent.arguments != (Number(Fraction(1)),) or f"arc{name}" not in FUNCTIONS:
                    raise Unreadable("a reciprocal, or an inverse function")
                return Apply(f"arc{name}", (self._argument(),))
            tree = Apply(name, (self._argument(),))
            return tree if exponent is None else Apply("^", (tree, exponent))
        raise Unreadable(piece)

    def _root(self) -> Tree:
        index: Tree = Number(Fraction(2))
        if self.take("["):
            index = self.sum()
            self.expect("]")
        if self.peek() == "(":
            return Apply("root", (index, self.atom()))
        return Apply("root", (index, self.script()))

    def _argument(self) -> Tree:
        """Read the argument of a function: a bracket, or numbers and letters side by side, to the next sign."""
        piece = self.peek()
        if piece in ("(", "{"):
            tree = self.atom()
            if self.peek() in ("^", "!") or self.peek() not in _STOPS:
                if self.peek() not in (r"\cdot", "/") and not self.peek().startswith("\\"):
                    raise Unreadable("unclear where the argument ends")
            return tree
        tree = self.power()
        while self.peek().isalnum() or self.peek() in (r"\pi", r"\theta", r"\alpha", r"\beta", r"\sqrt"):
            tree = Apply("*", (tree, self.power()))
        if self.peek() in ("(", "/", r"\frac"):
            raise Unreadable("unclear where the argument ends")
        return tree


def repeating_decimal(literal: str, period: str) -> Fraction:
    """Compute the value of a decimal whose last digits repeat for ever: ("0.1", "6") is 1/6."""
    if not period or len(period) > MAX_PERIOD:
        raise Unreadable("no digits that repeat")
    places = len(literal.partition(".")[2])
    fixed = Fraction(literal.removesuffix("."))  # 0.1 + 0.06 * (1 + 1/10 + ...) = 0.1 + 6/9/10
    return fixed + Fraction(int(period), (10 ** len(period) - 1) * 10**places)


def _guessed_period(literal: str) -> tuple[str, str]:
    """Find what repeats in 0.333... or 0.1666...: at least three equal digits, or one group twice and more, at the end.

    Raises Unreadable where nothing does: 3.14159... may go on in any way.
    """
    digits = literal.partition(".")[2]
    for length in range(1, min(len(digits) // 2, 12) + 1):
        times = 3 if length == 1 else 2
        period = digits[-length:]
        if len(digits) >= times * length and digits.endswith(period * times):
            start = len(digits)
            while digits[max(0, start - length) : start] == period:
                start -= length
            return literal[: len(literal) - (len(digits) - start)], period
    raise Unreadable("dots behind a decimal that does not repeat")
