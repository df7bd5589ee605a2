"""The catalogue of built-in plugins: current, and judging parameters as the classes do."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from miabench.plugins.catalogue import FILE, catalogue, form_of
from miabench.plugins.check import check
from miabench.plugins.discover import KINDS, discover
from miabench.plugins.make_catalogue import made

BUILT_IN = [found for kind in KINDS for found in discover().all(kind) if found.source == "built-in"]
VALUES: tuple[Any, ...] = (
    None,
    True,
    "x",
    "1",
    -1,
    0,
    1,
    2,
    3,
    0.5,
    1.5,
    -0.5,
    1e9,
    math.nan,
    [],
    [1],
    ["x"],
    {},
    {"x": 1},
)


def test_it_is_current():
    assert FILE.read_text(encoding="utf-8") == made(), "run: python -m miabench.plugins.make_catalogue"


def findings(cls, params, of):
    """What is wrong with parameters, as users read it; of classes, without what validators say."""
    try:
        cls(**params)
    except ValidationError as error:
        return {of.problem(cls, item) for item in error.errors() if item["type"] != "value_error"}
    return set()


def validated(found):
    return {one["name"] for one in catalogue()[found.kind][found.name]["parameters"] if one["validated"]}


@pytest.mark.parametrize("found", BUILT_IN, ids=lambda found: f"{found.kind}-{found.name}")
def test_parameters_are_judged_as_the_class_does(found):
    cls, form = found.load(), form_of(found.kind, found.name)
    assert list(form.model_fields).sort() == list(cls.model_fields).sort()
    required = {name: "x" for name, field in cls.model_fields.items() if field.is_required()}
    for name in cls.model_fields.keys() - validated(found):
        for value in VALUES:
            params = {**required, name: value}
            assert findings(form, params, found) == findings(cls, params, found), (name, value)
    assert findings(form, {**required, "no_such": 1}, found) == findings(cls, {**required, "no_such": 1}, found)
    assert findings(form, {}, found) == findings(cls, {}, found)


def test_what_only_a_validator_can_judge_is_left_to_the_class():
    records = next(found for found in BUILT_IN if found.name == "digits")
    check(records, {"records": "many"})
    with pytest.raises(Exception, match="many"):
        records.build({"records": "many"})
