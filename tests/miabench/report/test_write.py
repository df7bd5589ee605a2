"""What `report` prints and which files it leaves."""

import json
import re

import pytest

from miabench.errors import UserError
from miabench.report import write
from miabench.report.selection import ALL, Selection
from miabench.report.write import FILES, FORMS, Report, report


@pytest.fixture
def results(make_results):
    return make_results(
        {"auc": {"entropy": 0.9, "nn": 0.9}}, {"defense": "crl", "auc": {"entropy": 0.6, "nn": 0.7}}, records=200
    )


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("csv", "dataset,model,defense"),
        ("json", '{"experiment": {'),
        ("markdown", "**toy, mlp: accuracy"),
        ("latex", "% Tables made by miabench"),
        ("html", "<!DOCTYPE html>\n"),
    ],
)
def test_each_form_stands_alone_on_standard_output(results, capsys, form, start):
    report(results, form, 5.0, None)
    printed = capsys.readouterr()
    assert printed.out.startswith(start)
    assert printed.err == ""
    assert not (results.store.folder / "reports").exists()


def test_a_folder_gets_all_forms_and_the_plots(results, capsys, tmp_path):
    report(results, "json", 5.0, tmp_path / "out")
    printed = capsys.readouterr()
    json.loads(printed.out)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {*FILES.values(), "trade-off.png"}
    assert (tmp_path / "out" / "results.json").read_text() == printed.out
    assert printed.err.splitlines()[0] == f"wrote {tmp_path / 'out' / 'results.csv'}"
    assert len(printed.err.splitlines()) == len(names)


def test_the_table_leaves_its_files_in_the_store(results, capsys):
    report(results, "table", 5.0, None)
    assert capsys.readouterr().out.startswith("toy: accuracy")
    assert (results.store.folder / "reports" / "fake" / "report.html").exists()


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_a_selection_holds_in_every_form(results, capsys, form):
    report(results, form, 5.0, None, Selection(metric="tpr@1%", columns=("nn",)))
    out = capsys.readouterr().out
    assert re.search(r"TPR at 1\\?% FPR", out)
    assert "nn" in out
    assert not re.search(r"entropy (↓|\$)", out)


def test_an_unknown_metric_is_refused(results):
    with pytest.raises(UserError, match="metric 'ac' is not measured; did you mean 'auc'"):
        report(results, "markdown", 5.0, None, Selection(metric="ac"))


def test_differences_that_would_take_long_are_left_out(results, capsys, monkeypatch):
    assert write._resampled(Report(results, 5.0, ALL).summary) == 3 * (300 + 2 * 400)  # accuracy and two attacks
    monkeypatch.setattr(write, "MOST_RESAMPLED", 3 * 1100 - 1)
    report(results, "markdown", 5.0, None)
    out = capsys.readouterr().out
    assert "difference to ce, in points" not in out
    assert (
        "differences to ce with intervals would take more than half a minute and are left out: choose fewer --rows or "
        "--columns" in out
    )
    report(results, "markdown", 5.0, None, Selection(columns=("nn",)))
    assert "difference to ce, in points" in capsys.readouterr().out


def test_every_form_has_a_file():
    assert list(FILES) == list(FORMS)
