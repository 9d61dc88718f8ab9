"""Sparse layers in networks of the user's own, made of torch's layers."""

import io
import pickle
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.nn import DSN, SparseConv1d
from dsn_lab.sparse.layer import Backend, last_backend

pytestmark = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))


def own_network(backend: Backend = "auto") -> nn.Sequential:
    """A sparse layer after and beside torch's own ones."""
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1),
        nn.BatchNorm1d(4),
        nn.ReLU(inplace=True),
        SparseConv1d(4, 6, 7, groups=3, sparsity=0.5, start="random", backend=backend),
        nn.BatchNorm1d(6),
        nn.ReLU(inplace=True),
        nn.Conv1d(6, 3, 1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
    )


def copies(network: nn.Module) -> list[nn.Module]:
    """As pickling, copying and torch.save return it."""
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    saved = torch.load(file, weights_only=False)
    return [pickle.loads(pickle.dumps(network)), deepcopy(network), saved]


def test_gradients_in_a_network_of_ones_own_are_those_of_the_dense_layer() -> None:
    torch.manual_seed(0)
    dense, packed = own_network("dense"), own_network("packed")
    packed.load_state_dict(dense.state_dict())
    results: list[list[Tensor]] = []
    for network in (dense, packed):
        x = torch.linspace(-1, 1, 5 * 2 * 20).sin().view(5, 2, 20).requires_grad_()
        logits = network(x)
        torch.autograd.backward(logits.square().sum())
        assert x.grad is not None
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert len(gradients) == len(list(network.parameters()))
        with torch.no_grad():
            fixed = network.eval()(x)
        results.append([logits, fixed, x.grad, *gradients, *network.buffers()])
    assert (last_backend(dense), last_backend(packed)) == ("dense", "packed")
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_network_of_ones_own_trains_on_the_native_kernel() -> None:
    torch.manual_seed(0)
    network, x = own_network(), torch.randn(24, 2, 20)
    y = (x[:, 0].mean(dim=-1) > 0).long()
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=0.01), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
        assert last_backend(network) == "packed"
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("backend", ["auto", "packed"])
def test_networks_that_have_run_survive_pickling_and_copying(backend: Backend) -> None:
    x = torch.randn(3, 2, 20)
    for network in (own_network(backend), DSN(2, 3, width=4, kernel_size=9, backend=backend)):
        network.eval()
        y = network(x)
        for other in copies(network):
            assert last_backend(other) == "packed"
            assert other(x).equal(y)
            # The copy's topology is its own.
            for module in other.modules():
                if isinstance(module, SparseConv1d):
                    module.positions.copy_(module.positions.flip(0))
            assert not other(x).equal(y)
            assert network(x).equal(y)
