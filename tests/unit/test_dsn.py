import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsn_lab.kernels import KernelUnavailableError, build
from dsn_lab.nn import DSN
from dsn_lab.nn.cost import measure

HAR, EEG2, DAILY_SPORT = (9, 128, 6), (64, 256, 2), (45, 125, 19)

# Tables 2 and 3 of the paper: parameters in thousands (exact where worked out), FLOPs in millions.
PUBLISHED = [
    (HAR, None, 1056102, 267.57),
    (HAR, 0.5, 366890, 93.01),
    (HAR, 0.8, 160126, 40.64),
    (HAR, 0.9, 91206, 23.18),
    (EEG2, None, 1058110, 536.17),
    (EEG2, 0.5, 368900, 187.05),
    (EEG2, 0.8, 162139, 82.31),
    (EEG2, 0.9, 93220, 46.64),
    (DAILY_SPORT, None, 1059650, 262.10),
    (DAILY_SPORT, 0.5, 370440, 91.63),
    (DAILY_SPORT, 0.8, 163677, 40.48),
    (DAILY_SPORT, 0.9, 94760, 23.44),
]


@pytest.mark.parametrize(("shape", "sparsity", "params", "mflops"), PUBLISHED)
def test_cost_is_the_published_one(
    shape: tuple[int, int, int], sparsity: float | None, params: int, mflops: float
) -> None:
    channels, time, n_classes = shape
    network = (
        DSN(channels, n_classes, groups=1, sparsity=0.0)
        if sparsity is None
        else DSN(channels, n_classes, sparsity=sparsity)
    )
    cost = measure(network, channels, time)
    assert cost.params_active == sum(p.numel() for p in network.parameters())
    assert abs(cost.params_active - params) <= 10
    assert cost.flops / 1e6 == pytest.approx(mflops, rel=0.02)
    dense = measure(DSN(channels, n_classes, groups=1, sparsity=0.0), channels, time)
    assert (cost.params, cost.flops_dense) == (dense.params_active, dense.flops)


def test_univariate_network_starts_with_a_sparse_layer_and_no_mixing() -> None:
    network = DSN(1, 2)
    head = 141 * 2 + 2 * 2
    assert sum(p.numel() for p in network.parameters()) - head == 125_118
    assert "features.0.positions" in network.state_dict()


def test_maps_batch_channel_time_to_logits_for_any_length() -> None:
    network = DSN(3, 5, width=4, kernel_size=9)
    for time in (2, 50, 77):
        assert network(torch.randn(2, 3, time)).shape == (2, 5)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("padding", ["replicate", "zeros"])
def test_backends_agree_in_logits_and_gradients(channels: int, padding: str) -> None:
    torch.manual_seed(0)
    sizes = {"width": 5, "depth": 3, "kernel_size": 9, "sparsity": 0.6, "start": "random"}
    dense = DSN(channels, 3, **sizes, padding=padding, backend="dense")  # type: ignore[arg-type]
    packed = DSN(channels, 3, **sizes, padding=padding, backend="packed")  # type: ignore[arg-type]
    packed.load_state_dict(dense.state_dict())
    x, y = torch.randn(6, channels, 20), torch.tensor([0, 1, 2, 0, 1, 2])
    outputs = []
    for network in (dense, packed):
        logits = network(x)
        torch.autograd.backward(F.cross_entropy(logits, y))
        gradients = [parameter.grad for parameter in network.parameters()]
        network.eval()
        outputs.append([logits, *gradients, network(x), *network.buffers()])
    for expected, actual in zip(*outputs, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_hooks_of_relu_see_and_replace_batch_channel_time_in_both_backends(training: bool) -> None:
    torch.manual_seed(0)
    dense = DSN(2, 3, width=4, depth=2, kernel_size=9, backend="dense").train(training)
    packed = DSN(2, 3, width=4, depth=2, kernel_size=9, backend="packed").train(training)
    packed.load_state_dict(dense.state_dict())
    x, outputs = torch.randn(5, 2, 20), []
    for network in (dense, packed):
        seen: list[torch.Tensor] = []

        def hook(
            _: nn.Module, __: object, output: torch.Tensor, seen: list[torch.Tensor] = seen
        ) -> torch.Tensor:
            seen.append(output.detach().clone())
            return output * torch.arange(12.0).view(1, 12, 1)

        for module in network.features:
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(hook)
        logits = network(x)
        torch.autograd.backward(logits.square().sum())
        gradients = [parameter.grad for parameter in network.parameters()]
        assert [tuple(output.shape) for output in seen] == 2 * [(5, 12, 20)]
        outputs.append([*seen, logits, *gradients])
    for expected, actual in zip(*outputs, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_changed_topology_is_packed_anew() -> None:
    network = DSN(1, 2, width=3, kernel_size=9, sparsity=0.5, backend="packed").eval()
    other = DSN(1, 2, width=3, kernel_size=9, sparsity=0.5, start="random", backend="dense").eval()
    x = torch.randn(2, 1, 12)
    network(x)
    network.load_state_dict(other.state_dict())
    torch.testing.assert_close(network(x), other(x), rtol=1e-4, atol=1e-5)


def test_lower_precision_is_dense() -> None:
    network = DSN(3, 2, width=3, kernel_size=9, backend="packed")
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(2, 3, 12)).shape == (2, 2)


def test_without_a_kernel_auto_is_dense_and_packed_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "_attempt", lambda _: "no C++ compiler found")
    x = torch.randn(2, 1, 12)
    assert DSN(1, 2, width=3, kernel_size=9)(x).shape == (2, 2)
    with pytest.raises(KernelUnavailableError, match="no C"):
        DSN(1, 2, width=3, kernel_size=9, backend="packed")(x)


def test_no_convolution_has_a_bias() -> None:
    names = [name for name, _ in DSN(3, 5, width=4, kernel_size=9).named_parameters()]
    # Biases are BatchNorm's: one a sparse layer and one in the head.
    assert sum(name.endswith("bias") for name in names) == 5


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = DSN(3, 5, width=4, kernel_size=9).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure(network, 3, 20)
    assert network.training
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
