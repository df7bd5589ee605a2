"""Names and reasons of a stranger's store are short and without control characters, wherever a report shows them."""

import html
import json

import pytest

from miabench.errors import LONGEST_PROBLEM
from miabench.files.checksum import checksum
from miabench.files.json import sealed
from miabench.reports.write import FORMS, Report

EVIL = "\x1b[2J\x07\u202eevil"
LONG = f"{EVIL}{'z' * 10**6}\n{EVIL}, at last"


@pytest.fixture
def report(make_results):
    """Of cells whose reasons, names, parameters and metrics are a stranger's."""
    results = make_results(
        {"auc": {"a": 0.9, EVIL: 0.8}},
        {"defense": "crl", "params": {"x": EVIL}, "auc": {"a": None}, "failure": LONG},
        {"defense": EVIL, "reason": LONG},
        runs=1,
        notes=(LONG,),
        warnings=(LONG,),
    )
    (path, *_) = sorted(results.store.folder.glob("metrics/*/rows.json"))
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([{**row, "value": None, "reason": LONG} for row in rows]))
    about = path.with_name("manifest.json")
    content = json.loads(about.read_bytes())
    content.pop("sha256")
    content["files"]["rows.json"] = checksum(path)
    about.write_bytes(sealed(json.dumps(content).encode()))
    return Report(results)


@pytest.mark.parametrize("form", ["table", *FORMS])
def test_every_form_is_bounded_and_free_of_control_characters(report, form):
    text = report.text(form)
    assert [char for char in html.unescape(text) if not (char.isprintable() or char == "\n")] == []
    assert "evil" in text
    assert "zzz" in text
    assert "at last" in text, "what to do stands at the end"
    assert "z" * LONGEST_PROBLEM not in text
