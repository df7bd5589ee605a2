"""What the printed report says."""

import re

import pytest

from miabench.reports.numbers.selection import Selection
from miabench.reports.tables.report_tables import worst_tables
from miabench.reports.words.footnotes import Reasons
from miabench.reports.write import Report

ABOUT = "toy, mlp: AUC of each attack, in percent; differences in points"


@pytest.fixture
def report(printed):
    def text(results, width=120, details=True, **given):
        return printed(Report(results, **given), width, details)

    return text


def fields(text, label):
    """What stands right of a label, in the first line that has it as a field."""
    rows = ([field.strip() for field in line.split("  ") if field.strip()] for line in text.splitlines())
    row = next(row for row in rows if label in row)
    return row[row.index(label) + 1 :]


def after(text, title):
    """What follows a table's title."""
    return text.partition(title + "\n")[2]


ACCESS = {"gap": "label", "entropy": "black-box", "nn": "black-box", "grad-x": "white-box"}
STRONG = {"gap": 0.6, "entropy": 0.9, "nn": 0.8, "grad-x": 0.85}
WEAK = {"gap": 0.55, "entropy": 0.6, "nn": 0.7, "grad-x": "no gradient"}


def test_worst_cases_come_first_and_within_80_columns(make_results, report):
    cells = [{"auc": STRONG}, {"defense": "crl", "params": {"alpha_rce": 0.5, "upper_rce": 0.25}, "auc": WEAK}]
    results = make_results(*cells, access=ACCESS, runs=3, records=200)
    text = report(results, width=80, details=False)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    assert lines[0] == "toy, mlp: the strongest attack of each kind, in percent [95% interval]"
    worst = Report(results).judged.lines[Report(results).summary.lines[1].key].worst
    levels = [line.split("  ")[0] for line in lines if line.split("  ")[0] in ("label-only", "black-box", "white-box")]
    assert levels == ["label-only", "black-box", "white-box"]
    assert fields(text, "label-only")[:3] == ["ce (no defense)", "80.00", "60.00"]
    for (level, metric), one in worst.items():
        own = after(text, "toy, mlp: the strongest attack of each kind, in percent [95% interval]")
        own = own.partition(level)[2]
        low, high = (f"{100 * end:.2f}" for end in one.case[1:3])
        assert f"[{low}, {high}]" in own.replace("\n", " "), metric
    said = " ".join(text.split())
    assert "1 of 3" not in after(text, lines[0]).partition("AUC: 50")[0]  # of all lines: a note says it once
    assert "nn, 3 of 15" in text  # crl has no gradient
    assert "entropy, 4 of 15" not in text
    assert "toy: label-only: worst of 1 of 3 attacks, without augmentation-agreement, noise-agreement (not in" in said
    assert "toy mlp ce: white-box: worst of 4 of 15 attacks, without confidence, m-entropy, attack-p," in said
    crl = "toy mlp crl alpha_rce=0.5 upper_rce=0.25: white-box: worst of 3 of 15 attacks, without grad-x (no gradient);"
    assert crl in said


def test_a_level_whose_attacks_all_were_measured_is_said_to_lack_none(make_results, report):
    access = {"gap": "label", "augmentation-agreement": "label", "noise-agreement": "label"}
    text = report(make_results({"auc": dict.fromkeys(access, 0.7)}, access=access, runs=3), details=False)
    assert "attacks, without" not in text
    assert not re.search(r"\d of 3", text)


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
def test_only_worst_cases_of_another_number_than_most_of_their_level_say_it(make_results, form):
    access = {"gap": "label", "augmentation-agreement": "label", "noise-agreement": "label"}
    short = {"gap": 0.7, "augmentation-agreement": "no images", "noise-agreement": 0.6}
    most = [{"defense": name, "auc": short} for name in ("ce", "crl", "dmp")]
    whole = {"defense": "hamp", "auc": dict.fromkeys(access, 0.9)}
    least = {"defense": "selena", "auc": {"gap": 0.8, "augmentation-agreement": "no", "noise-agreement": "no"}}
    made = Report(make_results(*most, whole, least, access=access, runs=3))
    (table,) = worst_tables(made.tabled, Reasons())
    assert [row.values[1].below for row in table.rows] == ["gap"] * 3 + ["gap, all 3", "gap, 1 of 3"]
    text = " ".join(made.text(form).split())
    assert text.count("gap, all 3") == text.count("gap, 1 of 3") == len(table.headers) - 1
    assert "gap, 2 of 3" not in text
    assert "worst of 2 of 3 attacks, without augmentation-agreement (no images)" in text


