from copy import deepcopy

import pytest
import torch

from dsn_lab import kernels
from dsn_lab.kernels import operator
from dsn_lab.nn import DSN, SparseConv1d

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no native kernel here")
PADDINGS = ("zeros", "replicate")


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_operator_obeys_torchs_laws(padding: str) -> None:
    conv = SparseConv1d(3, 6, 9, groups=3, sparsity=0.5).double()
    x = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    shape = list(conv.shape)
    torch.library.opcheck(operator.sparse_conv1d, (x, conv.values, conv.positions, shape, padding))
    grad = torch.randn(2, 6, 11, dtype=torch.float64)
    topology = (conv.positions, shape, padding)
    torch.library.opcheck(operator.input_gradient, (grad, conv.values.detach(), *topology))
    torch.library.opcheck(operator.weight_gradient, (grad, x.detach(), *topology))


@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients_are_those_of_finite_differences(padding: str) -> None:
    conv = SparseConv1d(2, 4, 6, groups=2, sparsity=0.5).double()
    x = torch.randn(2, 2, 7, dtype=torch.float64, requires_grad=True)

    def convolved(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = operator.sparse_conv1d(x, values, conv.positions, conv.shape, padding)
        return y

    assert torch.autograd.gradcheck(convolved, (x, conv.values))


def test_an_exported_network_holds_the_kernel_and_takes_any_batch() -> None:
    network = DSN(in_channels=2, n_classes=3, width=4, kernel_size=9, depth=2).eval()
    x = torch.randn(4, 2, 20)
    program = torch.export.export(
        network, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
    )
    held = [node for node in program.graph.nodes if "sparse_conv1d" in str(node.target)]
    assert len(held) == 2
    # A network that was first of all exported runs as any other.
    for part in (x, x[:1]):
        torch.testing.assert_close(program.module()(part), network(part))


def test_a_compiled_network_trains_as_one_that_is_not() -> None:
    network = DSN(in_channels=2, n_classes=3, width=4, kernel_size=9, depth=2)
    twin = deepcopy(network)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    x, labels = torch.randn(6, 2, 20), torch.arange(6) % 3
    for each in (network, compiled):
        loss: torch.Tensor = torch.nn.functional.cross_entropy(each(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_moved_topology_is_packed_anew() -> None:
    conv = SparseConv1d(2, 4, 6, sparsity=0.5, padding="zeros")
    x = torch.randn(2, 2, 7)
    for _ in range(2):
        how = conv.values, conv.positions, conv.shape, conv.padding
        torch.testing.assert_close(operator.sparse_conv1d(x, *how), conv(x))
        conv.positions.copy_(conv.positions.flip(0))
