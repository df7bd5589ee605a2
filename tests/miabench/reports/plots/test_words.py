"""Text that is broken into lines."""

import pytest

from miabench.reports.plots.words import broken


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("privacy-risk-score", 17, "privacy-risk-\nscore"),
        ("crl, relaxed-center-loss", 12, "crl,\nrelaxed-\ncenter-loss"),
        ("against privacy-risk-score", 20, "against\nprivacy-risk-score"),  # fits a line of its own
        ("one line\nand another", 12, "one line\nand another"),
    ],
)
def test_names_are_broken_at_hyphens_and_only_where_they_must_be(text, width, expected):
    assert broken(text, width, "") == expected
