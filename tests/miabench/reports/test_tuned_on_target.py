"""The dagger on approaches whose hyper-parameters were not all chosen on the shadow half, in every form."""

import re

import pytest

from miabench.reports.numbers.selection import Selection
from miabench.reports.numbers.side_by_side import side_by_side
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables import published_table
from miabench.reports.tables.terminal_layout import open_console
from miabench.reports.write import Report

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


@pytest.fixture
def words(printed):
    """A report in one form, without what makes its markup."""

    def of(made, form):
        text = printed(made, width=1000) if form == "table" else made.text(form)
        text = text.replace(r"$^\dagger$", "†").replace("\\", "")
        return re.sub("<[^>]*>", "", text) if form == "html" else text

    return of


FORMS = pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])


@FORMS
def test_what_tuning_did_not_choose_has_a_mark_in_every_table(results, words, form):
    text = words(Report(results), form)
    marked = re.findall(r"([\w.=]+)†", text)
    rows = 4 if form in ("markdown", "html") else 3  # worst cases, results, and attack by attack, blank or once a row
    assert marked[:4] == ["upper_rce=0.9", "schedule.lr=0.2"] * 2
    assert marked.count("upper_rce=0.9") == rows
    assert marked.count("schedule.lr=0.2") == rows + 1  # speaks for its defense where defenses are compared
    assert len(marked) == 2 * rows + 1
    assert text.count(NOTE) == 1


@FORMS
def test_without_a_mark_there_is_no_note(make_results, words, form):
    results = make_results({}, {"defense": "crl", "params": {"alpha_rce": 1}}, tuned={"crl": ["alpha_rce"]})
    text = words(Report(results), form)
    assert "†" not in text
    assert "tuned on target" not in text


def test_what_scaling_made_of_defaults_is_no_choice_and_other_values_are(make_results):
    settings = [{"defense": "crl", "params": {"stop": stop}} for stop in (6, 3)]
    lines = summarize(make_results({}, *settings, scaled_defaults={"crl": {"stop": 6}})).lines
    assert [line.tuned_on_target for line in lines] == [(), (), ("stop",)]


@FORMS
def test_only_what_is_shown_is_named(results, words, form):
    text = words(Report(results, selection=Selection(rows=("crl*",))), form)
    assert "(crl: upper_rce): read" in text


def test_a_collapsed_cell_keeps_its_mark(make_results, words):
    results = make_results({}, {"defense": "crl", "params": {"alpha_rce": 1}, "accuracy": 0.25})
    assert "crl alpha_rce=1† (collapsed)" in words(Report(results), "markdown")
    assert "crl alpha_rce=1 (collapsed)†" in words(Report(results), "html")  # a link of its own after the cell's


def test_the_page_s_mark_says_what_it_means_and_leads_to_the_note(results):
    page = Report(results).text("html")
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
