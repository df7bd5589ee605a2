"""The draws of the crossed bootstrap; what is made of them is tested where bands are drawn."""

import numpy as np
import pytest

from miabench.metrics import bootstrap


def test_records_are_drawn_within_their_kind():
    members = np.random.default_rng(0).random(50) < 0.3
    (drawn,) = bootstrap.record_draws(members, 400, seed=0)
    assert drawn.shape == (50, 400)
    assert (drawn[members].sum(0) == members.sum()).all()
    assert (drawn[~members].sum(0) == (~members).sum()).all()
    assert drawn.mean(1) == pytest.approx(np.ones(50), abs=0.2)
    assert drawn.var() == pytest.approx(1, abs=0.1)  # about Poisson


def test_draws_do_not_depend_on_the_chunks(monkeypatch):
    members = np.arange(30) < 12
    at_once = np.concatenate(list(bootstrap.record_draws(members, 20, seed=3)), axis=1)
    monkeypatch.setattr(bootstrap, "CHUNK", 30 * 7)
    chunks = list(bootstrap.record_draws(members, 20, seed=3))
    assert [chunk.shape[1] for chunk in chunks] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), at_once)


def test_draws_that_are_kept_are_those_that_are_not(monkeypatch):
    members = np.arange(30) < 12
    (kept,) = bootstrap.record_draws(members, 20, seed=3)
    assert next(bootstrap.record_draws(members, 20, seed=3)).base is kept.base
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1
    monkeypatch.setattr(bootstrap, "MOST_KEPT", 30 * 20 - 1)
    (fresh,) = bootstrap.record_draws(members, 20, seed=3)
    np.testing.assert_array_equal(fresh, kept)


def test_another_seed_draws_other_records():
    members = np.arange(30) < 12
    (one,), (same,), (other,) = (bootstrap.record_draws(members, 20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_fewer_replicates_are_the_first_of_more():
    members = np.arange(30) < 12
    (few,), (many,) = (bootstrap.record_draws(members, replicates, seed=3) for replicates in (10, 30))
    np.testing.assert_array_equal(few, many[:, :10])


def test_runs_are_drawn_with_replacement():
    shares = bootstrap.run_shares(5, 2000, seed=0)
    assert shares.sum(1) == pytest.approx(np.ones(2000))
    assert shares.mean(0) == pytest.approx(np.full(5, 0.2), abs=0.02)
    assert shares.var(0) == pytest.approx(np.full(5, 0.2 * 0.8 / 5), rel=0.15)
    assert (bootstrap.run_shares(1, 10, seed=0) == 1).all()
    assert (bootstrap.run_shares(5, 2000, seed=1) != shares).any()
