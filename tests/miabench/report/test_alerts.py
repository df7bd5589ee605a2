"""What a reader is warned of."""

from miabench.report.alerts import alerts
from miabench.report.summary import summarize


def test_few_runs_and_the_index_s_warnings(make_results):
    assert list(alerts(summarize(make_results({}, runs=1, warnings=("alpha is low",))))) == [
        "one training per cell: too few to tell a defense from luck; --runs 5 is usual",
        "alpha is low",
    ]
    assert next(alerts(summarize(make_results({"dataset": "b"}, runs=2)))).startswith("2 trainings per cell: too few")
    assert list(alerts(summarize(make_results({"dataset": "c"}, runs=3)))) == []


def test_one_shadow_model(make_results):
    results = make_results({}, runs=3)
    experiment = results.index.experiment.model_copy(update={"shadows": 1})
    results = type(results)(results.index.model_copy(update={"experiment": experiment}), results.store)
    assert list(alerts(summarize(results))) == [
        "one shadow model for each target: attacks learn from little; --shadows 5 is usual"
    ]


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
    assert list(alerts(summarize(results))) == [
        "failed in mlp crl: training diverged in epoch 3",
        "missing in mlp dmp: not computed yet",
        "toy mlp memguard: 2 of 3 runs finished (entropy): not computed yet",
        "test accuracy is at chance in mlp dp-sgd: attacks on them say nothing",
    ]


def test_many_cells_are_counted(make_results):
    cells = [{"defense": f"d{i}", "auc": {"entropy": None}} for i in range(7)]
    assert "missing in mlp d0, mlp d1, mlp d2, mlp d3, mlp d4 and 2 more: not computed yet" in list(
        alerts(summarize(make_results(*cells)))
    )
