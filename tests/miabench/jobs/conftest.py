"""What the tests of jobs share."""

import pytest


@pytest.fixture
def endless(tmp_path, tiny):
    """An experiment whose trainings take days, and where they write their epochs."""
    log = tmp_path / "epochs"
    schedule = {"epochs": 10**6, "batch_size": 16}
    return tiny(defense=[{"name": "slow", "log": str(log)}], shadows=1, schedule=schedule, more_plugins=["slow"]), log
