"""Ledgers keep records as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsn_lab.errors import UserError
from dsn_lab.records.ledger import LEDGER, Ledger, _read, _written, path_of

RECORD = {
    "dataset": "GunPoint", "model": "lite", "dst": "none", "dsp": "none", "fold": 0, "seed": 7,
    "epochs": 9, "protocol_epochs": 9, "test_accuracy": 0.5, "sha256_train": "12e4", "commit": "7",
    "unequal_length": False, "config.model.name": "lite", "config.model.widths": [[1, 2, 3]],
    "config.dsp.name": None, "config.dst.name": None, "config.dataset.name": "GunPoint",
    "config.fold": 0, "config.seed": 7, "config.optimizer.lr": 0.001,
    "config.optimizer.name": "Adam", "config.scheduler.name": "StepLR",
}  # fmt: skip
STORED = {"labels": np.array([0, 1, 1]), "probabilities": np.full((3, 2), 0.5)}
STAGES = {"labels": STORED["labels"], "pruned": np.eye(3)[:, :2], "scratch": np.eye(3)[:, 1:]}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=6)
                    | st.floats(allow_nan=False, allow_infinity=False),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=6)
       | st.sampled_from(["1", "null", "true", "NaN", "[", '"', "1e4", "Infinity"]))  # fmt: skip
def test_a_cell_is_read_as_it_was(value: object) -> None:
    again = _read(_written(value))
    assert again == value
    assert type(again) is type(value)


def test_records_and_probabilities_come_back_as_they_were(tmp_path: Path) -> None:
    other = RECORD | {"seed": 8, "config.seed": 8}
    ledger = Ledger(tmp_path / "evidence")
    assert ledger.add([(RECORD, STORED)]) == [path_of(RECORD)]
    assert ledger.add([(RECORD | {"test_accuracy": 0.9}, None), (other, STAGES)]) == [
        path_of(other)
    ]
    assert ledger.records() == {path_of(RECORD): RECORD, path_of(other): other}
    for record, stored in ((RECORD, STORED), (other, STAGES)):
        again = ledger.probabilities(path_of(record))
        assert again is not None
        assert list(again) == list(stored)
        for name, array in stored.items():
            np.testing.assert_array_equal(again[name], array)
    assert ledger.probabilities("GunPoint/lite-00000000/fold0-seed1") is None


def test_the_same_rows_are_the_same_bytes_and_pandas_reads_them(tmp_path: Path) -> None:
    for name in "ab":
        Ledger(tmp_path / name).add([(RECORD, None)])
    assert len({(tmp_path / name / LEDGER).read_bytes() for name in "ab"}) == 1
    table = pd.read_csv(tmp_path / "a" / LEDGER)
    assert table["test_accuracy"].tolist() == [0.5]
    assert table["dataset"].tolist() == ["GunPoint"]


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_a_damaged_ledger_is_said_to_be_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LEDGER).write_bytes(content)
    with pytest.raises(UserError, match=LEDGER):
        Ledger(tmp_path).records()
