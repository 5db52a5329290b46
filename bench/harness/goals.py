"""The language of goals:

    goal := name ("<=" | ">=" | "<" | ">") sum
    sum  := term (("+" | "-") term)*
    term := number ["*" name] | name ["*" number]

A number may carry a unit (40us, 20MB, 5%).  A name is dotted: `limits.dsync_256k`,
`kafka.p99` (another server, here its best repetition), `at_half.p99` (a step of the scenario),
`p99` (varve).  `kafka` alone is the figure on the left, on Kafka."""

from dataclasses import dataclass
import operator
import re

from . import units

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?[A-Za-z%]*)|([a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*)"
                    r"|(<=|>=|<|>|\+|-|\*))")
_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class GoalError(ValueError):
    pass


@dataclass(frozen=True)
class Term:
    factor: float
    name: str | None = None


@dataclass(frozen=True)
class Goal:
    text: str
    left: str
    compare: str
    right: tuple

    def names(self):
        return [self.left] + [term.name for term in self.right if term.name]


@dataclass(frozen=True)
class Verdict:
    met: bool | None  # None: something that it needs was not measured
    left: float | None
    right: float | None


def _tokens(text):
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise GoalError(f"{text!r}: what is {text[at:].strip()!r}?")
        kind = "number" if match[1] else "name" if match[2] else "sign"
        found.append((kind, match[match.lastindex]))
        at = match.end()
    return found


class _Reader:
    def __init__(self, text):
        self.text, self.left = text, _tokens(text)

    def fail(self):
        what = f"at {self.left[0][1]!r}" if self.left else "it ends too early"
        raise GoalError(f"{self.text!r}: {what}")

    def take(self, kind, allowed=None):
        if not self.left or self.left[0][0] != kind or (allowed and self.left[0][1] not in allowed):
            self.fail()
        return self.left.pop(0)[1]

    def sees(self, *signs):
        return bool(self.left) and self.left[0][0] == "sign" and self.left[0][1] in signs

    def number(self):
        try:
            return units.number(self.take("number"))
        except ValueError as error:
            raise GoalError(f"{self.text!r}: {error}") from error

    def term(self):
        if self.left and self.left[0][0] == "number":
            factor, name = self.number(), None
            if self.sees("*"):
                self.take("sign")
                name = self.take("name")
        else:
            factor, name = 1.0, self.take("name")
            if self.sees("*"):
                self.take("sign")
                factor = self.number()
        return Term(factor, name)

    def sum(self):
        terms = [self.term()]
        while self.sees("+", "-"):
            sign = -1 if self.take("sign") == "-" else 1
            term = self.term()
            terms.append(Term(sign * term.factor, term.name))
        if self.left:
            self.fail()
        return tuple(terms)


def parse_sum(text):
    return _Reader(text).sum()


def parse(text):
    reader = _Reader(text)
    left = reader.take("name")
    compare = reader.take("sign", _COMPARE)
    return Goal(text, left, compare, reader.sum())


def total(terms, lookup):
    """The sum, or None when lookup(name) knows one of its names not."""
    result = 0.0
    for term in terms:
        value = 1.0 if term.name is None else lookup(term.name)
        if value is None:
            return None
        result += term.factor * value
    return result


def judge(goal, lookup):
    left, right = lookup(goal.left), total(goal.right, lookup)
    if left is None or right is None:
        return Verdict(None, left, right)
    return Verdict(_COMPARE[goal.compare](left, right), left, right)
