"""Check that the terms of a formula and the calls in them are well formed, and list their columns.

The terms are evaluated by formulae, whose parser stops silently at the first token that it cannot
use and looks functions up by attribute. So what reaches it has passed this grammar::

    term   := product (("*" | "/") product)*
    product:= power (":" power)*
    power  := atom | "(" sum ")" ["**" integer]
    atom   := column | call
    call   := function "(" argument ("," argument)* ")"

with arithmetic and comparisons only inside calls.
"""

import math
from functools import lru_cache

from bayeslmm.formula.callables import (
    ARITY,
    BY_KEYWORD,
    CONTRASTS,
    CONTRASTS_IN_R,
    LEAST_DF,
    PARAMETERS,
    REQUIRED,
    TRANSFORMS,
    unknown_call,
)
from bayeslmm.formula.tokens import LITERALS, Token, Tokens, fail, number, render, split

_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_ARITHMETIC = ("+", "-", "*", "/")
_COUNTED = 10**9
"""Terms are counted up to here."""


def check_term(tokens: Tokens, formula: str) -> tuple[str, ...]:
    """Check one additive term.

    Parameters
    ----------
    tokens : sequence of Token
        The term, without its sign.
    formula : str
        The whole formula, for messages.

    Returns
    -------
    tuple of str
        Columns of the data that the term uses, in order of appearance.

    Raises
    ------
    FormulaError
        With the place marked.
    """
    reader = _Reader(tokens, formula)
    reader.term()
    reader.finish()
    return tuple(dict.fromkeys(reader.columns))


def count_terms(tokens: Tokens, formula: str) -> int:
    """The number of terms that an additive term stands for when its crossings are expanded; at most
    ``10**9``, and more than there are where a column stands in it several times.
    """
    return _Reader(tokens, formula).term()


@lru_cache(maxsize=256)
def check_expression(tokens: Tokens, formula: str) -> tuple[str, ...]:
    """Check an arithmetic expression, as it stands inside a call; return its columns."""
    reader = _Reader(tokens, formula)
    reader.expression()
    reader.finish()
    return tuple(dict.fromkeys(reader.columns))


