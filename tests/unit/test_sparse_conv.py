import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dsn_lab.nn import SparseConv1d


def layer(**changes: object) -> SparseConv1d:
    arguments: dict[str, object] = {"groups": 3, "sparsity": 0.5, "start": "random", **changes}
    return SparseConv1d(2, 6, 7, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("padding", "padded"),
    [
        ("replicate", lambda x: torch.cat([x, x[..., -1:].expand(-1, -1, 6)], dim=-1)),
        ("zeros", lambda x: F.pad(x, (3, 3))),
    ],
)
def test_is_the_dense_convolution_with_the_kernel_masked(padding: str, padded: object) -> None:
    assert callable(padded)
    conv, x = layer(padding=padding), torch.randn(4, 2, 10)
    dense = torch.zeros(6 * 2 * 7)
    for position, value in zip(conv.positions.tolist(), conv.values.tolist(), strict=True):
        dense[position] = value
    expected = F.conv1d(padded(x), dense.view(6, 2, 7))
    torch.testing.assert_close(conv(x), expected)
    assert conv(x).shape == (4, 6, 10)


def test_series_shorter_than_the_kernel_keep_their_length() -> None:
    for padding in ("replicate", "zeros"):
        assert layer(padding=padding)(torch.randn(1, 2, 3)).shape == (1, 6, 3)


def test_gradients_are_those_of_the_active_weights_and_an_observer_sees_all() -> None:
    conv, x = layer(), torch.randn(4, 2, 10)
    dense = conv.weight.detach().requires_grad_()
    loss = F.conv1d(F.pad(x, (0, 6), mode="replicate"), dense).square().sum()
    torch.autograd.backward(loss)
    conv(x).square().sum().backward()
    assert conv.values.grad is not None
    assert dense.grad is not None
    torch.testing.assert_close(conv.values.grad, dense.grad.flatten()[conv.positions.long()])
    seen: list[Tensor] = []
    conv.observer = seen.append
    conv(x).square().sum().backward()
    torch.testing.assert_close(seen, [dense.grad.flatten()])


def test_without_gradients_there_is_nothing_to_observe() -> None:
    conv, seen = layer(), list[Tensor]()
    conv.observer = seen.append
    with torch.no_grad():
        conv(torch.randn(1, 2, 5))
    assert not seen


def test_topology_travels_with_the_state_dict() -> None:
    first, second = layer(), layer()
    assert not first.mask.equal(second.mask)
    second.load_state_dict(first.state_dict())
    assert first.mask.equal(second.mask)
    assert first.weight.equal(second.weight)


def _move_out_of_region(positions: Tensor) -> None:
    positions[0] = 6  # the last tap is not in the first group's region


def _hold_twice(positions: Tensor) -> None:
    positions[0] = positions[1]


@pytest.mark.parametrize("spoil", [_move_out_of_region, _hold_twice])
def test_unlawful_topologies_are_not_loaded(spoil: object) -> None:
    assert callable(spoil)
    state = {name: tensor.clone() for name, tensor in layer().state_dict().items()}
    spoil(state["positions"])
    with pytest.raises(ValueError, match="group 1 holds active weights outside"):
        layer().load_state_dict(state)


def test_a_group_may_be_empty() -> None:
    conv = SparseConv1d(1, 3, 3, groups=3, sparsity=0.9)
    assert conv.active == (0, 0, 0)
    assert conv(torch.randn(2, 1, 5)).abs().max() == 0


@pytest.mark.parametrize(
    "changes", [{"sparsity": 1}, {"sparsity": -0.1}, {"groups": 4}, {"padding": "mirror"}]
)
def test_arguments_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        layer(**changes)
