"""Threads by the work of a step."""

import pytest

from dsn_lab.nn import DSN
from dsn_lab.run import preparation


@pytest.mark.parametrize(
    ("channels", "time", "batch", "all_cores"),
    [(1, 24, 6, False), (1, 150, 5, False), (1, 96, 10, False), (9, 128, 16, True)],
)
def test_small_steps_take_one_thread(
    channels: int, time: int, batch: int, all_cores: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "CORES", 7)
    threads = preparation.threads_for(DSN(channels, 2), (batch, channels, time))
    assert threads == (7 if all_cores else 1)
