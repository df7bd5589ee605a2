"""What a reader is warned of."""

import html
from dataclasses import replace

import pytest

from miabench.experiment.load import load_experiment
from miabench.metrics import Verdict
from miabench.reports.numbers.deviations import Deviation, deviates, deviations
from miabench.reports.numbers.evidence import Judgement
from miabench.reports.numbers.levels import Column
from miabench.reports.numbers.published import Moments, PaperCell
from miabench.reports.numbers.selection import Selection
from miabench.reports.numbers.summary import summarize
from miabench.reports.words.alerts import alerts, turned
from miabench.reports.write import Report
from miabench.results.results import Results

TABLE1A = {"dataset": "cifar10", "model": "resnet18"}


def of_preset(results, **update):
    """The same results of an experiment with the schedule of Table 1a, and other settings."""
    schedule = load_experiment("uai24/table1a-resnet18").schedule
    experiment = results.index.experiment.model_copy(update={"schedule": schedule} | update)
    return Results(results.index.model_copy(update={"experiment": experiment}), results.store)


def warned(results, **shown):
    made = Report(results, selection=Selection(**shown))
    return list(alerts(made.summary, made.judged))


@pytest.fixture
def unlike(make_results):
    """Everything of ce is like the paper's; of crl the entropy attack alone."""
    like, auc = (0.85, 0.85, 0.9), {"entropy": 0.65, "m-entropy": (0.7, 0.725, 0.7)}
    return make_results(
        TABLE1A | {"accuracy": (0.7, 0.7, 0.725), "auc": {"entropy": like, "m-entropy": like}},
        TABLE1A | {"defense": "crl", "params": {"alpha_rce": 1}, "accuracy": (0.55, 0.525, 0.55), "auc": auc},
        runs=3,
    )


def test_few_runs_and_the_index_s_warnings(make_results):
    assert warned(make_results({}, runs=1, warnings=("alpha is low",))) == [
        "one training per cell: too few to tell a defense from luck; --runs 5 is usual",
        "alpha is low",
    ]
    assert warned(make_results({"dataset": "b"}, runs=2))[0].startswith("2 trainings per cell: too few")
    assert warned(make_results({"dataset": "c"}, runs=3)) == []


def test_one_shadow_model(make_results):
    results = make_results({}, runs=3)
    experiment = results.index.experiment.model_copy(update={"shadows": 1})
    results = type(results)(results.index.model_copy(update={"experiment": experiment}), results.store)
    assert warned(results) == ["one shadow model for each target: attacks learn from little; --shadows 5 is usual"]


def test_what_is_failed_missing_or_collapsed(make_results):
    results = make_results(
        {},
        {"defense": "crl", "accuracy": None, "auc": {"entropy": None}, "failure": "log\ntraining diverged in epoch 3"},
        {"defense": "dmp", "auc": {"entropy": None}},
        {"defense": "advreg", "auc": {"entropy": "no gradient"}},
        {"defense": "memguard", "auc": {"entropy": (0.9, 0.9, None)}},
        {"defense": "dp-sgd", "accuracy": 0.25},
        runs=3,
    )
    assert warned(results) == [
        "failed in mlp crl: training diverged in epoch 3",
        "missing in mlp dmp: not computed yet",
        "toy mlp memguard: 2 of 3 runs finished (entropy): not computed yet",
        "nothing was learnt in mlp dp-sgd: attacks on them say nothing",
    ]


def test_unfinished_models_of_a_pool_are_named(make_results):
    auc = {"entropy": (0.9,) * 5 + (None,)}
    assert "toy mlp ce: 5 of 6 runs finished (entropy): not computed yet" in warned(
        make_results({"auc": auc}, runs=6, pool=True)
    )


def test_many_cells_are_counted(make_results):
    cells = [{"defense": f"d{i}", "auc": {"entropy": None}} for i in range(7)]
    assert "missing in mlp d0, mlp d1, mlp d2, mlp d3, mlp d4 and 2 more: not computed yet" in warned(
        make_results(*cells)
    )


# --- what turns round where false alarms are few ---


def of_changes(results, **changes):
    """Warnings where crl's worst cases changed so, by metric, with the verdict's word."""
    made = Report(results)
    key = made.summary.lines[1].key
    evidence = made.judged.lines[key]
    new = dict(evidence.changes)
    for column in (column for column in new if isinstance(column, Column)):
        value, word = changes["auc" if column.metric == "auc" else "tpr"]
        new[column] = replace(new[column], value=value, verdict=Verdict(word, 0.0, None))
    return list(
        turned(made.summary, Judgement({**made.judged.lines, key: replace(evidence, changes=new)}, frozenset()))
    )


@pytest.fixture
def two(make_results):
    return make_results({"auc": {"nn": 0.9}}, {"defense": "crl", "auc": {"nn": 0.8}}, runs=3, records=100)


def test_less_by_auc_and_more_at_low_false_positives(two):
    assert of_changes(two, auc=(-0.03, "lower"), tpr=(0.02, "higher")) == [
        "toy, mlp crl leaks less by AUC (-3.00 points) and more at 1% false positives (+2.00 points) to all attacks: "
        "it hides most records and exposes some"
    ]


