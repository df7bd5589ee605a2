"""What `miabench new` writes works as it is."""

import re

import pytest

import miabench
from miabench import new
from miabench.plugins.discover import discover

USE = {
    "defense": {"defense": ["ce", "my-own"]},
    "attack": {"attacks": ["my-own"]},
    "dataset": {"dataset": "my-own"},
    "model": {"model": "my-own"},
}


@pytest.mark.parametrize("kind", USE)
def test_a_new_runs_to_a_row(kind, tmp_path, tiny):
    path = new(kind, "my-own", tmp_path)
    assert path == tmp_path / "my_own.py"
    found = discover([path]).get(kind, "my-own")
    assert found.load().__name__ == "MyOwn"
    table = miabench.run(tiny(**USE[kind]), plugins=[path], store=tmp_path / "store", executor="inline")
    assert table[table.metric == "auc"].value.notna().all()
    assert any((table[column] == "my-own").any() for column in ("defense", "attack", "dataset", "model"))


def test_nothing_is_overwritten(tmp_path):
    new("defense", "mine", tmp_path)
    with pytest.raises(miabench.UserError, match=r"mine.py exists; choose another name or remove it"):
        new("attack", "mine", tmp_path)


@pytest.mark.parametrize("name", ["crl", "label_smoothing"])
def test_names_of_what_there_is(name, tmp_path):
    with pytest.raises(miabench.UserError, match=f"there is a defense '{name}' already; choose another name"):
        new("defense", name, tmp_path)
    assert new("attack", name, tmp_path).exists()


@pytest.mark.parametrize("kind", USE)
def test_what_a_new_file_says_of_itself(kind, tmp_path):
    text = new(kind, "my-own", tmp_path).read_text()
    (command,) = re.findall(r"`miabench (list .*?)`", text)
    assert command == f"list {kind}s my-own --plugin my_own.py"
    assert "$" not in text


@pytest.mark.parametrize("name", ["1st", "a b", "../up", "Ä", ""])
def test_names_that_cannot_be(name, tmp_path):
    with pytest.raises(miabench.UserError, match="cannot be a plugin's name"):
        new("defense", name, tmp_path)
