"""At the end of a run nothing is left of jobs that are done, and all of jobs that are not."""

import time

from miabench.jobs.notes import Note
from miabench.jobs.tidying import tidy
from miabench.store.store import Store

DONE, MISSING, HELD = "a" * 32, "b" * 32, "c" * 32


def test_what_a_killed_process_left_of_a_done_job_goes(tmp_path):
    store = Store(tmp_path)
    for key in (DONE, MISSING):
        (store.room("locks") / f"{key}.lock").touch()
        (store.room("checkpoints") / f"{key}-{'0' * 32}").mkdir()
        note(store, key, host="elsewhere", renewed=0)
    with store.lock(HELD):
        note(store, HELD, host="elsewhere", renewed=0)
        tidy(store, {DONE})
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == [f"checkpoints/{MISSING}-{'0' * 32}", f"locks/{HELD}.lock", f"running/{HELD}.json"]


def test_a_job_of_another_machine_keeps_its_note(tmp_path):
    store = Store(tmp_path)
    path = note(store, MISSING, host="elsewhere", renewed=time.time())
    tidy(store, set())
    assert path.exists()


def note(store, key, **about):
    path = store.room("running") / f"{key}.json"
    path.write_text(Note(pid=1, began=0, **about).model_dump_json())
    return path
