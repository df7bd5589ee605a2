"""Markdown is read back by a Markdown parser."""

import pytest
from markdown_it import MarkdownIt

from miabench.reports.tables.markdown import escape, to_markdown
from miabench.reports.write import Report

PARSER = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def markdown():
    def make(results):
        made = Report(results)
        return to_markdown(made.tabled, made.answer, "torch 2.9")

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
    """What the text is made of, other than line breaks in a table."""
    tokens = PARSER.parse(text)
    children = [child for token in tokens for child in token.children or ()]
    return {one.type for one in (*tokens, *children) if (one.type, one.content) != ("html_inline", "<br>")}


def test_a_row_per_cell_with_the_best_value_bold(make_results, markdown):
    results = make_results(
        {"accuracy": (0.8, 0.9, 0.85), "auc": {"entropy": (0.9, 0.8, 0.85)}},
        {"defense": "crl", "params": {"alpha_rce": 0.5}, "auc": {"entropy": 0.6}},
        runs=3,
        records=200,
    )
    text = markdown(results)
    assert text.startswith("toy, mlp, adaptive attacker: of what costs at most 5 points of accuracy, crl alpha")
    assert "\n\n**toy, mlp: the strongest attack of each kind, in percent \\[95% interval\\]**\n\n| attacks |" in text
    worst, table = rows(text)[:3], rows(text)[3:6]
    assert worst[0] == ["attacks", "approach", "test acc. ↑", "AUC ↓", "TPR at 1% FPR ↓"]
    assert worst[2][:3] == ["all", "crl alpha_rce=0.5†", "80.00"]
    assert worst[2][3].startswith("<b>60.00 [")
    assert worst[2][3].endswith("]</b><br>entropy")
    assert table[0] == ["approach", "train acc. ↑", "test acc. ↑", "entropy ↓"]
    assert table[1] == ["ce (no defense)", "100.00 (±0.00)", "85.00 (±5.00)", "85.00 (±5.00)"]
    assert table[2] == ["crl alpha_rce=0.5†", "100.00 (±0.00)", "80.00 (±0.00)", "<b>60.00 (±0.00)</b>"]
    assert "- bold: the lowest value of its column that is lower than ce's and distinguishable from it" in text
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
    table = rows(text)[3:]
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
