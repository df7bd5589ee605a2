"""A file as people have it, from the file to an answer with one command."""

import json
import re

import numpy as np
import pytest


@pytest.fixture
def command(tmp_path, monkeypatch, run_command):
    """Run `miabench ...` in this process; gives status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    return run_command


def german(value):
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.fixture
def customers(tmp_path):
    """Semicolons, decimal commas, row numbers, categories, gaps, a quoted line end, and a label in words."""
    rng = np.random.default_rng(0)
    rows = [";age;income;job;note;churn"]
    for i in range(400):
        age, income, job = rng.integers(18, 80), rng.lognormal(10, 0.5), rng.choice(["clerk", "engineer", "retired"])
        label = "stays" if 0.1 * (age - 48) + 2 * (job == "engineer") + rng.logistic() * 0.3 > 0.5 else "leaves"
        cells = ["" if rng.random() < 0.1 else age, "NA" if rng.random() < 0.1 else german(income)]
        rows.append(";".join(map(str, [i, *cells, job if rng.random() < 0.9 else "?", '"two\nlines"', label])))
    (tmp_path / "customers.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    return "--dataset", "table", "--set", "table.path=customers.csv", "--set", "table.label=churn"


SMALL = (
    "--defense", "ce", "--attack", "entropy", "--set", "models=6", "--shadows", "2", "--epochs", "15", "--set",
    "schedule.lr=0.05", "--executor", "inline", "--data-root", "root",
)  # fmt: skip


@pytest.mark.slow
def test_from_file_to_answer_with_one_command(command, customers):
    code, out, err = command("run", *customers, *SMALL)
    assert code == 0, err
    assert "entropy" in out
    said = re.sub(r"\(\d\d\)", "(n)", " ".join(out.split()))
    assert (
        "8 inputs from 3 of 5 columns; left out: column 1 (row numbers), note (always the same); missing, set to the "
        "median and marked by an input: age (n), income (n); read with decimal commas: income; categories (an input "
        "each): job (3); missing, an input of their own: job (n)"
    ) in said
    rows = json.loads(command("report", *customers, *SMALL[:-4], "--format", "json")[1])["rows"]
    accuracies = [row["value"] for row in rows if row["metric"] == "test_accuracy"]
    assert len(accuracies) == 6
    assert min(accuracies) > 0.7  # the larger class has 55%


@pytest.mark.slow
def test_what_was_done_stands_in_every_report(command, customers):
    command("run", *customers, *SMALL)
    for form in ("table", "markdown", "latex", "html"):
        code, out, _ = command("report", *customers, *SMALL[:-4], "--format", form)
        assert (code, "8 inputs from 3 of 5 columns; left out: column 1" in " ".join(out.split())) == (0, True), form


def test_a_column_that_is_no_feature_is_refused_with_the_way_on(command, customers, tmp_path):
    lines = (tmp_path / "customers.csv").read_text(encoding="utf-8-sig").replace('"two\nlines"', "-").splitlines()
    named = [f"{'customer' if i == 0 else f'C{i:05}'};{line}" for i, line in enumerate(lines)]
    (tmp_path / "customers.csv").write_text("\n".join(named))
    code, _, err = command("run", *customers, *SMALL)
    assert code == 2
    assert "column 'customer': 400 different texts ('C00001', 'C00002', 'C00003', ...); at most 100" in err
    assert 'drop = ["customer"]' in err
    assert command("run", *customers, *SMALL, "--set", "table.drop=customer", "--dry-run")[0] == 0
