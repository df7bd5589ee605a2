"""What the printed report says."""

import io

import pytest
from miabench.reports.numbers.difference import compare

from miabench.reports.numbers.cost import costs
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables.terminal import show
from miabench.reports.tables.terminal_layout import open_console


@pytest.fixture
def report():
    def text(results, width=120, **given):
        console = open_console(io.StringIO())
        console.width = width
        summary = summarize(results, **given)
        show(console, summary, compare(results, summary), costs(results))
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())

    return text


def fields(text, label):
    """What stands right of a label, in the first line that has it as a field."""
    rows = ([field.strip() for field in line.split("  ") if field.strip()] for line in text.splitlines())
    row = next(row for row in rows if label in row)
    return row[row.index(label) + 1 :]


def test_the_layout_of_table_1(make_results, report):
    results = make_results(
        {"accuracy": (0.8, 0.9), "auc": {"entropy": (0.9, 0.8), "nn": 0.75}},
        {"defense": "crl", "params": {"alpha_rce": 0.5}, "auc": {"entropy": 0.6, "nn": 0.7}},
    )
    text = report(results)
    lines = text.splitlines()
    assert lines[0] == "toy, mlp: accuracy, and AUC of each attack, in percent"
    assert fields(text, "approach") == ["train acc. ↑", "test acc. ↑", "entropy ↓", "nn ↓"]
    assert fields(text, "ce (no defense)") == ["100.00 (±0.00)", "85.00 (±7.07)", "85.00 (±7.07)", "75.00 (±0.00)"]
    assert fields(text, "crl alpha_rce=0.5†") == ["100.00 (±0.00)", "80.00 (±0.00)", "*60.00 (±0.00)", "*70.00 (±0.00)"]
    assert "± is the spread (standard deviation) over 2 trainings on fixed splits" in lines
    assert "* the lowest defended value of the attack, where test accuracy is within 5 points of ce's" in lines
    assert "toy: each target has 40 members, 40 non-members, none withheld" in lines


def test_the_differences_have_their_own_table(make_results, report):
    results = make_results(
        {"auc": {"entropy": 0.9, "nn": 0.9}},
        {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6, "nn": "no"}},
        {"defense": "advreg", "accuracy": 0.9, "withheld": 10, "auc": {"entropy": 0.8, "nn": 0.8}},
    )
    text = report(results)
    _, table = text.split("toy, mlp: difference to ce, in points of accuracy and AUC [95% interval]\n")
    assert "ce (no defense)" not in table
    assert [field.split(" ")[0] for field in fields(table, "crl")] == ["-10.00", "-30.00", "n/a"]
    summary = summarize(results)
    change = compare(results, summary)[summary.lines[1].key].attacks["entropy"]
    assert f"-30.00 [{100 * change.low:+.2f}, {100 * change.high:+.2f}]" in table
    assert "toy mlp crl: differences over 2 trainings, 40 members and 40 non-members under both" in text
    assert "toy mlp advreg: differences over 2 trainings, 30 members and 40 non-members under both" in text
    assert "toy mlp advreg: each target has 30 members, 40 non-members, 10 withheld (reference)" in text


def test_one_run_says_what_its_interval_is_over(make_results, report):
    text = report(make_results({}, {"defense": "crl"}, runs=1))
    assert "±" not in text
    assert "one training per cell: a spread needs --runs 2 or more" in text
    assert "toy: differences over one training (its interval is over records alone), 40 members" in text


def test_each_distinct_reason_is_one_footnote(make_results, report):
    results = make_results(
        {"auc": {"entropy": 0.9, "grad-x": "no gradient here"}},
        {"defense": "crl", "auc": {"entropy": 0.9, "grad-x": "no gradient here"}},
        {"defense": "dmp", "auc": {"entropy": None, "grad-x": None}, "accuracy": None, "failure": "log\nbad loss"},
        {"defense": "dp-sgd", "auc": {"entropy": None, "grad-x": None}, "accuracy": None, "reason": "needs opacus"},
    )
    text = report(results)
    assert fields(text, "crl")[-1] == "n/a [1]"
    assert fields(text, "dmp") == ["failed [2]"] * 4
    assert fields(text, "dp-sgd") == ["n/a [3]"] * 4
    notes = [line for line in text.splitlines() if line.startswith("[")]
    assert notes == ["[1] no gradient here", "[2] bad loss", "[3] needs opacus"]


