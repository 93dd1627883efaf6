"""What hypotheses written as text compute: linear combinations of labelled values, and other functions of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Values by position: an array whose first axis they are, or some of its rows.
type Columns = Mapping[int, npt.NDArray[Any]] | npt.NDArray[Any]
type Expression = Combination | Composite


@dataclass(frozen=True)
class Combination:
    """A linear combination of values and a constant.

    Attributes
    ----------
    weights : mapping of int to float
        By position of the value, weights that are not zero.
    constant : float
    """

    weights: Mapping[int, float]
    constant: float = 0.0

    @property
    def positions(self) -> frozenset[int]:
        """Positions of the values that it depends on; none for a number."""
        return frozenset(self.weights)

    def value(self, columns: Columns) -> Any:
        """The combination of some values."""
        total: Any = self.constant
        for at, weight in self.weights.items():
            total = total + weight * columns[at]
        return total

    def plus(self, other: Combination, factor: float = 1.0) -> Combination:
        """The sum with another combination, multiplied by a factor."""
        weights = dict(self.weights)
        for at, weight in other.weights.items():
            weights[at] = weights.get(at, 0.0) + factor * weight
        return Combination({at: w for at, w in weights.items() if w}, self.constant + factor * other.constant)

    def times(self, factor: float) -> Combination:
        """The combination multiplied by a factor."""
        return Combination({}).plus(self, factor)


@dataclass(frozen=True)
class Composite:
    """A function of expressions that is not linear.

    Attributes
    ----------
    operation : callable
        NumPy's, or made of such: it takes real and complex arrays.
    operands : tuple of Expression
    """

    operation: Callable[..., Any]
    operands: tuple[Expression, ...]

    @property
    def positions(self) -> frozenset[int]:
        """Positions of the values that it depends on."""
        return frozenset().union(*(operand.positions for operand in self.operands))

    def value(self, columns: Columns) -> Any:
        """The function of some values."""
        return self.operation(*(operand.value(columns) for operand in self.operands))


def _expit(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _logit(p: Any) -> Any:
    return np.log(p / (1.0 - p))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "expit": _expit,
    "logit": _logit,
}


def added(left: Expression, right: Expression, factor: float = 1.0) -> Expression:
    """The sum of two expressions, of which the second is multiplied by 1 or -1."""
    if isinstance(left, Combination) and isinstance(right, Combination):
        return left.plus(right, factor)
    return Composite(np.add if factor > 0 else np.subtract, (left, right))


def multiplied(left: Expression, right: Expression) -> Expression:
    """The product of two expressions."""
    if isinstance(left, Combination) and isinstance(right, Combination) and not (left.weights and right.weights):
        return left.times(right.constant) if left.weights else right.times(left.constant)
    return Composite(np.multiply, (left, right))


def divided(left: Expression, right: Expression) -> Expression:
    """The ratio of two expressions, of which the second is not the number 0."""
    if isinstance(left, Combination) and isinstance(right, Combination) and not right.weights:
        return left.times(1.0 / right.constant)
    return Composite(np.divide, (left, right))


def applied(operation: Callable[..., Any], *operands: Expression) -> Expression:
    """A function of expressions: a number if they are numbers, which is NaN or infinite if it is not defined."""
    result = Composite(operation, operands)
    if result.positions:
        return result
    with np.errstate(all="ignore"):
        return Combination({}, float(result.value({})))
