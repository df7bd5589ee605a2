"""Evaluating criteria on the golden inputs."""

import pytest
import torch


@pytest.fixture(scope="session")
def evaluate():
    """Loss of a criterion on one case's inputs, and logits and features with their gradients."""

    def evaluate(criterion, arrays, case, epoch=1):
        inputs = case["inputs"]
        logits = torch.tensor(arrays[f"{inputs}.logits"], requires_grad=True)
        features = torch.tensor(arrays[f"{inputs}.features"], requires_grad=True)
        criterion = criterion.double()
        if f"{inputs}.centers" in arrays and hasattr(criterion, "centers"):
            criterion.centers.data = torch.tensor(arrays[f"{inputs}.centers"])
        loss = criterion(logits, features, torch.tensor(arrays[f"{inputs}.labels"]), epoch)
        loss.backward()
        return loss.item(), logits, features

    return evaluate