def test_values_that_are_not_computed_yet_are_missing(make_results, report):
    text = report(make_results({"accuracy": None, "auc": {"entropy": None}}))
    assert fields(text, "ce (no defense)") == ["missing [1]"] * 3
    assert "[1] not computed yet" in text
    assert "difference" not in text


def test_unfinished_runs_are_named_with_the_reason(make_results, report):
    results = make_results(
        {"accuracy": (0.8, None), "auc": {"entropy": (0.9, None), "nn": (0.9, None)}, "failure": "bad loss"},
        {"defense": "crl", "auc": {"entropy": 0.9, "nn": (0.9, None)}},
    )
    text = report(results)
    assert "toy mlp ce: 1 of 2 runs finished: bad loss" in text
    assert "toy mlp crl: 1 of 2 runs finished (nn): not computed yet" in text


def test_collapsed_trainings_are_shown_as_such(make_results, report):
    results = make_results(
        {},
        {"defense": "crl", "accuracy": 0.25, "auc": {"entropy": 0.5}},
        {"defense": "dmp", "accuracy": (0.8, 0.25), "auc": {"entropy": 0.5}},
    )
    text = report(results)
    assert fields(text, "crl (collapsed)")[-1] == "50.00 (±0.00)"
    assert fields(text, "dmp (collapsed in 1 of 2")[-1] == "50.00 (±0.00)"
    assert text.split("dmp (collapsed in 1 of 2")[1].splitlines()[1].strip() == "runs)"
    assert "* the lowest" not in text
    assert (
        "collapsed: test accuracy is at chance (always naming toy's largest class gives 25.00%), so the value says "
        "nothing about the defense"
    ) in " ".join(text.split())


def test_the_attacker_has_a_column_only_when_there_are_two(make_results, report):
    assert "adaptive" not in report(make_results({}))


def test_two_attackers_have_a_line_each(make_results, report):
    text = report(make_results({}, {"model": "cnn"}, attackers=("adaptive", "non-adaptive")))
    lines = [line.split()[:2] for line in text.splitlines() if "adaptive" in line and "gap" not in line]
    assert lines == [["mlp", "ce"], ["non-adaptive", "100.00"], ["cnn", "ce"], ["non-adaptive", "100.00"]]


def test_each_dataset_has_its_table(make_results, report):
    text = report(make_results({"dataset": "bits"}, {"dataset": "digits"}))
    assert "bits, mlp: accuracy, and AUC of each attack, in percent" in text
    assert "digits, mlp: accuracy, and AUC of each attack, in percent" in text
    assert "digits: each target has 40 members, 40 non-members, none withheld" in text


def test_the_metric_is_named(make_results, report):
    text = report(make_results({}), metric="tpr@1%")
    assert text.startswith("toy, mlp: accuracy, and TPR at 1% FPR of each attack, in percent")
    assert "[1] needs 100 non-members, has 40" in text


def test_notes_and_warnings_of_the_index_are_printed(make_results, report):
    lines = report(make_results({}, notes=("80 records",), warnings=("alpha is low",))).splitlines()
    assert lines[-2:] == ["note: 80 records", "warning: alpha is low"]


@pytest.mark.parametrize("label", ["[red]x", "[/]", "[link=http://a.b]y", ":smile:", "\\[b]"])
def test_what_the_user_wrote_is_never_markup(make_results, report, label):
    results = make_results(
        {"auc": {label: 0.9}},
        {"defense": label, "params": {"mode": label}, "auc": {label: f"because {label}"}},
        notes=(f"note {label}",),
        warnings=(f"warn {label}",),
    )
    text = report(results, width=200)
    assert f"mode={label}" in text
    assert label in "".join(text.splitlines()[1:3])  # the header
    assert fields(text, "approach")[0] == "train acc. ↑"
    for line in (f"[1] because {label}", f"note: note {label}", f"warning: warn {label}"):
        assert line in text.splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_whole_report_keeps_within_the_width(make_results, report, width):
    auc = dict.fromkeys(["nn", "entropy", "m-entropy", "confidence", "loss", "grad-x norm=linf"], 0.8)
    results = make_results(
        {"auc": auc},
        {"defense": "crl", "params": {"alpha_rce": 0.5, "lambda_rcl": 0.001}, "auc": auc, "accuracy": (0.2, 0.9)},
        warnings=("a long warning " * 20,),
    )
    assert max(map(len, report(results, width).splitlines())) <= width
