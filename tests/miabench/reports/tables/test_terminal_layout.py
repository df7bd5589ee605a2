"""Tables fit their width, or are cut between columns; never inside a number."""

import io
import re

import pytest

from miabench.reports.tables.terminal_layout import Column, Item, open_console, plain, print_columns, print_note


def names(*texts):
    return Column("approach", [Item((text,)) for text in texts], names=True)


def values(header, *texts):
    return Column(header, [Item(tuple(text.split())) for text in texts])


def render(columns, width):
    console = open_console(io.StringIO())
    console.width = width
    print_columns(console, "a title", [False] * len(columns[0].items), columns)
    return console.file.getvalue()


TABLE = [
    names("ce (no defense)", "crl alpha_rce=0.5 lambda_rcl=0.001"),
    *(values(f"attack-{i} ↓", f"{i}1.25 (±0.50)", f"*{i}2.75 (±10.25)") for i in range(1, 8)),
]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_every_number_survives_whole_at_any_width(width):
    text = render(TABLE, width)
    for i in range(1, 8):
        for part in (f"{i}1.25", f"*{i}2.75"):
            assert len(re.findall(rf"(?<![\d*.]){re.escape(part)}(?![\d.])", text)) == 1
    assert text.count("(±0.50)") == text.count("(±10.25)") == 7
    assert "…" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_longer_than_the_width(width):
    lines = render(TABLE, width).splitlines()
    assert max(map(len, lines)) <= width


def test_a_wide_console_keeps_mean_and_spread_on_a_line():
    text = render(TABLE, 200)
    assert "11.25 (±0.50)" in text
    assert text.count("a title") == 1


def test_a_narrower_one_stacks_them_and_a_narrow_one_repeats_the_names():
    assert "11.25 (±0.50)" not in render(TABLE, 110)
    assert render(TABLE, 110).count("ce (no defense)") == 1
    titles = [line for line in render(TABLE, 60).splitlines() if "a title" in line]
    assert titles == ["a title", *["a title (continued)"] * (len(titles) - 1)]
    assert render(TABLE, 60).count("ce (no defense)") == len(titles) > 1


def test_headers_take_two_lines_at_most():
    header = render([names("ce"), values("test acc. ↑", "71.00")], 80).splitlines()[1:3]
    assert [line.split() for line in header] == [["test"], ["approach", "acc.", "↑"]]


def test_numbers_are_aligned_at_their_right_end():
    lines = render([names("a", "b"), values("nn", "*9.25", "100.00")], 80).splitlines()[-3:-1]
    assert len({len(line.rstrip()) for line in lines}) == 1


def test_a_rule_separates_groups():
    console = open_console(io.StringIO())
    print_columns(console, "t", [True, False], [names("a", "b"), values("nn", "1", "2")])
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert rows[rows.index(["a", "1"]) + 1] == []


def test_markup_and_emoji_codes_are_printed_as_they_are():
    text = render([names("[red]x[/red] :smile:"), values("[bold]nn", "1.00")], 120)
    assert "[red]x[/red] :smile:" in text
    assert "[bold]nn" in text


def test_control_characters_do_not_reach_the_terminal():
    assert plain("a\x1b[31mb\x07\nc") == "a [31mb  c"
    assert "\x1b" not in render([names("a\x1b[2J"), values("n\x1b[2Jn", "1.00")], 120)
    console = open_console(io.StringIO())
    print_note(console, "log: \x1b[2Jboom")
    assert console.file.getvalue() == "log:  [2Jboom\n"


def test_without_a_terminal_the_width_is_120():
    assert open_console(io.StringIO()).width == 120


def test_long_notes_are_broken_between_words_with_an_indent():
    console = open_console(io.StringIO())
    print_note(console, "word " * 40)
    lines = console.file.getvalue().splitlines()
    assert [line.count("word") for line in lines] == [24, 16]
    assert lines[1].startswith("  word")


def test_a_code_page_without_the_signs_does_not_end_the_report():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    console = open_console(file)
    print_columns(console, "t", [False], [names("ce"), values("nn ↓", "50.00 (±1.00)")])
    file.flush()
    assert b"50.00 (?1.00)" in raw.getvalue()
