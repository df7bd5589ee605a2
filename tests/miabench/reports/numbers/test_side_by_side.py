"""Published and measured numbers side by side: the data, the interval, and what is refused."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from miabench.errors import UserError
from miabench.experiment.load import load_experiment
from miabench.experiment.remarks import remarks
from miabench.reports.numbers.published import TABLES, Moments, PaperCell, paper
from miabench.reports.numbers.side_by_side import side_by_side, welch
from miabench.reports.numbers.summary import summarize
from miabench.reports.tables.published_table import show
from miabench.reports.tables.terminal_layout import open_console
from miabench.results.results import Results

TABLE1A = {"dataset": "cifar10", "model": "resnet18"}


def changed(results, **update):
    """The same results of an experiment with other settings."""
    experiment = results.index.experiment.model_copy(update=update)
    return Results(results.index.model_copy(update={"experiment": experiment}), results.store)


def compare(results, anyway=False):
    return side_by_side(summarize(results), anyway)


def text(results, anyway=False, width=120):
    console = open_console(io.StringIO())
    console.width = width
    summary = summarize(results)
    show(console, side_by_side(summary, anyway))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def refusal(results):
    with pytest.raises(UserError) as caught:
        compare(results)
    return "\n".join(caught.value.problems)


def rows(printed):
    """Fields of each line that has two or more."""
    split = ([field.strip() for field in line.split("  ") if field.strip()] for line in printed.splitlines())
    return [row for row in split if len(row) > 1]


# --- the data ---


def test_the_tables_are_the_papers(shared_data):
    """Every number of the shared transcription, in its order, under our names."""
    names = {
        "train_acc": "train_accuracy",
        "test_acc": "test_accuracy",
        "m_entropy": "m-entropy",
        "grad_x_l2": "grad-x",
    }
    with TABLES.open() as ours, (shared_data.parent / "paper/published_results.csv").open() as theirs:
        for own, their in zip(csv.DictReader(ours), csv.DictReader(theirs), strict=True):
            assert (own["dataset"], own["model"]) == (their["dataset"], their["model"].lower())
            assert (own["defense"], own["quantity"]) == (
                their["defense"].lower(),
                names.get(their["quantity"], their["quantity"]),
            )
            assert (own["mean_percent"], own["std_percent"]) == (their["mean_percent"], their["std_percent"])


def test_cells_of_the_paper_by_hand():
    tables = paper()
    line = tables[PaperCell("cifar10", "resnet18", "crl")]
    assert line.table == "Table 1a"
    assert line.values["test_accuracy"] == pytest.approx((0.7153, 0.0050, 5))
    assert line.values["grad-x"] == pytest.approx((0.6534, 0.0166, 5))
    assert tables[PaperCell("svhn", "vgg11", "ce")].values["nn"] == pytest.approx((0.5309, 0.0002, 5))
    assert tables[PaperCell("arxiv10", "han", "advreg")].values["m-entropy"] == pytest.approx((0.5488, 0.0029, 5))
    assert tables[PaperCell("cifar100", "densenet121", "ce")].values["grad-x"] is None
    assert {line.table for line in tables.values()} == {"Table 1a", "Table 1b", "Table 1c", "Table 3"}
    assert len(tables) == 36  # 4 defenses in 9 tables' parts


def test_every_name_is_one_of_ours():
    """Each cell is that of a preset, with the attacks that the paper reports."""
    for cell, line in paper().items():
        table = line.table.replace("Table ", "table") + ("" if cell.model == "han" else f"-{cell.model}")
        experiment = load_experiment(f"uai24/{table}")
        assert (experiment.dataset[0].name, experiment.model[0].name) == (cell.dataset, cell.model)
        assert cell.defense in {choice.name for choice in experiment.defense}
        attacks = [choice.name for choice in experiment.attacks]
        accuracies = [] if cell.model == "han" else ["train_accuracy", "test_accuracy"]
        assert list(line.values) == [*accuracies, *attacks]


# --- the interval ---


def data_with(mean, std, n, seed):
    """Numbers that have exactly these moments."""
    x = np.random.default_rng(seed).normal(size=n)
    return mean + std * (x - x.mean()) / x.std(ddof=1)


@pytest.mark.parametrize(
    ("published", "measured"),
    [
        (Moments(0.7646, 0.0030, 5), Moments(0.7512, 0.0071, 5)),
        (Moments(0.6121, 0.05, 5), Moments(0.6633, 0.0002, 3)),
        (Moments(0.5, 0.01, 5), Moments(0.6, 0.02, 2)),
    ],
)
def test_the_interval_is_welchs(published, measured):
    raw = [data_with(*side, seed) for seed, side in enumerate((published, measured))]
    expected = stats.ttest_ind(raw[1], raw[0], equal_var=False).confidence_interval(0.95)
    found = welch(published, measured)
    assert found == pytest.approx((measured.mean - published.mean, *expected), abs=1e-12)


def test_the_interval_by_hand():
    """Equal variances and n = 5 each: 8 degrees of freedom, t = 2.306004, se = 0.01 sqrt(2 / 5)."""
    half = 2.306004 * 0.01 * 0.4**0.5
    found = welch(Moments(0.7, 0.01, 5), Moments(0.72, 0.01, 5))
    assert found == pytest.approx((0.02, 0.02 - half, 0.02 + half), abs=1e-7)


@pytest.mark.parametrize(("published", "measured"), [(0.0, 0.01), (0.01, 0.0)])
def test_where_one_side_has_no_spread_the_interval_is_students_for_the_other(published, measured):
    n = 7 if measured else 5
    half = stats.t.ppf(0.975, n - 1) * 0.01 / n**0.5
    assert welch(Moments(1, published, 5), Moments(0.9, measured, 7)) == pytest.approx((-0.1, -0.1 - half, -0.1 + half))


def test_without_any_spread_the_interval_is_the_difference():
    assert welch(Moments(1, 0, 5), Moments(0.75, 0, 3)) == (-0.25, -0.25, -0.25)


# --- what is compared ---


def test_published_and_measured_side_by_side(make_results):
    results = make_results(
        TABLE1A | {"accuracy": (0.7, 0.75), "auc": {"entropy": 0.8, "nn": (0.9, 0.85)}},
        TABLE1A | {"defense": "crl", "accuracy": 0.7, "auc": {"entropy": 0.65, "nn": None}},
        TABLE1A | {"defense": "label-smoothing"},
    )
    found = compare(results)
    assert found.absent == ("cifar10, resnet18, label-smoothing",)
    first, second = found.compared
    assert (first.table, first.paper, first.other_data) == ("Table 1a", ("cifar10", "resnet18", "ce"), None)
    pairs = {pair.quantity: pair for pair in first.pairs}
    assert list(pairs) == ["train_accuracy", "test_accuracy", "entropy", "nn"]
    assert pairs["nn"].published == pytest.approx((0.8809, 0.0023, 5))
    assert pairs["nn"].difference == pytest.approx(0.875 - 0.8809)
    assert pairs["nn"].interval == pytest.approx(
        welch(Moments(0.8809, 0.0023, 5), Moments(0.875, np.std([0.9, 0.85], ddof=1), 2))[1:]
    )
    unfinished = second.pairs[-1]
    assert (unfinished.quantity, unfinished.difference, unfinished.interval) == ("nn", None, None)


def test_one_run_has_a_difference_and_no_interval(make_results):
    results = make_results(TABLE1A, runs=1)
    (one,) = compare(results).compared
    assert one.pairs[1].difference == pytest.approx(0.8 - 0.7031)
    assert one.pairs[1].interval is None
    assert ["test acc.", "70.31 (±0.33)", "80.00", "1", "+9.69 [one run]"] in rows(text(results))


def test_attacks_are_the_papers(make_results):
    """An NN attack under any schedule, and the l2 norm of Grad-x alone."""
    auc = dict.fromkeys(["nn schedule.lr=0.01", "grad-x", "grad-x norm=l1", "loss", "m-entropy"], 0.7)
    (one,) = compare(make_results(TABLE1A | {"auc": auc})).compared
    assert {pair.quantity: pair.published.mean for pair in one.pairs[2:]} == pytest.approx(
        {"nn schedule.lr=0.01": 0.8809, "grad-x": 0.8632, "m-entropy": 0.8644}
    )


def test_only_the_adaptive_attacker_is_the_papers(make_results):
    results = make_results(TABLE1A, attackers=("non-adaptive", "adaptive"))
    assert [one.line.attacker for one in compare(results).compared] == ["adaptive"]


def test_without_an_adaptive_attacker_nothing_is_compared(make_results):
    results = make_results(TABLE1A, attackers=("non-adaptive",))
    assert (
        refusal(results)
        == "the paper's attacker is adaptive; this experiment's is not: set attacker.shadow_defense=same"
    )


def test_unpublished_hyper_parameters_of_what_is_compared(make_results):
    found = compare(make_results(TABLE1A, TABLE1A | {"defense": "advreg", "withheld": 5}))
    assert found.unpublished == ("advreg.alpha", "advreg.reference_fraction")
    assert "crl.tau_rcl" in compare(make_results(TABLE1A | {"defense": "crl"})).unpublished


# --- like with like ---


def test_other_data_is_refused_and_called_so(make_results):
    label = "images path=cifar10-jpeg.tar.xz"
    results = changed(
        make_results({"dataset": label, "model": "vgg11"}),
        name="uai24/table1a-vgg11",
        schedule=load_experiment("uai24/table1a-vgg11").schedule,
    )
    reason = f"{label} is other data than the paper's cifar10 (images saved as JPEG are other data, whatever they show)"
    assert refusal(results) == f"{reason}; compare it with the paper's numbers all the same with --anyway"
    found = compare(results, anyway=True)
    assert (found.compared[0].other_data, found.compared[0].paper) == (label, ("cifar10", "vgg11", "ce"))
    assert found.warnings == (reason,)
    printed = text(results, anyway=True, width=160)
    assert f"Table 1a: vgg11 on cifar10, measured on other data: {label}; accuracy and AUC in percent" in printed
    assert f"warning: {reason}" in printed


@pytest.mark.parametrize("label", ["cifar10 deduplicate=True", "cifar10 records=0.5", "cifar10 augment=crop-flip"])
def test_other_settings_of_the_papers_data_are_other_data(make_results, label):
    results = make_results({"dataset": label, "model": "vgg11"})
    assert refusal(results).startswith(f"{label} is other data than the paper's cifar10; compare it")
    assert compare(results, anyway=True).compared[0].other_data == label


def test_a_scaled_experiment_is_refused_once(make_results):
    results = changed(
        make_results({"dataset": "cifar10 records=0.1", "model": "vgg11"}), name="uai24/table1a-vgg11@0.1", scale=0.1
    )
    assert refusal(results) == (
        "uai24/table1a-vgg11@0.1 is a scaled experiment (0.1 of the pool); "
        "compare it with the paper's numbers all the same with --anyway"
    )
    found = compare(results, anyway=True)
    assert found.warnings == ("uai24/table1a-vgg11@0.1 is a scaled experiment (0.1 of the pool)",)
    assert found.compared[0].other_data is None


def test_all_reasons_at_once(make_results):
    results = changed(
        make_results({"dataset": "text records=0.1 path=news.csv", "model": "han"}), name="uai24/table3@0.1", scale=0.1
    )
    assert [line.partition(";")[0] for line in refusal(results).splitlines()] == [
        "uai24/table3@0.1 is a scaled experiment (0.1 of the pool)",
        "text records=0.1 path=news.csv is other data than the paper's arxiv10",
    ]


def test_arxiv10_is_the_papers_with_glove_alone(make_results):
    han = {"model": "han", "auc": {"nn": 0.6}}
    results = make_results({"dataset": "arxiv10 path=my file.csv glove=glove.6B.50d.txt", **han})
    assert compare(results).compared[0].other_data is None
    without = make_results({"dataset": "arxiv10 path=arxiv10.csv", **han})
    assert refusal(without).startswith(
        "arxiv10 path=arxiv10.csv has random word vectors, the paper GloVe's (set arxiv10.glove); compare it"
    )
    deduplicated = make_results({"dataset": "arxiv10 deduplicate=True path=a.csv glove=g.txt", **han})
    assert "is other data than the paper's arxiv10" in refusal(deduplicated)


def test_other_data_stands_for_the_only_dataset_of_its_model(make_results):
    found = compare(make_results({"dataset": "images path=x", "model": "googlenet"}), anyway=True)
    assert found.compared[0].paper.dataset == "cifar100"


def test_other_data_that_could_stand_for_several_is_not_compared(make_results):
    expected = (
        "nothing here is in the paper's Tables 1 and 3 (the first cell: images path=x, vgg11, ce). They have "
        "cifar10 with vgg11, cifar10 with resnet18, cifar10 with densenet121, cifar100 with googlenet, "
        "cifar100 with resnet18, cifar100 with densenet121, svhn with vgg11, svhn with resnet18, arxiv10 with han, "
        "under ce, advreg, relaxloss, crl; other data is compared in an experiment made from a preset, for example: "
        "miabench run uai24/table1a-vgg11 --dataset images"
    )
    assert refusal(make_results({"dataset": "images path=x", "model": "vgg11"})) == expected


def test_a_name_that_only_looks_like_a_presets(make_results):
    results = changed(make_results({"dataset": "images path=x", "model": "vgg11"}), name="uai24/table9")
    assert refusal(results).startswith("nothing here is in the paper's")


def test_another_schedule_is_said(make_results):
    schedule = load_experiment("uai24/table1a-resnet18").schedule
    right = changed(make_results(TABLE1A), schedule=schedule)
    assert compare(right).warnings == ()
    wrong = changed(right, schedule=schedule.model_copy(update={"epochs": 7, "batch_size": 128}))
    assert compare(wrong).warnings == (
        "the schedule is not the paper's for resnet18 on cifar10 (preset uai24/table1a-resnet18): epochs, batch_size",
    )


def test_a_schedule_of_one_defense_is_said(make_results):
    schedule = load_experiment("uai24/table1a-resnet18").schedule
    results = changed(make_results(TABLE1A, {**TABLE1A, "params": {"schedule.lr": 0.2}}), schedule=schedule)
    assert compare(results).warnings == (
        "a schedule of its own, which is not the paper's: cifar10, resnet18, ce schedule.lr=0.2",
    )


# --- the text ---


def test_the_printed_table(make_results):
    results = changed(
        make_results(
            {"dataset": "cifar100", "model": "densenet121", "auc": {"entropy": (0.7, 0.8), "grad-x": 0.65}},
            {"dataset": "cifar100", "model": "densenet121", "defense": "crl", "auc": {"entropy": None}},
            notes=("a fact",),
        ),
        schedule=load_experiment("uai24/table1b-densenet121").schedule,
    )
    printed = text(results)
    lines = printed.splitlines()
    assert lines[0] == "Table 1b: densenet121 on cifar100; accuracy and AUC in percent, published and measured"
    table = rows(printed)
    assert table[0] == ["approach", "quantity", "published", "measured", "runs", "difference"]
    low, high = welch(Moments(0.7134, 0.0048, 5), Moments(0.75, np.std([0.7, 0.8], ddof=1), 2))[1:]
    interval = f"+3.66 [{100 * low:+.2f}, {100 * high:+.2f}]"
    assert ["entropy", "71.34 (±0.48)", "75.00 (±7.07)", "2", interval] in table
    assert ["grad-x", "too expensive", "65.00 (±0.00)", "2", "n/a"] in table
    assert ["entropy", "59.98 (±0.27)", "missing [1]", "0", "n/a"] in table
    assert "too expensive: the paper left Grad-x on DenseNet121 out for its cost; here it is measured" in lines
    assert "[1] not computed yet" in lines
    assert "note: a fact" in lines
    assert "not given" not in printed
    assert "crl.alpha_rce" in printed.partition("hyper-parameters that the paper does not give")[2]


def test_the_accuracies_that_table_3_lacks(make_results):
    results = make_results({"dataset": "arxiv10 path=a.csv glove=g.txt", "model": "han", "auc": {"nn": 0.6}})
    table = rows(text(results))
    assert ["test acc.", "not given", "80.00 (±0.00)", "2", "n/a"] in table
    assert "not given: the paper's table has no accuracies" in text(results)


def test_each_dataset_and_model_has_its_table(make_results):
    results = make_results(TABLE1A, {"dataset": "svhn", "model": "vgg11"})
    titles = [line for line in text(results).splitlines() if line.startswith("Table")]
    assert [title.partition(";")[0] for title in titles] == ["Table 1a: resnet18 on cifar10", "Table 1c: vgg11 on svhn"]


def test_the_command_prints_it(make_results, capsys):
    show(open_console(), compare(make_results(TABLE1A)))
    assert capsys.readouterr().out.startswith("Table 1a: resnet18 on cifar10;")


def test_what_the_comparison_says_is_not_said_twice(make_results, capsys):
    results = changed(
        make_results({**TABLE1A, "dataset": "cifar10 records=0.5", "defense": "crl"}),
        scale=0.5,
        unpublished=["crl.alpha_rce"],
    )
    notes = ["toy: a fact", *remarks(results.index.experiment)]
    noted = Results(results.index.model_copy(update={"notes": notes}), results.store)
    show(open_console(), compare(noted, anyway=True))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("crl.alpha_rce") == 1
    assert printed.count("scaled experiment") == 1
    assert "note: toy: a fact" in printed
