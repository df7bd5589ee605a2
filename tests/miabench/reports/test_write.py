"""What `report` prints and which files it leaves."""

import json
import os
import re
import subprocess
import sys

import pytest

from miabench.errors import UserError
from miabench.reports.numbers.selection import Selection
from miabench.reports.write import FILES, FORMS, Report, report


@pytest.fixture
def results(make_results):
    return make_results(
        {"auc": {"entropy": 0.9, "nn": 0.9}}, {"defense": "crl", "auc": {"entropy": 0.6, "nn": 0.7}}, records=200
    )


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("table", "toy, mlp: the strongest attack"),
        ("csv", "dataset,model,defense"),
        ("json", '{"experiment": {'),
        ("markdown", "toy, mlp, adaptive attacker: of what costs"),
        ("latex", "% Tables made by miabench"),
        ("html", "<!DOCTYPE html>\n"),
    ],
)
def test_each_form_stands_alone_on_standard_output(results, capsys, form, start):
    report(results, form)
    printed = capsys.readouterr()
    assert printed.out.startswith(start)
    assert printed.err == ""
    assert sorted(path.name for path in results.store.folder.iterdir()) == ["format.json", "metrics", "scores"]


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_folder_gets_all_forms_and_the_plots_in_three_formats(results, capsys, tmp_path, form):
    left = tmp_path / "out" / ".results.tex.another-host.1.2.0123abcd.part"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))  # a report that was killed left it long ago
    report(results, form, out=tmp_path / "out")
    printed = capsys.readouterr()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES.values(), "plots"}
    plots = {path.name for path in (tmp_path / "out" / "plots").iterdir()}
    assert plots == {
        f"{name}.{suffix}"
        for name in ("worst-cases", "trade-off", "attacks", "roc")
        for suffix in ("png", "svg", "pdf")
    }
    lines = printed.err.splitlines()
    assert lines[0] == f"wrote {tmp_path / 'out' / 'results.csv'}"
    assert f"wrote {tmp_path / 'out' / 'plots' / 'roc.pdf'}" in lines
    assert len(lines) == len(FILES) + len(plots)
    if form == "json":
        assert json.loads(printed.out) == json.loads((tmp_path / "out" / "results.json").read_text())


def test_a_selection_holds_in_the_plots(results, tmp_path):
    report(results, "csv", out=tmp_path, selection=Selection(metric="balanced-accuracy", columns=("nn",)))
    svg = (tmp_path / "plots" / "trade-off.svg").read_text()
    assert "balanced accuracy (per-class thresholds)" in svg
    assert "entropy" not in svg


def test_a_table_is_made_without_what_is_slow_to_load(results):
    code = (
        "import sys\nfrom miabench.results.index import Index\nfrom miabench.reports.write import report\n"
        "from miabench.results.results import Results\nfrom miabench.store.store import Store\n"
        "report(Results(Index.model_validate_json(sys.stdin.read()), Store(sys.argv[1])), 'table')\n"
        "sys.exit(str({'torch', 'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    command = [sys.executable, "-P", "-c", code, str(results.store.folder)]
    done = subprocess.run(command, input=results.index.model_dump_json(), capture_output=True, text=True)
    assert done.stdout.startswith("toy, mlp: the strongest attack")
    assert done.stderr == "set()\n"


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_a_selection_holds_in_every_form(results, capsys, form):
    report(results, form, selection=Selection(metric="tpr@1%", columns=("nn",)))
    out = capsys.readouterr().out
    assert re.search(r"TPR at 1\\?% FPR", out)
    assert "nn" in out
    assert not re.search(r"entropy (↓|\$)", out)


def test_what_is_marked_does_not_depend_on_what_is_shown(make_results):
    results = make_results({}, {"defense": "crl", "auc": {"entropy": 0.5}}, {"defense": "dmp", "auc": {"entropy": 0.6}})
    every, some = Report(results), Report(results, selection=Selection(rows=("dmp",)))
    assert every.judged == some.judged
    assert every.answer == some.answer


def test_an_unknown_metric_is_refused(results):
    with pytest.raises(UserError, match="metric 'ac' is not measured; did you mean 'auc'"):
        report(results, "markdown", selection=Selection(metric="ac"))


def test_every_form_has_a_file():
    assert list(FILES) == list(FORMS)