def test_differences_in_a_pool_are_over_models_with_members_of_their_own(make_results, report):
    text = " ".join(report(make_results({}, {"defense": "crl"}, pool=True, runs=6), details=False).split())
    over = "6 models, each with members of its own: at least 40 members and 40 non-members under both in each"
    assert f"toy: differences over {over}" in text


def test_the_name_of_the_attack_stands_below_its_value(make_results, report):
    lines = report(make_results({"auc": STRONG}, access=ACCESS, runs=3), details=False).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("black-box"))
    assert lines[at].split()[4].replace(".", "").isdigit()
    assert lines[at + 1].split() == ["entropy"]


def test_single_attacks_gaps_and_costs_are_details(make_results, report):
    results = make_results({}, {"defense": "crl"}, {"defense": "dmp"}, attackers=("adaptive", "non-adaptive"))
    short, long = report(results, details=False), report(results)
    for title in (
        "accuracy, and AUC of each attack",
        "differences in points",
        "adaptivity gap",
        "worst case of the row",
    ):
        assert title not in short
        assert title in long
    assert short.partition("\n")[0] == long.partition("\n")[0]


def test_the_layout_of_table_1(make_results, report):
    results = make_results(
        {"accuracy": (0.8, 0.9, 0.85), "auc": {"entropy": (0.9, 0.8, 0.85), "nn": 0.85}},
        {"defense": "crl", "params": {"alpha_rce": 0.5}, "auc": {"entropy": 0.6, "nn": 0.7}},
        runs=3,
        records=200,
    )
    text = report(results)
    lines = text.splitlines()
    table = after(text, "toy, mlp: accuracy, and AUC of each attack, in percent")
    assert fields(table, "approach") == ["train acc. ↑", "test acc. ↑", "entropy ↓", "nn ↓"]
    assert fields(table, "ce (no defense)") == ["100.00 (±0.00)", "85.00 (±5.00)", "85.00 (±5.00)", "85.00 (±0.00)"]
    row = fields(table, "crl alpha_rce=0.5†")
    assert row == ["100.00 (±0.00)", "80.00 (±0.00)", "*60.00 (±0.00)", "*70.00 (±0.00)"]
    assert "± is the spread (standard deviation) over 3 trainings on fixed splits" in lines
    assert (
        "* the lowest value of its column that is lower than ce's and distinguishable from it, where test accuracy is "
        "within 5 points of ce's"
    ) in " ".join(text.split())
    assert "toy: each target has 200 members, 200 non-members, none withheld" in lines


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (2, "no value is marked: it takes 3 runs to tell a defense from luck"),
        (3, "with 3 runs differences are rarely distinguishable: 5 or more find more of them"),
        (5, ""),
    ],
)
def test_few_runs_are_said(make_results, report, runs, said):
    lines = report(make_results({}, {"defense": "crl", "auc": {"entropy": 0.5}}, runs=runs)).splitlines()
    assert [line for line in lines if "no value is marked" in line or "rarely" in line] == [*filter(None, [said])]
    assert any(line.startswith("* the lowest value") for line in lines) == (runs >= 3)


def test_the_spread_of_a_pool_is_over_models(make_results, report):
    text = report(make_results({}, runs=6, pool=True))
    assert "± is the spread (standard deviation) over 6 models, each with members of its own" in text


def test_targets_of_a_pool_have_about_as_many_members(make_results, report):
    text = " ".join(report(make_results({}, pool=True, runs=6, records=60)).split())
    assert "toy: the first target has " in text
    assert "none withheld, the others about as many" in text


