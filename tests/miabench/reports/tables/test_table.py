"""One table is the same text in every form: numbers, intervals, marks, footnotes, second lines and sections."""

import html
import io
import re

import pytest

from miabench.reports.numbers.summary import summarize
from miabench.reports.page import page
from miabench.reports.tables.latex import latex_floats
from miabench.reports.tables.markdown import markdown_table
from miabench.reports.tables.report_tables import results_tables
from miabench.reports.tables.table import Row, Table, Value, mean_over_runs, new_names
from miabench.reports.tables.terminal import print_table
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.words.footnotes import Reasons
from miabench.reports.write import Report

BEST = Value.of(0.625, "(±1.50)", best=True)
TABLE = Table(
    title="a title",
    names=("model", "defense"),
    headers=("worst case ↓", "other ↓"),
    sections=(
        (
            Row(("mlp", "crl"), (BEST, Value("n/a", note=3))),
            Row(("mlp", "dmp"), (Value.of(0.7, below="nn, black-box"), Value.of(0.5))),
        ),
        (Row(("cnn", "crl"), (Value("-1.25", "[-2.00, -0.50]"), Value.of(1.0))),),
    ),
)


def terminal(table):
    console = open_console(io.StringIO())
    print_table(console, table)
    return [re.split(r"\s{2,}", line.strip()) for line in console.file.getvalue().splitlines()]


def test_the_terminal_stars_the_best_and_rules_between_sections():
    title, header, _, *rows = terminal(TABLE)
    assert title == ["a title"]
    assert header == ["model", "defense", "worst case ↓", "other ↓"]
    assert rows[:5] == [
        ["mlp", "crl", "*62.50 (±1.50)", "n/a [3]"],
        ["dmp", "70.00", "50.00"],
        ["nn, black-box"],
        rows[3],
        ["cnn", "crl", "-1.25 [-2.00, -0.50]", "100.00"],
    ]
    assert rows[3] == [""]  # between models


def test_markdown_has_the_same_numbers():
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in markdown_table(TABLE).splitlines()[4:]]
    assert rows == [
        ["mlp", "crl", "**62.50 (±1.50)**", r"n/a \[3\]"],
        ["mlp", "dmp", "70.00<br>nn, black-box", "50.00"],
        ["cnn", "crl", r"-1.25 \[-2.00, -0.50\]", "100.00"],
    ]


def test_latex_has_the_same_numbers():
    (text,) = latex_floats(TABLE, ["said beside it"])
    lines = text.splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert body == [
        r"mlp & crl & \textbf{62.50 {\scriptsize ($\pm$1.50)}} & n/a\textsuperscript{3} \\",
        r" & dmp & 70.00 & 50.00 \\",
        r" &  & {\scriptsize nn, black-box} &  \\",
        r"\midrule",
        r"cnn & crl & $-$1.25 {\scriptsize [$-$2.00, $-$0.50]} & 100.00 \\",
    ]
    assert r"\caption{a title. Said beside it.}" in text


def test_the_page_has_the_same_numbers(make_results, monkeypatch):
    monkeypatch.setattr(page, "report_tables", lambda *_: [TABLE])
    results = make_results({})
    report = Report(results)
    made = page.to_html(results, report.tabled, [], {})
    body = made[made.index('<table class="sortable">') :].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)[1:]
    fields = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    texts = [[" ".join(html.unescape(re.sub(r"<[^>]+>", " ", field)).split()) for field in row] for row in fields]
    assert texts == [
        ["mlp", "crl", "62.50 (±1.50)", "n/a [3]"],
        ["mlp", "dmp", "70.00 nn, black-box", "50.00"],
        ["cnn", "crl", "-1.25 [-2.00, -0.50]", "100.00"],
    ]
    assert "<strong>62.50</strong>" in rows[0]
    assert 'href="#note-3"' in rows[0]
    assert 'data-number="0.7"' in rows[1]


def test_a_name_is_blank_only_where_all_before_it_repeat_too():
    rows = [Row(names, ()) for names in [("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("b", "y")]]
    assert list(new_names(rows)) == [("a", "x"), ("", ""), ("", "y"), ("b", "y"), ("", "")]


@pytest.mark.parametrize("attackers", [("adaptive",), ("adaptive", "non-adaptive")])
def test_rows_are_grouped_by_model_and_name_only_what_differs(make_results, attackers):
    cells = [{"model": model, "defense": name} for model in ("mlp", "cnn") for name in ("ce", "crl")]
    tabled = Report(make_results(*cells, attackers=attackers)).tabled
    (table,) = results_tables(tabled, Reasons())
    assert table.names == ("model", "approach", *(["attacker"] if len(attackers) > 1 else []))
    assert [len(section) for section in table.sections] == [2 * len(attackers)] * 2
    assert {row.names[0] for row in table.sections[1]} == {"cnn"}
    assert [row.line for row in table.rows] == list(tabled.summary.lines)


def test_why_there_is_no_mean_is_numbered(make_results):
    (line,) = summarize(make_results({"auc": {"entropy": "no gradient"}})).lines
    reasons = Reasons()
    assert mean_over_runs(line.attacks["entropy"], reasons) == Value("n/a", note=1)
    assert list(reasons.notes()) == ["[1] no gradient"]
    assert mean_over_runs(line.test, reasons) == Value("80.00", "(±0.00)", number=line.test.mean)
