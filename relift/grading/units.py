"""Units behind a value: which there are, what they measure, and whether two of them are the same.

A unit that one side alone has is ignored: the question named it. Units that both sides have count: 5 m is not 5 cm,
and it is 500 cm. Nouns of things that are counted ("12 students") have no size; two different ones leave a pair
undecided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from relift.grading.trees import Unreadable

MAX_UNIT_CHARACTERS = 80
MAX_FACTORS = 8

# name: dimension, size in the first unit of that dimension (NIST SP 811, appendix B, for feet, pounds and their kin)
_SIZES = """
length: m=1 cm=1/100 mm=1/1000 km=1000 nm=1/1000000000 in=127/5000 ft=381/1250 yd=1143/1250 mi=201168/125
mass: kg=1 g=1/1000 mg=1/1000000 lb=45359237/100000000 oz=45359237/1600000000 ton=ton
time: s=1 min=60 h=3600 day=86400 week=604800 ms=1/1000
month: month=1 year=12
volume: L=1/1000 mL=1/1000000 gal=gal acre=acre hectare=hectare
angle: deg=1 rad=rad
money: dollar=1 cent=1/100
euro: euro=1
pound sterling: pound sterling=1
yen: yen=1
rupee: rupee=1
frequency: Hz=1 kHz=1000 MHz=1000000
energy: J=1 kJ=1000 eV=eV keV=keV MeV=MeV GeV=GeV
power: W=1 kW=1000
voltage: V=1
current: A=1
resistance: ohm=1
force: N=1
pressure: Pa=1 kPa=1000
temperature: K=1
celsius: celsius=1
fahrenheit: fahrenheit=1
substance: mol=1
speed: knot=1
morning: am=1
afternoon: pm=1
"""
_SPELLINGS = """
m: meter meters metre metres
cm: centimeter centimeters centimetre centimetres cms
mm: millimeter millimeters millimetre millimetres
km: kilometer kilometers kilometre kilometres kms
nm: nanometer nanometers
in: inch inches
ft: foot feet
yd: yard yards
mi: mile miles
kg: kilogram kilograms kgs
g: gram grams gm
mg: milligram milligrams
lb: lbs pound pounds
oz: ounce ounces
ton: tons tonne tonnes
s: second seconds sec secs
min: minute minutes mins
h: hour hours hr hrs
day: days
week: weeks
ms: millisecond milliseconds
month: months
year: years yr yrs
L: liter liters litre litres l
mL: milliliter milliliters ml
gal: gallon gallons
acre: acres
hectare: hectares ha
deg: degree degrees \\circ
rad: radian radians rads
dollar: dollars usd bucks \\dollar
cent: cents
euro: euros eur
pound sterling: gbp
yen: jpy
rupee: rupees rs inr
Hz: hz hertz
kHz: khz
MHz: mhz
J: joule joules
kJ: kj kilojoule kilojoules
eV: ev
keV: kev
MeV: mev
GeV: gev
W: watt watts
kW: kw kilowatt kilowatts
V: volt volts
A: amp amps ampere amperes
ohm: ohms
N: newton newtons
Pa: pascal pascals
kPa: kpa
K: kelvin kelvins
celsius: \\circc
fahrenheit: \\circf
mol: mole moles
knot: knots
"""
# Words that are counted or that say of what kind the value is; none has a size
_NOUNS = frozenset(
    """
    students student people person persons man men woman women boys boy girls girl children child kids way ways times
    time coin coins book books card cards ball balls marble marbles apple apples orange oranges page pages digit digits
    integer integers number numbers solution solutions pair pairs side sides edge edges face faces vertex vertices
    triangle triangles rectangle rectangles tile tiles point points pts unit units value values element elements term
    terms total games game players player teams team houses house cars car trees tree dogs dog cats cat birds bird
    eggs egg cookies cookie candies candy pieces piece bags bag boxes box bottles bottle cups cup slices slice flowers
    flower stamps stamp tickets ticket votes vote rows row columns column seats seat questions question problems problem
    animals animal fish pencils pencil pens pen toys toy stickers sticker shirts shirt rides ride trips trip steps step
    roots root subsets subset functions function sequences sequence arrangements arrangement permutations permutation
    combinations combination choices choice possibilities possibility outcomes outcome cases case lines line segments
    regions region circles circle paths path words word letters letter factors factor divisors divisor multiples primes
    members member workers worker chairs chair tables table blocks block cubes squares dots dot points, passengers bits
    bytes units, sq-units of in
    """.replace(",", "").split()
)
_AMBIGUOUS = frozenset("m g s h l L V A N K W J in".split())  # letters that may be variables, and a word


@dataclass(frozen=True)
class Unit:
    """A product of powers of dimensions with its size; `nouns`: counted things. `text` as it stood."""

    dimensions: tuple[tuple[str, int], ...]
    size: Fraction
    nouns: tuple[str, ...]
    text: str


def _tables() -> tuple[dict[str, tuple[str, Fraction]], dict[str, str]]:
    sizes: dict[str, tuple[str, Fraction]] = {}
    names: dict[str, str] = {}
    for line in _SIZES.strip().splitlines():
        dimension, _, entries = line.partition(": ")
        entries = entries.replace("pound sterling", "pound_sterling")
        for entry in entries.split():
            name, _, size = entry.replace("pound_sterling", "pound sterling").partition("=")
            exact = size[0].isdigit()
            sizes[name] = (dimension if exact else name, Fraction(size) if exact else Fraction(1))
            names[name] = name
    for line in _SPELLINGS.strip().splitlines():
        name, _, spellings = line.partition(": ")
        names |= dict.fromkeys(spellings.replace("\\\\", "\\").split(), name)
    return sizes, names


_SIZE, _NAME = _tables()
_DERIVED = {"volume": (("length", 3),), "speed": None}
_ALIASES = {"mph": "mi/h", "kmh": "km/h", "kmph": "km/h", "kph": "km/h", "fps": "ft/s", "sqft": "ft^2", "cc": "cm^3"}
_PIECE = re.compile(r"\\circ ?[CF]?|\\dollar|[a-zA-Z]+|\^ ?\{? ?(?:-?[0-9]) ?\}?|[/*.-]|\\cdot|[0-9]|\S")
_LETTERS = re.compile(r"\\?[a-zA-Z]+")
_DIGIT = re.compile(r"-?[0-9]")


@lru_cache(maxsize=20_000)
def read_unit(text: str, *, sure: bool = True) -> Unit | None:
    """Read a unit ("cm^2", "square feet", "miles per hour", "students"); None for what is none.

    `sure`: a single letter that stands bare may be a variable and is none; in a \\text group it is a unit.
    """
    text = text.strip().rstrip(".")
    if not text or len(text) > MAX_UNIT_CHARACTERS:
        return None
    alias = _ALIASES.get(text.lower().replace(" ", ""))
    try:
        return _Reader(alias or text, sure=sure).read(text)
    except Unreadable:
        return None


class _Reader:
    """Read the factors of a unit from left to right."""

    def __init__(self, text: str, *, sure: bool) -> None:
        self.pieces = [piece.strip() for piece in _PIECE.findall(text)]
        self.sure = sure
        self.powers: dict[str, int] = {}
        self.size = Fraction(1)
        self.nouns: list[str] = []
        self.unsized = False

    def read(self, text: str) -> Unit:
        sign, prefix, factors = 1, 0, 0
        last: tuple[str, Fraction, int] | None = None
        for piece in self.pieces:
            lower = piece.lower()
            if lower in ("/", "per", "a", "an", "each") and (last or self.nouns or factors == 0 and lower == "per"):
                sign, last = -1, None
            elif lower in ("square", "sq", "squared") or lower in ("cubic", "cu", "cubed"):
                power = 2 if lower.startswith("sq") else 3
                if lower.endswith("ed") and last is not None:
                    self._multiply(*last, power - 1)
                else:
                    prefix = power
            elif piece.startswith("^") and last is not None:
                digit = _DIGIT.search(piece)
                assert digit is not None
                self._multiply(*last, int(digit[0]) - 1)
                last = None
            elif piece.startswith("^") and factors and self.unsized:
                continue  # units^2
            elif piece in ("*", ".", "-", r"\cdot"):
                continue
            elif _LETTERS.fullmatch(piece) or piece.startswith(r"\circ"):
                factors += 1
                last = self._factor(piece, sign, prefix or 1)
                prefix = 0
            else:
                raise Unreadable("no unit")
        if prefix or factors == 0 or factors > MAX_FACTORS:
            raise Unreadable("no unit")
        dimensions = tuple(sorted((name, power) for name, power in self.powers.items() if power))
        return Unit(dimensions, self.size, tuple(sorted(self.nouns)), text)

    def _factor(self, piece: str, sign: int, power: int) -> tuple[str, Fraction, int] | None:
        key = piece.replace(" ", "")
        name = _NAME.get(key)
        mixed = len(key) == 2 and key[1:].isupper() and not key.isupper()
        if name is None and len(key) > 1 and not mixed and key != "Mm":
            name = _NAME.get(key.lower())  # Km is km; M, mM and Mm are variables
        if name is None or (not self.sure and key in _AMBIGUOUS):
            noun = key.lower()
            if noun not in _NOUNS or not self.sure and len(key) < 2:
                raise Unreadable("no unit")
            self.unsized = noun in ("unit", "units")
            if noun not in ("unit", "units", "of", "in", "total"):
                self.nouns.append(noun.removesuffix("s"))
            return None
        dimension, size = _SIZE[name]
        if dimension == "volume":
            dimension, power = "length", power * 3
            self.size *= size ** (sign * power // 3)
            self.powers["length"] = self.powers.get("length", 0) + sign * power
            return None
        self._multiply(dimension, size, sign, power)
        return dimension, size, sign

    def _multiply(self, dimension: str, size: Fraction, sign: int, power: int) -> None:
        if not -9 <= power <= 9:
            raise Unreadable("no unit")
        self.size *= size ** (sign * power)
        self.powers[dimension] = self.powers.get(dimension, 0) + sign * power


def conversion(gold: Unit | None, answer: Unit | None) -> Fraction | None:
    """Find the factor that brings the answer's number into the gold's unit: 1 where one side has no unit.

    0 says that the two measure different things; None, that nobody can say (nouns of different things).
    """
    if gold is None or answer is None or not (gold.dimensions or gold.nouns) or not (answer.dimensions or answer.nouns):
        return Fraction(1)
    if bool(gold.dimensions) != bool(answer.dimensions):
        return Fraction(1) if gold.nouns == answer.nouns or not (gold.nouns and answer.nouns) else None
    if gold.dimensions != answer.dimensions:
        return Fraction(0)
    if gold.nouns and answer.nouns and gold.nouns != answer.nouns:
        return None
    return answer.size / gold.size
