"""Writing TOML: what is written reads back as it was."""

import tomllib

from miabench.files.toml import toml_text


def test_toml_reads_back():
    table = {
        "quoted": 'a "b" \\ c\nd é \x7f',
        "number": 1e-05,
        "whole": 3,
        "yes": True,
        "list": [1, 2.5, "x"],
        "empty": [],
        "table": {"20": 0.005, "two words": {"inner": [{"a": 1}]}},
        "tables": [{"name": "x"}, {"name": "y", "list": [0.1]}],
    }
    assert tomllib.loads(toml_text({**table, "nothing": None})) == table
