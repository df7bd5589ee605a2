"""Markdown is read back by a Markdown parser."""

import pytest
from markdown_it import MarkdownIt
from miabench.reports.numbers.difference import compare

from miabench.reports.numbers.summary import summarize
from miabench.reports.tables.markdown import escape, to_markdown

PARSER = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def markdown():
    def make(results, made_with="torch 2.9", **given):
        summary = summarize(results, **given)
        return to_markdown(summary, compare(results, summary), {}, made_with)

    return make


def rows(text):
    """Each table row as the text of its cells; bold is marked by <b>."""
    found, inside = [], False
    for token in PARSER.parse(text):
        inside = token.type == "tr_open" or (inside and token.type != "tr_close")
        if token.type == "tr_open":
            found.append([])
        elif token.type == "inline" and inside:
            marks = {"strong_open": "<b>", "strong_close": "</b>"}
            found[-1].append("".join(marks.get(child.type, child.content) for child in token.children))
    return found


def kinds(text):
    tokens = PARSER.parse(text)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}


def test_a_row_per_cell_with_the_best_value_bold(make_results, markdown):
    results = make_results(
        {"accuracy": (0.8, 0.9), "auc": {"entropy": (0.9, 0.8)}},
        {"defense": "crl", "params": {"alpha_rce": 0.5}, "auc": {"entropy": 0.6}},
    )
    text = markdown(results)
    assert text.startswith("**toy, mlp: accuracy, and AUC of each attack, in percent**\n\n| approach |")
    table = rows(text)
    assert table[0] == ["approach", "train acc. ↑", "test acc. ↑", "entropy ↓"]
    assert table[1] == ["ce (no defense)", "100.00 (±0.00)", "85.00 (±7.07)", "85.00 (±7.07)"]
    assert table[2] == ["crl alpha_rce=0.5†", "100.00 (±0.00)", "80.00 (±0.00)", "<b>60.00 (±0.00)</b>"]
    assert table[4][0] == "crl alpha_rce=0.5†"
    assert table[4][2].startswith("-25.00 [")
    assert "- bold: the lowest defended value of the attack, where test accuracy is within 5 points of ce's\n" in text
    assert "- seed 0 (splits of the target" in text
    assert "- made with torch 2.9\n" in text


def test_missing_values_have_footnotes_and_warnings_stand_last(make_results, markdown):
    results = make_results({}, {"defense": "crl", "auc": {"entropy": "no gradient"}}, warnings=("alpha is low",))
    text = markdown(results)
    assert rows(text)[2][-1] == "n/a [1]"
    assert "- \\[1\\] no gradient\n" in text
    assert text.endswith("- warning: alpha is low\n")


@pytest.mark.parametrize(
    "hostile",
    [
        "a|b",
        "<script>alert(1)</script>",
        "**b**",
        "`c`",
        "[d](http://e)",
        "_f_ ~~g~~",
        "&lt;",
        "\\",
        "$h$",
        "i\nj",
        "# k",
    ],
)
def test_what_the_user_wrote_is_never_markup(make_results, markdown, hostile):
    results = make_results(
        {"auc": {hostile: 0.9}},
        {"defense": hostile, "auc": {hostile: f"because {hostile}"}},
        warnings=(hostile,),
    )
    text = markdown(results)
    shown = hostile.replace("\n", " ")
    table = rows(text)
    assert table[0][-1] == f"{shown} ↓"
    assert [row[0] for row in table[1:3]] == ["ce (no defense)", shown]
    assert {len(row) for row in table[:3]} == {4}
    assert not kinds(text) & {
        "html_inline",
        "html_block",
        "link_open",
        "code_inline",
        "em_open",
        "s_open",
        "heading_open",
    }
    said = [token.content for token in PARSER.parse(text) if token.type == "inline"][-1]
    assert said == escape(f"warning: {hostile}")
