"""Arithmetic, exact in decimals, with bounds: no input takes long or much memory."""

from __future__ import annotations

import ast
import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from agents.tools.builtin.making import make
from agents.tools.tool import Given, NotDoneError, Tool
from schemas.tools import CallTool

MAX_CHARS = 500
MAX_DIGITS = 320
"""Digits that are computed with; larger numbers are refused."""
SHOWN_DIGITS = 28
"""Digits of a result that is no whole number."""
MAX_FACTORIAL = 170
SIGNS = str.maketrans("×·÷\u2212", "**/-")

CONTEXT = decimal.Context(
    prec=MAX_DIGITS,
    Emax=MAX_DIGITS,
    Emin=-MAX_DIGITS,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Underflow],
)


class Expression(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``calculator``."""

    expression: Annotated[
        str,
        Meta(
            min_length=1, max_length=MAX_CHARS, description="Such as (3.5 + 2) * 4 ** 2 / sqrt(2) or 19 % 5."
        ),
    ]


def calculator() -> Tool:
    """Return the tool."""

    async def run(ask: CallTool, given: Expression) -> Given:
        return Given(f"{given.expression.strip()} = {calculate(given.expression)}")

    return make(
        "calculator",
        "Compute an expression of numbers: + - * / // % **, parentheses, sqrt, ln, log10, exp, sin, cos, tan "
        "(in radians), abs, round, floor, ceil, min, max, factorial, pi, e.",
        "none",
        Expression,
        run,
    )


def calculate(expression: str) -> str:
    """Return the value of an expression, as text. Raises NotDoneError, which names what is wrong."""
    text = expression.strip().replace("^", "**").translate(SIGNS)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong("this is no expression of numbers") from None
    try:
        with decimal.localcontext(CONTEXT):
            return _shown(_value(tree.body))
    except (decimal.DivisionByZero, ZeroDivisionError):
        raise _wrong("it divides by zero") from None
    except (decimal.Overflow, decimal.Underflow):
        raise _wrong(f"its numbers need more than the {MAX_DIGITS} digits that are computed with") from None
    except (decimal.InvalidOperation, ValueError, OverflowError):
        raise _wrong("it has no value, or one with too many digits") from None
    except RecursionError:
        raise _wrong("it is nested too deeply") from None


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=bool()):
            raise _wrong("True and False are no numbers")
        case ast.Constant(value=int(number)):
            return CONTEXT.create_decimal(number)
        case ast.Constant(value=float(number)):
            return CONTEXT.create_decimal(repr(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return +_value(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in BINARY:
            return BINARY[type(operator)](_value(left), _value(right))
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            function, least, most = FUNCTIONS[name]
            if not least <= len(arguments) <= most:
                raise _wrong(
                    f"{name} takes {least} to {most} numbers" if most > least else f"{name} takes {least}"
                )
            return function(*map(_value, arguments))
    raise _wrong(f"{ast.unparse(node)[:40]!r} is nothing that can be computed here")


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    # A power of a fraction in 320 digits takes long: such exponents are computed in fewer.
    if exponent != exponent.to_integral_value():
        with decimal.localcontext(prec=50):
            return base**exponent
    return base**exponent


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    return left - right * _floor(left / right)


def _floor(value: Decimal) -> Decimal:
    return value.to_integral_value(decimal.ROUND_FLOOR)


def _ceil(value: Decimal) -> Decimal:
    return value.to_integral_value(decimal.ROUND_CEILING)


def _round(value: Decimal, digits: Decimal = Decimal(0)) -> Decimal:
    places = min(max(int(digits), -MAX_DIGITS), 100)
    return (
        value.quantize(Decimal(1).scaleb(-places), decimal.ROUND_HALF_UP)
        if places
        else value.to_integral_value(decimal.ROUND_HALF_UP)
    )


def _few_digits(function: Callable[[Decimal], Decimal]) -> Callable[[Decimal], Decimal]:
    def call(value: Decimal) -> Decimal:
        with decimal.localcontext(prec=50):
            return function(value)

    return call


def _by_float(function: Callable[[float], float]) -> Callable[[Decimal], Decimal]:
    def call(value: Decimal) -> Decimal:
        # What a float is not sure of is left away: sin(pi) is 0.
        return Decimal(format(function(float(value)), ".14f")).normalize()

    return call


def _factorial(value: Decimal) -> Decimal:
    if value != value.to_integral_value() or not 0 <= value <= MAX_FACTORIAL:
        raise _wrong(f"factorial takes a whole number from 0 to {MAX_FACTORIAL}")
    return Decimal(math.factorial(int(value)))


BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: _floor(left / right),
    ast.Mod: _modulo,
    ast.Pow: _power,
}
CONSTANTS = {
    "pi": Decimal("3.1415926535897932384626433832795028841971693993751"),
    "e": Decimal("2.7182818284590452353602874713526624977572470936999"),
}
FUNCTIONS: dict[str, tuple[Callable[..., Decimal], int, int]] = {
    "sqrt": (_few_digits(Decimal.sqrt), 1, 1),
    "ln": (_few_digits(Decimal.ln), 1, 1),
    "log": (_few_digits(Decimal.ln), 1, 1),
    "log10": (_few_digits(Decimal.log10), 1, 1),
    "exp": (_few_digits(Decimal.exp), 1, 1),
    "sin": (_by_float(math.sin), 1, 1),
    "cos": (_by_float(math.cos), 1, 1),
    "tan": (_by_float(math.tan), 1, 1),
    "abs": (abs, 1, 1),
    "round": (_round, 1, 2),
    "floor": (_floor, 1, 1),
    "ceil": (_ceil, 1, 1),
    "min": (min, 2, 100),
    "max": (max, 2, 100),
    "factorial": (_factorial, 1, 1),
}


def _shown(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(value)
    if value == value.to_integral_value():
        return format(value.to_integral_value() + 0, "f")
    with decimal.localcontext(prec=SHOWN_DIGITS):
        rounded = (+value).normalize()
    return format(rounded, "f") if rounded.adjusted() > -12 else format(rounded, "e")


def _wrong(reason: str) -> NotDoneError:
    return NotDoneError("invalid", f"The expression cannot be computed: {reason}.", field="expression")
