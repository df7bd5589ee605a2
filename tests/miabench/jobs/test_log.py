"""Of what a job prints, the beginning and the end are kept, in little memory."""

import tracemalloc

from miabench.jobs.log import ENDS, Log, cut


def printed(*texts):
    log = Log()
    for text in texts:
        print(text, end="", file=log)
    return log.kept()


def test_a_log_of_ordinary_length_is_kept_as_it_is():
    texts = [f"line {i}: ä\n" for i in range(2 * ENDS // 20)]
    assert printed(*texts) == "".join(texts)


def test_of_a_long_one_both_ends_are_kept_and_the_gap_is_told():
    text = "".join(f"{i:>9}\n" for i in range(ENDS))
    whole, pieces = cut(text), printed(*text.splitlines(keepends=True))
    assert whole == pieces
    gap = f"\n... ({len(text) - 2 * ENDS:,} characters left out) ...\n"
    assert whole == text[:ENDS] + gap + text[-ENDS:]


def test_a_plugin_that_prints_without_end_fills_no_memory():
    log, line = Log(), "x" * 999 + "\n"
    tracemalloc.start()
    for _ in range(50_000):
        log.write(line)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20
    assert "(49,900,000 characters left out)" in log.kept()
