"""Which models take no text, in words."""

from __future__ import annotations

from miabench import Domain


def unless_numbers(domain: Domain) -> str | None:
    """Why records are not numbers to compute with, or None."""
    if domain.vocabulary is None:
        return None
    return "it takes numbers, but these records are token ids, which only name words; choose han (documents)"