def test_every_attack_has_its_interval_and_its_difference(make_results, report):
    results = make_results(
        {"auc": {"entropy": 0.9, "nn": 0.9}},
        {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.6, "nn": "no"}},
        {"defense": "advreg", "accuracy": 0.9, "withheld": 10, "auc": {"entropy": 0.8, "nn": 0.8}},
        runs=3,
    )
    text = report(results, width=200)
    table = after(text, ABOUT)
    assert fields(table, "approach") == ["quantity", "mean", "95% interval", "minus ce [95% interval]", "so it is"]
    assert len(fields(table, "ce (no defense)")) == 3  # no difference to itself
    made = Report(results)
    evidence = made.judged.lines[made.summary.lines[1].key]
    estimate, change = evidence.attacks["entropy"], evidence.changes["entropy"]
    assert fields(table.partition("crl")[2], "entropy ↓") == [
        "60.00 (±0.00)",
        f"[{100 * estimate.low:.2f}, {100 * estimate.high:.2f}]",
        f"-30.00 [{100 * change.low:+.2f}, {100 * change.high:+.2f}]",
        "lower",
    ]
    assert fields(table.partition("crl")[2], "nn ↓") == ["n/a [1]"]
    assert "toy mlp crl: differences over 3 trainings, 40 members and 40 non-members under both" in text
    assert "toy mlp advreg: differences over 3 trainings, 30 members and 40 non-members under both" in text
    assert "toy mlp advreg: each target has 30 members, 40 non-members, 10 withheld (reference)" in text
    assert "differences to ce are paired by run and record; [ ] is their 95% interval, each by itself; which" in text


def test_which_defense_leaks_less_than_which(make_results, report):
    cells = [{"auc": {"entropy": 0.9}}, {"defense": "crl", "auc": {"entropy": 0.6}}]
    cells += [{"defense": "dmp", "auc": {"entropy": 0.6}}]
    text = report(make_results(*cells, runs=3, records=200))
    table = after(text, "leaks less; ≈: not distinguishable)")
    assert fields(table, "approach") == ["ce", "crl", "dmp"]
    assert fields(table, "ce (no defense)") == ["more", "more"]
    assert fields(table, "crl") == ["dmp"]  # the header; its row follows
    rows = {line.split("  ")[0]: line.split()[1:] for line in table.splitlines()[3:5]}
    assert rows == {"crl": ["less", "≈"], "dmp": ["less", "≈"]}


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
    table = after(text, "toy, mlp: accuracy, and AUC of each attack, in percent")
    assert fields(table, "crl")[-1] == "n/a [3]"
    assert fields(table, "dmp") == ["failed [1]"] * 4
    assert fields(table, "dp-sgd") == ["n/a [2]"] * 4
    notes = [line for line in text.splitlines() if line.startswith("[")]
    assert notes == ["[1] bad loss", "[2] needs opacus", "[3] no gradient here"]  # worst cases come first


def test_values_that_are_not_computed_yet_are_missing(make_results, report):
    text = report(make_results({"accuracy": None, "auc": {"entropy": None}}))
    assert fields(text, "ce (no defense)") == ["missing [1]"] * 3
    assert "[1] not computed yet" in text
    assert "the strongest attack" not in text
    assert "minus ce" in text
    assert "differences over" not in text


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
    table = after(text, "toy, mlp: accuracy, and AUC of each attack, in percent")
    assert fields(table, "crl (collapsed)")[-1] == "50.00 (±0.00)"
    assert fields(table, "dmp (collapsed in 1 of 2")[-1] == "50.00 (±0.00)"
    assert table.split("dmp (collapsed in 1 of 2")[1].splitlines()[1].strip() == "runs)"
    assert "* the lowest" not in text
    assert (
        "collapsed: nothing was learnt, on members and others accuracy is at chance (always naming toy's largest class "
        "gives 100.00% and 25.00%), so the value says nothing about the defense"
    ) in " ".join(text.split())


def test_the_attacker_has_a_column_only_when_there_are_two(make_results, report):
    table = after(report(make_results({})), "toy, mlp: accuracy, and AUC of each attack, in percent")
    assert "adaptive" not in table.partition("\n\n")[0]


def test_two_attackers_have_a_line_each(make_results, report):
    text = report(make_results({}, {"model": "cnn"}, attackers=("adaptive", "non-adaptive")))
    table = after(text, "toy: accuracy, and AUC of each attack, in percent").partition("\n\ntoy")[0]
    lines = [line.split()[:2] for line in table.splitlines() if "adaptive" in line]
    assert lines == [["mlp", "ce"], ["non-adaptive", "100.00"], ["cnn", "ce"], ["non-adaptive", "100.00"]]


