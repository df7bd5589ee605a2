"""A defense that fails in shadow models only."""

from miabench import Defense
from miabench.training.loop import train_with_criterion


class Raises(Defense, frozen=True):
    """Trains targets like CE."""

    def fit(self, task):
        from miabench import create_defense

        if task.generator("luck").initial_seed() % 2:
            print("about to fail")
            raise RuntimeError("shadow models are beyond me")
        return train_with_criterion(task, create_defense("ce").criterion)
