"""What classifying costs, measured."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dsn_lab.nn import LITE
from dsn_lab.run import inference

SERIES = np.zeros((10, 1, 30), dtype=np.float32)


def test_times_are_those_of_a_series_alone_and_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "SECONDS", 0)
    seen = []

    def predict(series: np.ndarray) -> None:
        seen.append((len(series), torch.get_num_threads()))
        time.sleep(0.002 if len(series) == 1 else 0.064)

    torch.set_num_threads(2)
    measured = inference.measure(predict, SERIES)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert {threads for _, threads in seen} == {1}
    assert {size for size, _ in seen} == {1, inference.BATCH}
    assert 2 <= measured["inference_ms"] < 20
    assert 1 <= measured["inference_ms_64"] < 10


def test_a_network_is_measured_as_a_copy() -> None:
    network = LITE(1, 2).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert inference.measure(inference.of_network(network), SERIES)["inference_ms"] > 0
    assert network.training
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.skipif(not inference.RESET.exists(), reason="Linux says what memory a process has")
def test_memory_is_what_a_call_takes_beyond_what_there_is() -> None:
    size = 200 * 2**20
    found = inference.memory(lambda: np.ones(size, dtype=np.uint8).sum())
    assert found["inference_bytes"] == pytest.approx(size, rel=0.1)
    assert inference.memory(lambda: None)["inference_bytes"] < size / 10


def test_energy_is_recorded_where_the_processor_counts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(inference, "SECONDS", 0)
    counter = tmp_path / "energy_uj"
    monkeypatch.setattr(inference, "ENERGY", counter)
    assert "inference_mj_64" not in inference.measure(lambda series: None, SERIES)

    def predict(series: np.ndarray) -> None:
        spent = float(counter.read_text())
        counter.write_text(str(spent + 64_000))  # microjoules, for each call

    counter.write_text("0")
    assert inference.measure(predict, SERIES)["inference_mj_64"] == pytest.approx(1, rel=0.4)