def test_what_cannot_be_shown_is_said_so(two):
    assert of_changes(two, auc=(-0.03, "not distinguishable"), tpr=(0.02, "higher")) == [
        "toy, mlp crl leaks less by AUC (-3.00 points, not distinguishable) and more at 1% false positives (+2.00 "
        "points) to all attacks: it may hide most records and expose some"
    ]


def test_what_may_be_chance_at_low_false_positives_is_one_sentence(two):
    assert of_changes(two, auc=(-0.03, "lower"), tpr=(0.02, "not distinguishable")) == [
        "less leakage by AUC, but not at 1% false positives, where what there is more is not distinguishable from "
        "chance, in mlp crl: most records may be hidden and some exposed"
    ]


@pytest.mark.parametrize(("auc", "tpr"), [(-0.03, -0.02), (0.03, 0.02), (0.03, -0.02), (0.0, 0.02), (-0.03, 0.0)])
def test_nothing_else_is_a_turn(two, auc, tpr):
    assert of_changes(two, auc=(auc, "lower"), tpr=(tpr, "higher")) == []


# --- published values ---

CRL = "published value outside the spread: cifar10 resnet18 crl alpha_rce=1"
OUTSIDE = [
    f"{CRL}, test acc.: published 71.53 (±0.50), measured 54.17 (±1.44)",
    f"{CRL}, train acc.: published 86.73 (±1.25), measured 100.00 (±0.00)",
    f"{CRL}, m-entropy: published 65.15 (±1.90), measured 70.83 (±1.44)",
    "published value outside the spread: 3 of 8 compared (about 1 in 20 would be so by chance); side by side: "
    "miabench report --compare uai24",
]


def about_published(results, metric="auc"):
    return [said for said in warned(results, metric=metric) if "published" in said or "schedule" in said]


def test_published_values_outside_the_spread(unlike):
    results = of_preset(unlike)
    assert about_published(results) == OUTSIDE
    page = Report(results).text("html")
    warnings = page.partition('<section id="warnings"')[2].partition("</section>")[0]
    warnings = warnings.replace('<span class="option">--compare</span>', "--compare")
    assert "\n".join(f"<li>{html.escape(said)}</li>" for said in OUTSIDE) in warnings


def test_another_schedule_is_said_beside_them(unlike):
    schedule = load_experiment("uai24/table1a-resnet18").schedule.model_copy(update={"epochs": 7})
    assert about_published(of_preset(unlike, schedule=schedule)) == [
        *OUTSIDE,
        "the schedule is not the paper's for resnet18 on cifar10 (preset uai24/table1a-resnet18): epochs",
    ]


def test_a_scaled_experiment_is_not_compared(unlike):
    assert about_published(of_preset(unlike, scale=0.5)) == []


@pytest.mark.parametrize("dataset", ["images path=cifar10-jpeg.tar.xz", "cifar10 records=0.5", "digits"])
def test_other_data_is_not_compared_and_the_papers_beside_it_is(make_results, dataset):
    cells = [{"dataset": data, "model": "resnet18", "accuracy": 0.5} for data in (dataset, "cifar10")]
    results = of_preset(make_results(*cells, runs=3), name="uai24/table1a-resnet18")
    *values, count = about_published(results)
    assert ": 2 of 3 compared (" in count  # train accuracy is the paper's
    assert all(said.startswith(f"{CRL.partition(':')[0]}: cifar10 resnet18 ce, ") for said in values)


def test_one_run_or_another_attacker_makes_no_claim(make_results):
    one = make_results(TABLE1A | {"accuracy": 0.5}, runs=1)
    assert about_published(of_preset(one)) == []
    other = make_results(TABLE1A | {"accuracy": 0.5, "defense": "crl"}, runs=3, attackers=("non-adaptive",))
    assert about_published(of_preset(other)) == []


def test_another_metric_is_not_the_papers_auc(unlike):
    *values, count = about_published(of_preset(unlike), metric="balanced_accuracy")
    assert values == OUTSIDE[:2]
    assert ": 2 of 4 compared (" in count


def test_of_many_the_largest_are_named(make_results):
    cells = [TABLE1A | {"defense": "crl", "params": {"alpha_rce": i}, "accuracy": i / 40} for i in range(8, 15)]
    results = of_preset(make_results(*cells, runs=3, records=40))
    *named, count = about_published(results)
    assert [name.partition("=")[2].partition(":")[0] for name in named] == [f"{i}, test acc." for i in range(8, 13)]
    assert ": 21 of 21 compared (" in count


@pytest.mark.parametrize(("measured", "apart"), [(0.99996, False), (1.00004, False), (0.9999, True)])
def test_the_rounding_of_a_published_value_is_no_difference(measured, apart):
    cell = PaperCell("cifar10", "resnet18", "ce")
    assert deviates(Deviation(None, cell, "train_accuracy", Moments(1.0, 0.0, 5), Moments(measured, 0.0, 5))) == apart


def test_the_spread_is_that_of_the_runs(make_results):
    """Both are about 6 points above 70.31 (±0.33): of two runs that differ by 2.5 the interval is 31 points wide."""
    cells = [TABLE1A | {"accuracy": (0.75, 0.775)}, TABLE1A | {"params": {"lr": 1}, "accuracy": 0.775}]
    found = deviations(summarize(of_preset(make_results(*cells))))
    tested = [value for value in found.values if value.quantity == "test_accuracy"]
    assert [value.line.cell.label for value in tested] == ["ce lr=1"]
