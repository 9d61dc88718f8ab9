import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.nn import DSN, SparseConv1d

pytestmark = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))


def parts(channels: int, dtype: torch.dtype) -> list[Tensor]:
    """Weight, bias, mean and variance."""
    torch.manual_seed(0)
    return [torch.randn(channels, dtype=dtype), *torch.rand(3, channels, dtype=dtype)]


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_gradients_of_all_in_one_go_are_those_of_the_output(
    fixed: bool, padding: kernels.passes.Padding
) -> None:
    weight, bias, mean, variance = parts(6, torch.float64)
    layer = SparseConv1d(3, 6, 5, groups=2, sparsity=0.5, start="random")
    packed = kernels.pack(layer.positions, layer.shape)
    values = layer.values.detach().double()

    def run(x: Tensor, mix: Tensor, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        norm = kernels.Normalisation(weight, bias, mean, variance, 1e-5, fixed)
        return kernels.conv1d(x, values, packed, padding, mix, norm)

    x, mix = torch.randn(4, 7, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    arguments = [part.requires_grad_() for part in (x, mix, values, weight, bias)]
    assert torch.autograd.gradcheck(run, arguments)
    with torch.no_grad():
        without = run(*arguments)
    torch.testing.assert_close(without, run(*arguments))


@pytest.mark.parametrize("batch", [3, 200])
@pytest.mark.parametrize("fixed", [True, False])
def test_normalises_as_torch_does_on_any_number_of_threads(batch: int, fixed: bool) -> None:
    weight, bias, mean, variance = parts(37, torch.float32)
    packed = kernels.pack(torch.arange(37, dtype=torch.int32), (37, 1, 1))
    x, values = 3 + torch.randn(1, 11, batch), torch.randn(37)
    rows = values[:, None] * x.view(1, -1)
    expected = F.relu(F.batch_norm(rows[None], mean, variance, weight, bias, not fixed, 0.0))[0]
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        norm = kernels.Normalisation(weight, bias, mean, variance, 1e-5, fixed)
        results.append(kernels.conv1d(x, values, packed, "zeros", norm=norm).flatten(1))
        torch.testing.assert_close(results[-1], expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(results[0], results[-1])


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_those_of_the_dense_backend(momentum: float | None) -> None:
    torch.manual_seed(0)
    networks = [DSN(2, 3, width=4, depth=2, kernel_size=9, backend=b) for b in ("dense", "packed")]
    networks[1].load_state_dict(networks[0].state_dict())
    batches = torch.randn(3, 6, 2, 20)
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = momentum
        for x in batches:
            network(x)
    for expected, actual in zip(*(network.buffers() for network in networks), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_single_number_a_channel_cannot_be_normalised() -> None:
    for backend in ("dense", "packed"):
        with pytest.raises(ValueError, match="more than"):
            DSN(1, 2, width=3, kernel_size=1, groups=1, backend=backend)(torch.randn(1, 1, 1))


def test_parts_that_do_not_fit_are_refused() -> None:
    packed = kernels.pack(torch.arange(6, dtype=torch.int32), (6, 1, 1))
    weight, bias, mean, variance = parts(5, torch.float32)
    norm = kernels.Normalisation(weight, bias, mean, variance, 1e-5, fixed=True)
    with pytest.raises(ValueError, match=r"norm: must be \(6,\)"):
        kernels.conv1d(torch.randn(1, 4, 2), torch.ones(6), packed, "zeros", norm=norm)
    for mix in (torch.ones(2, 1), torch.ones(1, 2)):
        with pytest.raises(ValueError, match=r"mix: must be \(1, 1\)"):
            kernels.conv1d(torch.randn(1, 4, 2), torch.ones(6), packed, "zeros", mix)
