"""On a GPU the dense path computes what the CPU does; skipped where there is none."""

from pathlib import Path

import pytest
import torch

from dsn_lab.nn import DSN
from dsn_lab.sparse.layer import SparseConv1d, last_backend
from tests.bench.gpu import by_group
from tests.conftest import SMALL, Run, record

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
CELL = ("dataset=ItalyPowerDemand", "trainer.max_epochs=6", *SMALL)


def test_logits_and_gradients_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    here = DSN(2, 3, width=8, depth=2)
    there = DSN(2, 3, width=8, depth=2)
    there.load_state_dict(here.state_dict())
    there.cuda()
    x = torch.randn(6, 2, 50)
    logits = [here(x), there(x.cuda()).cpu()]
    assert last_backend(there) == "dense"
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-3, atol=1e-4)
    for each in logits:
        torch.autograd.backward(each.square().sum())
    for one, other in zip(here.parameters(), there.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad.cpu(), one.grad, rtol=1e-2, atol=1e-3)


def test_groups_by_their_own_taps_are_the_whole_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    layer = SparseConv1d(7, 12, 39, groups=3, sparsity=0.8).cuda()
    x = torch.randn(4, 7, 60, device="cuda")
    torch.testing.assert_close(by_group(layer, x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dst", ["dsn", "rigl"])
def test_a_run_on_the_gpu_moves_its_topology_and_says_where_it_ran(
    run: Run, tmp_path: Path, dst: str
) -> None:
    assert run(*CELL, f"dst={dst}", "dst.update_every=1", "output_dir=out") == 0
    result = record(tmp_path / "out")
    assert result["device"].startswith("cuda")
    assert result["backend"] == "dense"
    assert 0.4 < result["test_accuracy"] <= 1
