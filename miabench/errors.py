"""The errors a user can cause, and how they read."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LONGEST_PROBLEM = 4000  # characters of one message: a file may have names of any length
MOST_NAMES = 40  # in a hint
COMPARED = 10_000  # names that a word is compared with: each takes microseconds


class UserError(Exception):
    """Something the user can put right: shown without a traceback, exit status 2.

    Messages may quote a stranger's file: they are cut, and control characters, which a terminal obeys, are escaped.

    Attributes:
        problems: one message each: what is wrong, where, and what would be right.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = tuple(harmless(problem) for problem in problems)
        super().__init__("\n".join(self.problems))


def harmless(text: str, longest: int = LONGEST_PROBLEM) -> str:
    """A stranger's text, cut in its middle, with control characters other than line ends escaped.

    What is wrong stands at the beginning of a message, what to do at its end; a name of any length is between them.
    """
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]}... ({len(text) - 2 * half:,} more characters) ...{text[-half:]}"
    if text.isprintable():  # as nearly all are, and told at once
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def indented(text: str) -> str:
    """A text among other lines: no name in it that has a line end begins one of them."""
    return text.replace("\n", "\n    ")


def harmless_lines(text: str) -> str:
    """Lines of any number, each harmless."""
    return "\n".join(map(harmless, text.split("\n")))


def text_of(error: BaseException) -> str:
    """What an exception says, cut and harmless; a plugin's may fail to say anything."""
    try:
        said = str(error)
    except Exception as other:
        said = f"(its text cannot be made: {type(other).__name__})"
    return harmless(said)


class MissingStepError(UserError):
    """Something that another step has to make first.

    Attributes:
        what: is missing, and where.
        step: the command that makes it.
    """

    def __init__(self, what: str, step: str) -> None:
        super().__init__(f"{what}: miabench {step}")
        self.what = what
        self.step = step


class TrainingError(Exception):
    """A training that cannot go on (a loss that is not finite, for example): fails its own job only."""


DISK_FULL = "the disk is full; what was finished is kept: make room, and run the same command again"


def disk_is_full(error: BaseException) -> bool:
    """Whether that is the reason; safetensors has it in words only."""
    said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return said or os.strerror(errno.ENOSPC) in text_of(error)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint to append to an error: `; did you mean 'x'? Known: x, y`."""
    known = sorted(known)
    longer = [name for name in known if word and name.startswith(word)]
    close = longer or difflib.get_close_matches(word, known[:COMPARED], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    more = f" and {len(known) - MOST_NAMES:,} more" if len(known) > MOST_NAMES else ""
    return f"{hint} Known: {', '.join(known[:MOST_NAMES]) or 'none'}{more}"


_EXPECTED = {"tuple_type": "a list", "list_type": "a list", "dict_type": "a table", "model_type": "a table"}


def expected(finding: Mapping[str, Any]) -> str:
    """What one of pydantic's findings says, in the words of a TOML file."""
    if finding["type"] in _EXPECTED:
        return f"Input should be {_EXPECTED[finding['type']]}"
    return str(finding["msg"]).removeprefix("Value error, ")