class _Reader:
    """Reads tokens from left to right; every method consumes what it is named after, and those of
    terms return how many terms that stands for.
    """

    def __init__(self, tokens: Tokens, formula: str) -> None:
        self.tokens = tokens
        self.formula = formula
        self.at = 0
        self.columns: list[str] = []

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next_is(self, *operators: str) -> bool:
        token = self.peek()
        return token is not None and token.is_op(*operators)

    def take(self, wanted: str) -> Token:
        token = self.peek()
        if token is None:
            last = self.tokens[-1] if self.tokens else None
            fail(f"{wanted} is missing after this", self.formula, last)
        self.at += 1
        return token

    def finish(self) -> None:
        token = self.peek()
        if token is None:
            return
        if token.is_op(*_COMPARISONS):
            fail("a comparison stands inside I(...): I(x > 3)", self.formula, token)
        if token.is_op("="):
            fail("'=' names an argument inside a call only", self.formula, token)
        if token.is_op("|", "||"):
            fail("a bar needs brackets of its own: (x | g)", self.formula, token)
        fail(f"{token.text!r} does not belong here; is an operator missing?", self.formula, token)

    # Terms

    def term(self) -> int:
        count = self.product()
        while self.next_is("*", "/"):
            self.at += 1
            other = self.product()
            count = min(count * other + count + other, _COUNTED)
        return count

    def product(self) -> int:
        count = self.power()
        while self.next_is(":"):
            self.at += 1
            count = min(count * self.power(), _COUNTED)
        return count

    def power(self) -> int:
        start = self.peek()
        count = self.atom()
        if not self.next_is("**"):
            return count
        operator = self.take("")
        exponent = self.take("a degree")
        if start is None or not start.is_op("("):
            fail(
                "** between terms crosses them to a degree, as in (a + b)**2; for a power write "
                "I(x**2)",
                self.formula,
                operator,
            )
        if exponent.kind != "number" or not exponent.text.isdigit() or int(exponent.text) < 1:
            fail("the degree of a crossing is a whole number of 1 or more", self.formula, exponent)
        total = 0
        for degree in range(1, min(int(exponent.text), count) + 1):
            total += math.comb(count, degree)
            if total > _COUNTED:
                return _COUNTED
        return total

    def atom(self) -> int:
        token = self.take("a column or a function")
        if token.is_op("("):
            count = self.sum()
            self.close()
            return count
        if token.kind == "name" and self.next_is("("):
            if token.text == "offset":
                fail("offset(...) is added as a term of its own", self.formula, token)
            self.call(token)
        elif token.is_column:
            self.column(token)
        elif token.kind == "number":
            fail(
                "a number other than 0 or 1 is not a term, and neither can be crossed; for "
                "arithmetic write I(2 * x)",
                self.formula,
                token,
            )
        elif token.kind in ("string", "literal"):
            fail("text is not a term; a column is written `like this`", self.formula, token)
        else:
            fail(f"a column or a function is missing before {token.text!r}", self.formula, token)
        return 1

    def sum(self) -> int:
        count = self.term()
        while self.next_is("+", "-"):
            self.at += 1
            count = min(count + self.term(), _COUNTED)
        return count

    def column(self, token: Token) -> None:
        if self.next_is("("):
            fail("only a function's name stands before '('", self.formula, self.peek())
        self.columns.append(token.value)

    def close(self) -> None:
        if not self.next_is(")"):
            self.finish()
        self.take("')'")
        if self.next_is("("):
            fail("an operator is missing before '('", self.formula, self.peek())

    # Calls and the arithmetic inside them

    def call(self, function: Token) -> None:
        opening = self.at
        depth = 0
        for i in range(opening, len(self.tokens)):
            depth += self.tokens[i].is_op("(") - self.tokens[i].is_op(")")
            if depth == 0:
                break
        inside = self.tokens[opening + 1 : i]
        self.at = i + 1
        if self.next_is("("):
            fail("the result of a call cannot be called", self.formula, self.peek())
        arguments = [piece for _, piece in split(inside, ",")] if inside else []
        for piece in arguments:
            if not piece:
                fail(f"an argument of {function.text} is empty", self.formula, function)

        if function.text in ARITY:
            self.elementwise(function, arguments)
        elif function.text in TRANSFORMS:
            self.transform(function, arguments)
        else:
            fail(unknown_call(function.text), self.formula, function)

    def elementwise(self, function: Token, arguments: list[Tokens]) -> None:
        wanted = ARITY[function.text]
        if len(arguments) != wanted:
            fail(
                f"{function.text} takes {wanted} argument{'s' * (wanted > 1)}, not "
                f"{len(arguments)}",
                self.formula,
                function,
            )
        for argument in arguments:
            self.nested(argument)

    def transform(self, function: Token, arguments: list[Tokens]) -> None:
        known = TRANSFORMS[function.text]
        if not arguments:
            fail(f"{function.text} needs an argument", self.formula, function)
        used = len(self.columns)
        self.nested(arguments[0])
        if len(self.columns) == used and function.text != "I":
            fail(f"{function.text} needs a column of the data", self.formula, function)
        given: dict[str, object] = {}
        for place, argument in enumerate(arguments[1:], start=1):
            name, value = self.named(argument)
            if name is None:
                if place >= min(len(known), BY_KEYWORD.get(function.text, len(known))):
                    fail(
                        f"{function.text} takes {', '.join(known)}; give this one by name",
                        self.formula,
                        argument[0],
                    )
                parameter = known[place]
            else:
                parameter = name.text
                if parameter not in known[1:]:
                    fail(
                        f"{function.text} has no parameter {parameter!r} in a formula; it takes "
                        f"{', '.join(known)}",
                        self.formula,
                        name,
                    )
            if parameter in given:
                fail(f"{parameter} is given twice", self.formula, argument[0])
            given[parameter] = None
            if parameter == "contrast":
                self.contrast(value)
            else:
                given[parameter] = self.parameter(function, parameter, value)
        required, message = REQUIRED.get(function.text, (None, ""))
        if required is not None and given.get(required) is None:
            fail(message, self.formula, function)
        least = LEAST_DF.get(function.text, 0) + (given.get("center") is False)
        df = given.get("df")
        if function.text in LEAST_DF and isinstance(df, int) and df < least:
            fail(
                f"`df` of {function.text} should be a whole number of {least} or more"
                f"{', with center=False' * (given.get('center') is False)}, got {df}",
                self.formula,
                function,
            )

    def parameter(self, function: Token, name: str, tokens: Tokens) -> object:
        """A constant that the transform takes."""
        value = self.constant(tokens)
        allowed = PARAMETERS.get(function.text, {}).get(name)
        if allowed is not None and not allowed.holds(value):
            if REQUIRED.get(function.text, ("",))[0] == name and value is None:
                fail(REQUIRED[function.text][1], self.formula, tokens[0])
            fail(
                f"`{name}` of {function.text} should be {allowed.what}, got {render(tokens)}",
                self.formula,
                tokens[0],
            )
        return value

    def named(self, argument: Tokens) -> tuple[Token | None, Tokens]:
        if len(argument) > 1 and argument[0].kind == "name" and argument[1].is_op("="):
            if len(argument) == 2:
                fail("a value is missing after '='", self.formula, argument[1])
            return argument[0], argument[2:]
        return None, argument

    def constant(self, tokens: Tokens) -> object:
        body = tokens[1:] if tokens[0].is_op("-") and len(tokens) == 2 else tokens
        kinds = ("number",) if body is not tokens else ("number", "string", "literal")
        if len(body) != 1 or body[0].kind not in kinds:
            fail(
                "this has to be a number, a text in quotes, True or False", self.formula, tokens[0]
            )
        (token,) = body
        if token.kind != "number":
            return LITERALS[token.text] if token.kind == "literal" else token.value
        return number(token.text) if body is tokens else -number(token.text)

    def contrast(self, tokens: Tokens) -> None:
        name, rest = tokens[0], tokens[1:]
        known = name.text in CONTRASTS or name.text in CONTRASTS_IN_R
        if not known or (rest and not rest[0].is_op("(")):
            fail(
                "a contrast is one of Treatment, Treatment('level'), Sum, Sum('level'), Helmert, "
                f"Poly, or by R's names {', '.join(CONTRASTS_IN_R)}",
                self.formula,
                name,
            )
        inside = rest[1:-1]
        if inside:
            if name.text in CONTRASTS_IN_R:
                fail(
                    f"{name.text} stands without arguments; a level is given by Treatment('level') "
                    "or Sum('level')",
                    self.formula,
                    name,
                )
            if not CONTRASTS[name.text]:
                fail(f"{name.text} takes no arguments", self.formula, name)
            parameter, value = self.named(inside)
            if parameter is not None and parameter.text not in CONTRASTS[name.text]:
                fail(
                    f"{name.text} takes {', '.join(CONTRASTS[name.text])}", self.formula, parameter
                )
            self.constant(value)

    def nested(self, tokens: Tokens) -> None:
        reader = _Reader(tokens, self.formula)
        reader.columns = self.columns
        reader.expression()
        reader.finish()

    def expression(self) -> None:
        self.addition()
        if self.next_is(*_COMPARISONS):
            self.at += 1
            self.addition()

    def addition(self) -> None:
        first = self.peek()
        self.operand()
        while self.next_is(*_ARITHMETIC):
            operator = self.take("")
            second = self.peek()
            self.operand()
            for operand in (first, second):
                if operand is not None and operand.kind == "string":
                    fail("there is no arithmetic with text", self.formula, operator)
            first = second

    def operand(self) -> None:
        sign = self.peek() if self.next_is("+", "-") else None
        while self.next_is("+", "-"):
            self.at += 1
        used = len(self.columns)
        self.value()
        if not self.next_is("**"):
            return
        operator = self.take("")
        if sign is not None:
            # formulae reads -x**2 as (-x)**2, everybody else as -(x**2).
            fail("write -(x**2) or (-x)**2", self.formula, operator)
        if self.next_is("-"):
            self.at += 1
        self.value()
        if self.next_is("**"):
            fail("write (a**b)**c or a**(b**c)", self.formula, self.peek())
        if len(self.columns) == used:
            # Python's whole numbers have no bound: 9**(9**9) would not end.
            fail("write the number that this power is, such as 1e6", self.formula, operator)

    def value(self) -> None:
        token = self.take("a value")
        if token.is_op("("):
            self.expression()
            self.close()
        elif token.kind == "name" and self.next_is("("):
            self.call(token)
        elif token.is_column:
            self.column(token)
        elif token.kind not in ("number", "string", "literal"):
            hint = "; a:b is a term, and has no value" if token.is_op(":") else ""
            fail(f"a value is missing before {token.text!r}{hint}", self.formula, token)
        elif self.next_is("("):
            fail("only a function's name stands before '('", self.formula, self.peek())
