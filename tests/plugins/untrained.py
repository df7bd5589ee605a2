"""A defense that trains nothing: no attack can tell its members."""

from miabench import Defense


class Untrained(Defense, frozen=True):
    """The initial weights."""

    def fit(self, task):
        return task.net()