def test_each_dataset_has_its_table(make_results, report):
    text = report(make_results({"dataset": "bits"}, {"dataset": "digits"}))
    assert "bits, mlp: accuracy, and AUC of each attack, in percent" in text
    assert "digits, mlp: accuracy, and AUC of each attack, in percent" in text
    assert "digits: each target has 40 members, 40 non-members, none withheld" in text


def test_the_metric_is_named(make_results, report):
    text = report(make_results({}), selection=Selection(metric="tpr@1%"))
    assert "toy, mlp: accuracy, and TPR at 1% FPR of each attack, in percent" in text
    assert "[1] needs 100 non-members, has 40" in text


def test_notes_and_warnings_of_the_index_are_printed(make_results, report):
    lines = report(make_results({}, notes=("80 records",), warnings=("alpha is low",))).splitlines()
    assert "note: 80 records" in lines
    assert lines[-1] == "warning: alpha is low"


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
    table = after(text, "toy, mlp: accuracy, and AUC of each attack, in percent")
    assert label in "".join(table.splitlines()[:2])  # the header
    assert fields(table, "approach")[0] == "train acc. ↑"
    assert label in after(text, "in percent [95% interval]").splitlines()[4]  # below its value
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


def test_a_collapsed_defense_is_followed_by_the_line_to_type(make_results, report):
    warning = "relaxloss: alpha = 2 is above ln 4: try --set relaxloss.alpha=0.5."
    low = {"accuracy": 0.25}
    results = make_results({}, {"defense": "relaxloss", **low}, {"defense": "crl", **low}, warnings=(warning,))
    text = report(results, details=False)
    at = [text.index(f"{name} collapsed; add to your command: {option}") for name, option in REMEDIES]
    assert max(at) < text.index("AUC: 50 is guessing")


def test_where_nothing_was_learnt_without_a_defense_none_is_blamed(make_results, report):
    low = {"accuracy": 0.25}
    results = make_results(low, {"defense": "relaxloss", **low})
    schedule = results.index.experiment.schedule
    options = f"--epochs {10 * schedule.epochs}, or --set schedule.lr={schedule.lr / 10:g}"
    text = report(results, width=200, details=False)
    assert f"ce collapsed: nothing was learnt under this schedule; add to your command: {options}\n" in text
    assert "relaxloss collapsed" not in text


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ([{}], "--set dp-sgd.schedule.epochs=400, or --set dp-sgd.schedule.lr=0.005"),  # the experiment's: 40, 0.05
        ([{"schedule.lr": 0.2}], "--set dp-sgd.schedule.epochs=400, or --set dp-sgd.schedule.lr=0.02"),
        ([{"schedule.epochs": 60}], "--set dp-sgd.schedule.epochs=600, or --set dp-sgd.schedule.lr=0.005"),
        (
            [{"schedule.lr": 0.2}, {"schedule.lr": 0.1, "schedule.epochs": 50}, {"schedule.lr": 0.01}],
            "--set dp-sgd.schedule.epochs=500, or --set dp-sgd.schedule.lr=0.01",
        ),
    ],
    ids=["common", "own-lr", "own-epochs", "several"],
)
def test_a_collapsed_defense_s_schedule_is_changed_for_it_alone_and_from_its_own(make_results, report, params, options):
    low = [
        {"defense": "dp-sgd", "params": own, "accuracy": 0.8 if own == {"schedule.lr": 0.01} else 0.25}
        for own in params
    ]
    text = report(make_results({}, *low), width=200, details=False)
    assert f"dp-sgd collapsed; add to your command: {options}\n" in text


def test_a_baseline_with_a_schedule_of_its_own_is_told_how_to_change_that(make_results, report):
    results = make_results({"params": {"schedule.lr": 0.2}, "accuracy": 0.25})
    text = report(results, width=200, details=False)
    assert "add to your command: --set ce.schedule.epochs=400, or --set ce.schedule.lr=0.02\n" in text


def test_an_overfitted_baseline_gets_no_remedy_and_is_compared_with(make_results, report):
    results = make_results({"accuracy": 0.25}, {"defense": "crl", "accuracy": 0.25}, member_classes=4)
    text = report(results, width=200)
    assert "collapsed" not in text
    assert "nothing was learnt" not in text
    assert "no finished training without defense" not in text


REMEDIES = [("relaxloss", "--set relaxloss.alpha=0.5"), ("crl", "--set crl.schedule.epochs=")]
