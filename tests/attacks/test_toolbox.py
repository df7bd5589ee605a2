"""What attacks by the Adversarial Robustness Toolbox share."""

from types import SimpleNamespace

import pytest
import torch

from miabench import Data, create_attack

pytest.importorskip("art", reason="needs the extra: pip install 'miabench[boundary]'")


@pytest.mark.parametrize("name", ["boundary", "adversarial-distance"])
def test_tokens_and_a_missing_toolbox_are_not_supported(monkeypatch, name):
    attack = create_attack(name)
    tokens = Data(torch.zeros(4, 7, dtype=torch.int64), torch.arange(4) % 2, ("a", "b"))
    reals = Data(torch.zeros(4, 7), torch.arange(4) % 2, ("a", "b"))
    assert "integer tokens" in attack.unsupported("pool", tokens, SimpleNamespace())
    assert attack.unsupported("pool", reals, SimpleNamespace()) is None
    monkeypatch.setattr("miabench.attacks._toolbox.find_spec", lambda name: None)
    assert "pip install 'miabench[boundary]'" in attack.unsupported("pool", reals, SimpleNamespace())
