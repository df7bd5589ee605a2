"""What a job prints, of any length, as far as it is kept: its beginning and its end."""

from __future__ import annotations

import io

ENDS = 50_000  # characters kept of the beginning, and of the end


class Log(io.TextIOBase):
    """Takes the place of standard output and standard error while a job runs."""

    def __init__(self) -> None:
        self._head = ""
        self._tail: list[str] = []
        self._in_tail = 0
        self._left_out = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Keep a text, as far as it belongs to the beginning or the end."""
        room = ENDS - len(self._head)
        self._head += text[:room]
        if rest := text[room:]:
            self._tail.append(rest)
            self._in_tail += len(rest)
            if self._in_tail > 2 * ENDS:
                self._shorten()
        return len(text)

    def _shorten(self) -> None:
        end = "".join(self._tail)[-ENDS:]
        self._left_out += self._in_tail - len(end)
        self._tail, self._in_tail = [end], len(end)

    def kept(self) -> str:
        """The beginning and the end, and how much is missing between them."""
        if self._in_tail > ENDS:
            self._shorten()
        gap = f"\n... ({self._left_out:,} characters left out) ...\n" if self._left_out else ""
        return self._head + gap + "".join(self._tail)


def cut(text: str) -> str:
    """A text of any length, as a log keeps it."""
    log = Log()
    log.write(text)
    return log.kept()
