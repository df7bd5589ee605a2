"""The dagger on approaches whose hyper-parameters were not all chosen on the shadow half, in every form."""

import io
import re

import pytest
from miabench.reports.numbers.difference import compare

from miabench.reports.numbers.cost import costs
from miabench.reports.numbers.selection import Selection, select
from miabench.reports.numbers.side_by_side import side_by_side
from miabench.reports.numbers.summary import summarize
from miabench.reports.page.page import to_html
from miabench.reports.tables import published_table
from miabench.reports.tables.latex import to_latex
from miabench.reports.tables.markdown import to_markdown
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console

NOTE = (
    "† tuned on target: hyper-parameters that the experiment sets and miabench tune did not choose on the shadow half "
    "(crl: upper_rce; relaxloss: schedule.lr): read the result as if they had been chosen by looking at the target"
)


@pytest.fixture
def results(make_results):
    return make_results(
        {},
        {"defense": "crl", "params": {"alpha_rce": 0.5}},
        {"defense": "crl", "params": {"alpha_rce": 0.25, "upper_rce": 0.9}},
        {"defense": "relaxloss", "params": {"schedule.lr": 0.2}},
        {"defense": "label-smoothing", "params": {"schedule.lr": 0.1}},
        {"defense": "dmp", "params": {"tau": 1}, "by_default": ["tau"]},
        tuned={"crl": ["alpha_rce"], "label-smoothing": ["schedule.lr"]},
    )


def terminal(results, summary):
    console = open_console(io.StringIO())
    console.width = 1000
    show(console, summary, compare(results, summary), costs(results))
    return console.file.getvalue()


def markdown(results, summary):
    return to_markdown(summary, compare(results, summary), {}, "").replace("\\", "")


def latex(results, summary):
    text = to_latex(summary, compare(results, summary), "")
    return text.replace(r"$^\dagger$", "†").replace("\\", "")


def html(results, summary):
    return re.sub("<[^>]*>", "", to_html(results, summary, compare(results, summary), {}, {}))


FORMS = pytest.mark.parametrize("form", [terminal, markdown, latex, html])


@FORMS
def test_what_tuning_did_not_choose_has_a_mark_in_every_table(results, form):
    text = form(results, summarize(results))
    marked = re.findall(r"([\w.=]+)†", text)
    assert marked == ["upper_rce=0.9", "schedule.lr=0.2"] * 2  # of the results and of the differences
    assert text.count(NOTE) == 1


@FORMS
def test_without_a_mark_there_is_no_note(make_results, form):
    results = make_results({}, {"defense": "crl", "params": {"alpha_rce": 1}}, tuned={"crl": ["alpha_rce"]})
    text = form(results, summarize(results))
    assert "†" not in text
    assert "tuned on target" not in text


@FORMS
def test_only_what_is_shown_is_named(results, form):
    text = form(results, select(summarize(results), Selection(rows=("crl*",))))
    assert "(crl: upper_rce): read" in text


def test_a_collapsed_cell_keeps_its_mark(make_results):
    results = make_results({}, {"defense": "crl", "params": {"alpha_rce": 1}, "accuracy": 0.25})
    assert "crl alpha_rce=1† (collapsed)" in markdown(results, summarize(results))
    assert "crl alpha_rce=1 (collapsed)†" in html(results, summarize(results))  # a link of its own after the cell's


def test_the_page_s_mark_says_what_it_means_and_leads_to_the_note(results):
    page = to_html(results, summarize(results), {}, {}, {})
    assert (
        '<a class="mark" href="#note-tuned" title="tuned on target: upper_rce" aria-label="tuned on target">†</a>'
    ) in page
    assert f'<li id="note-tuned">{NOTE}</li>' in page


def test_the_comparison_with_published_values_has_the_mark(make_results, capsys):
    paper = {"dataset": "cifar10", "model": "resnet18"}
    summary = summarize(make_results(paper, paper | {"defense": "crl", "params": {"alpha_rce": 1}}))
    published_table.show(open_console(), side_by_side(summary))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("crl alpha_rce=1† ") == 1
    assert "† tuned on target:" in printed
    assert "(crl: alpha_rce): read the result" in printed
