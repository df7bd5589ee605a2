"""Names of metrics, in the order in which they are shown, and what they need."""

import pytest

from miabench.metrics import names

IN_ORDER = (
    *("auc", "balanced_accuracy", "balanced_accuracy_global", "tpr@10%", "tpr@1%", "tpr@0.1%", "tpr@0.01%", "tnr@1%"),
    *("calibrated_tpr@1%", "calibrated_fpr@1%", "calibrated_tpr@0.1%", "calibrated_fpr@0.1%"),
    *("ppv@1%:prior=1%", "ppv@1%:prior=10%", "ppv@0.1%:prior=1%", "ppv@0.1%:prior=10%", "advantage", "far"),
)


def test_metrics_have_the_names_and_the_order_that_are_promised():
    assert names.ATTACK_METRICS == IN_ORDER
    assert names.ACCURACIES == ("train_accuracy", "test_accuracy")


@pytest.mark.parametrize(
    ("name", "records", "kind", "of"),
    [
        ("tpr@10%", 10, "non-members", "target"),
        ("tpr@0.01%", 10_000, "non-members", "target"),
        ("tnr@1%", 100, "members", "target"),
        ("calibrated_fpr@0.1%", 1000, "non-members", "shadows"),
        ("ppv@1%:prior=10%", 100, "non-members", "shadows"),
    ],
)
def test_metrics_need_as_many_records_as_allow_one_error(name, records, kind, of):
    assert names.NEEDS[name] == (records, kind, of)


def test_metrics_without_a_rate_need_no_number_of_records():
    assert set(IN_ORDER) - set(names.NEEDS) == {
        "auc",
        "balanced_accuracy",
        "balanced_accuracy_global",
        "advantage",
        "far",
    }


def test_rates_are_fractions():
    assert names.FPRS == {"tpr@10%": 0.1, "tpr@1%": 0.01, "tpr@0.1%": 0.001, "tpr@0.01%": 0.0001}
    assert names.FNRS == {"tnr@1%": 0.01}
    assert names.CALIBRATED["calibrated_tpr@0.1%"] == ("tpr", 0.001, None)
    assert names.CALIBRATED["ppv@1%:prior=10%"] == ("ppv", 0.01, 0.1)


def test_hyphens_and_underscores_are_alike():
    assert names.find_metric("balanced-accuracy-global") == "balanced_accuracy_global"
    assert names.find_metric("calibrated-fpr@0.1%") == "calibrated_fpr@0.1%"
    assert names.find_metric("test_accuracy") is None
