"""The errors a user can cause, and how they read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """Something the user can put right: shown without a traceback, exit status 2.

    Attributes:
        problems: one message each: what is wrong, where, and what would be right.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems


class TrainingError(Exception):
    """A training that cannot go on (a loss that is not finite, for example): fails its own job only."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint to append to an error: `; did you mean 'x'? Known: x, y`."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(known) or 'none'}"
