"""Choices of clusters written on the command line, such as ``low,high`` or ``district=0.1,0.9``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..validation import shortened
from .output import CommandError

if TYPE_CHECKING:
    from ..effects.cluster_choice import Clusters


def read_clusters(options: Sequence[str]) -> Clusters:
    """The option ``clusters=`` of predictions; ``"observed"`` if there are none.

    Raises
    ------
    CommandError
        If a grouping factor is named twice, or several choices are given without the names of factors.

    Examples
    --------
    >>> read_clusters(["typical"]), read_clusters(["low, 0.9"])
    ('typical', ['low', 0.9])
    >>> read_clusters(["person=0.1,0.9", "item=average"])
    {'person': [0.1, 0.9], 'item': 'average'}
    """
    if len(options) == 1 and "=" not in options[0]:
        return _choice(options[0])
    chosen: dict[str, str | float | Sequence[str | float]] = {}
    for option in options:
        name, equals, text = option.rpartition("=")
        if not equals or name.strip() in chosen:
            raise CommandError(
                f"--clusters={shortened(option)}: with several choices, pass --clusters once for each grouping factor, "
                "such as --clusters district=low,high."
            )
        chosen[name.strip()] = _choice(text)
    return chosen or "observed"


def _choice(text: str) -> str | float | list[str | float]:
    parts = [_word_or_number(part.strip()) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else parts


def _word_or_number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
