"""Writes the catalogue of built-in plugins: `python -m miabench.plugins.make_catalogue`."""

from __future__ import annotations

import json

from miabench.plugins.catalogue import FILE
from miabench.plugins.describe import describe_class
from miabench.plugins.discover import KINDS, discover


def made() -> str:
    """The catalogue's text, from the classes."""
    index = discover()
    built_in = {
        kind: {one.name: describe_class(one.load()) for one in index.all(kind) if one.source == "built-in"}
        for kind in KINDS
    }
    return json.dumps(built_in, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
