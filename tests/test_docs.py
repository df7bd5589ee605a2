"""What the guides show works as it is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import miabench

ROOT = Path(__file__).parents[1]


def whole_files(guide: str) -> dict[str, str]:
    """A guide's examples that are whole files, by name."""
    return dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (ROOT / "docs" / guide).read_text(), re.S))


EXAMPLES = whole_files("write-a-defense.md")
ATTACKS = whole_files("write-an-attack.md")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_worked_example_runs_to_a_row(name, tmp_path, tiny):
    path = tmp_path / name
    path.write_text(EXAMPLES[name])
    defense = path.stem.replace("_", "-")
    experiment = tiny(defense=["ce", defense], attacks=["margin", "grad-x"])
    table = miabench.run(experiment, plugins=[path], store=tmp_path / "store", executor="inline")
    rows = table[(table.defense == defense) & table.metric.isin(["auc", "test_accuracy"])]
    assert len(rows) == 3
    assert rows.value.notna().all()


def test_all_ways_are_shown():
    assert len(EXAMPLES) == 3
    assert len(ATTACKS) == 5


@pytest.mark.parametrize("name", ATTACKS)
def test_a_worked_attack_runs_to_a_row(name, tmp_path, tiny):
    """Also where some records lack a reference: a shadow's are the other shadows."""
    path = tmp_path / name
    path.write_text(ATTACKS[name])
    attack = path.stem.replace("_", "-")
    experiment = tiny(attacks=[attack], shadows=4)
    table = miabench.run(experiment, plugins=[path], store=tmp_path / "store", executor="inline")
    rows = table[(table.attack == attack) & table.metric.isin(["auc"])]
    assert rows.value.notna().all()
    assert rows.value.iloc[0] > 0.5


def test_the_attack_with_references_runs_in_a_pool(tmp_path, tiny):
    path = tmp_path / "harder_than_others.py"
    path.write_text(ATTACKS[path.name])
    experiment = {key: value for key, value in tiny(attacks=["harder-than-others"]).items() if key != "runs"}
    experiment |= {"protocol": "pool", "models": 6, "shadows": 4}
    table = miabench.run(experiment, plugins=[path], store=tmp_path / "store", executor="inline")
    assert table[table.metric == "auc"].value.notna().all()


def test_mixup_as_the_guide_writes_it(tmp_path, tiny):
    text = (ROOT / "docs" / "write-a-defense.md").read_text()
    (mixup,) = re.findall(r"```python\n(class Mixup.*?)```", text, re.S)
    imports = "import torch\nfrom torch.nn import functional as F\nfrom miabench import Defense\n\n\n"
    (tmp_path / "mixup.py").write_text(imports + mixup)
    experiment = tiny(defense=["ce", "mixup"])
    table = miabench.run(experiment, plugins=[tmp_path / "mixup.py"], store=tmp_path / "store", executor="inline")
    accuracy = table[table.metric == "train_accuracy"].set_index("defense").value
    assert accuracy.notna().all()
    assert accuracy["mixup"] != accuracy["ce"]


def test_the_readmes_defense_and_experiment(tmp_path, tiny):
    text = (ROOT / "README.md").read_text()
    path = tmp_path / "mine.py"
    (defense,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "Defense, frozen" in code]
    path.write_text(defense)
    table = miabench.run(tiny(defense=["mine"]), plugins=[path], store=tmp_path / "store", executor="inline")
    assert table[table.metric == "auc"].value.notna().all()
    (experiment,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (tmp_path / "location30.toml").write_text(experiment)
    from miabench.experiment.load import load_experiment

    assert load_experiment(tmp_path / "location30.toml").shadows == 5


@cache
def texts():
    """Every text that the package may print, with a NUL for what varies in it; docstrings are none."""
    found, mute = [], []
    for folder in ("miabench", "attacks", "defenses"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    mute.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in mute:
                    found.append(node.value)
    return found


def is_printed(message):
    """Whether one text has all fixed parts of a message in this order, and something that varies between them."""
    form = "(?s)" + ".+".join(map(re.escape, message.split("...")[1 if message.startswith("...") else 0 :]))
    return any(re.search(form.removesuffix(".+"), text) for text in texts())


TROUBLES = [
    message
    for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    if line.startswith("| `")
    for message in re.findall("`([^`]+)`", line.split(" | ")[0])
]


@pytest.mark.parametrize("message", TROUBLES)
def test_a_message_of_the_troubleshooting_page_is_printed(message):
    assert is_printed(message)


def test_a_message_that_nothing_prints_is_seen():
    assert len(TROUBLES) > 30
    assert not is_printed("logits of ... records are not finite")
    assert not is_printed("there is no network here")
