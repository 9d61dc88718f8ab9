"""The network as a native plan against the dense network in double precision."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from operator import le
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.nn import DSN

pytestmark = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))

TOLERANCE = 1e-5
NEAR = 1e-5  # inputs of ReLU, of size 1, which may round to the other side of 0


@dataclass
class Case:
    network: dict[str, Any]
    time: int
    batch: int
    training: bool
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Widths on both sides of vectors, groups of one filter, taps beyond time, pruned layers."""
    groups = draw(st.sampled_from([1, 2, 3]))
    depth = draw(st.integers(1, 4))
    width = st.sampled_from([1, 2, 5, 16, 17])
    layer = st.tuples(*[width] * groups).filter(lambda widths: sum(widths) > 1)
    network = {
        "in_channels": draw(st.sampled_from([1, 2, 9, 33])),
        "n_classes": draw(st.integers(2, 7)),
        "width": draw(st.sampled_from([1, 2, 7, 17])),
        "depth": depth,
        "kernel_size": draw(st.sampled_from([3, 4, 9, 39])),
        "groups": groups,
        "sparsity": draw(st.sampled_from([0.0, 0.5, 0.8, 0.9])),
        "padding": draw(st.sampled_from(["zeros", "replicate"])),
        "start": draw(st.sampled_from(["random", "tap_first"])),
        "widths": draw(st.tuples(*[layer] * depth)),
    }
    time, batch = draw(st.sampled_from([1, 2, 5, 24, 50, 130])), draw(st.integers(1, 19))
    # Statistics of a few numbers leave gradients that are nothing but rounding errors.
    training = draw(st.booleans()) and time * batch >= 24
    return Case(network, time, batch, training, draw(st.integers(0, 2**31)))


@dataclass
class Gate(nn.Module):
    """ReLU that notes inputs near 0, and lets those in ``flipped`` pass where it would not."""

    near: list[tuple[int, ...]] = field(default_factory=list)
    flipped: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = nn.Module.__hash__

    def forward(self, x: Tensor) -> Tensor:
        passes = x > 0
        self.near = [tuple(index) for index in (x.abs() < NEAR).nonzero().tolist()]
        for index in self.flipped:
            passes[index] = ~passes[index]
        return x * passes


def networks(case: Case) -> tuple[DSN, DSN]:
    """The same weights: packed, and dense in double precision with gates for ReLU."""
    torch.manual_seed(case.seed)
    packed, dense = (DSN(**case.network, backend=backend) for backend in ("packed", "dense"))
    for module in packed.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            for part in (module.bias, module.running_mean):
                nn.init.normal_(part, 0, 0.2)  # type: ignore[arg-type]
    dense.load_state_dict(packed.state_dict())
    for index, module in enumerate(dense.features):
        if isinstance(module, nn.ReLU):
            dense.features[index] = Gate()
    return packed.train(case.training), dense.double().train(case.training)


def gradients(network: DSN, x: Tensor, loss: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Logits, then the gradients of all parameters."""
    logits = network(x)
    return [logits.detach(), *torch.autograd.grad(loss(logits), list(network.parameters()))]


def errors(actual: list[Tensor], expected: list[Tensor]) -> list[float]:
    """Relative to each tensor's norm, or to a tenth of the largest gradient's."""
    floor = 0.1 * max(float(tensor.norm()) for tensor in expected[1:])
    return [
        float((a - b).norm()) / max(float(b.norm()), floor)
        for a, b in zip(actual, expected, strict=True)
    ]


@given(case=cases())
@settings(deadline=None, max_examples=80)
def test_logits_and_gradients_are_those_of_the_dense_network_in_double(case: Case) -> None:
    packed, dense = networks(case)
    x = torch.randn(case.batch, case.network["in_channels"], case.time)
    y = torch.randint(case.network["n_classes"], (case.batch,))
    before = {name: tensor.clone() for name, tensor in dense.state_dict().items()}

    actual = gradients(packed, x, lambda logits: F.cross_entropy(logits, y))
    assert packed._whole._plans, "not planned"
    expected = gradients(dense, x.double(), lambda logits: F.cross_entropy(logits, y))
    for mine, its in zip(packed.buffers(), dense.buffers(), strict=True):
        torch.testing.assert_close(mine.double(), its.double(), rtol=1e-5, atol=1e-6)
    # Where terms cancel (BatchNorm takes back what a lone weight gives), single precision is not
    # enough: the dense network's error in it counts as rounding too, which may be that of any
    # tensor, because it depends on chance in which one it shows.
    single = DSN(**case.network, backend="dense").train(case.training)
    single.load_state_dict(before)
    rounded = gradients(single, x, lambda logits: F.cross_entropy(logits, y))
    allowed = [max(TOLERANCE, 8 * max(errors(rounded, expected)))] * len(expected)
    # Of a gradient that BatchNorm takes back whole, all that is there is rounding.
    largest = max(float(tensor.norm()) for tensor in expected[1:])
    nothing = [float(tensor.norm()) < 1e-9 * largest for tensor in expected]
    allowed = [
        max(1e-3, most) if none else most for none, most in zip(nothing, allowed, strict=True)
    ]

    def agree(expected: list[Tensor]) -> bool:
        return all(map(le, errors(actual, expected), allowed))

    if agree(expected):
        return
    # Some input of a ReLU has rounded to the other side of 0: with it there, all is the same.
    gates = [module for module in dense.modules() if isinstance(module, Gate)]
    near = [(gate, index) for gate in gates for index in gate.near]
    assert 0 < len(near) < 12
    for choice in product((False, True), repeat=len(near)):
        for gate in gates:
            gate.flipped = [
                index
                for (at, index), flips in zip(near, choice, strict=True)
                if flips and at is gate
            ]
        dense.load_state_dict(before)
        if agree(gradients(dense, x.double(), lambda logits: F.cross_entropy(logits, y))):
            return
    pytest.fail("gradients differ")


@pytest.mark.parametrize(
    ("channels", "time", "batch", "padding"),
    [(1, 24, 6, "zeros"), (1, 77, 7, "zeros"), (9, 128, 3, "replicate"), (2, 61, 8, "replicate")],
)
def test_each_gradient_of_the_papers_network_is_exact(
    channels: int, time: int, batch: int, padding: str
) -> None:
    sizes = {"in_channels": channels, "n_classes": 4, "padding": padding, "start": "random"}
    case = Case(sizes, time, batch, True, 1)
    packed, dense = networks(case)
    x, y = torch.randn(batch, channels, time), torch.randint(4, (batch,))
    actual = gradients(packed, x, lambda logits: F.cross_entropy(logits, y))
    expected = gradients(dense, x.double(), lambda logits: F.cross_entropy(logits, y))
    for a, b in zip(actual, expected, strict=True):
        assert float((a - b).norm()) <= TOLERANCE * float(b.norm())


@given(case=cases())
@settings(deadline=None, max_examples=30)
def test_threads_change_no_bit(case: Case) -> None:
    packed, _ = networks(case)
    state = {name: tensor.clone() for name, tensor in packed.state_dict().items()}
    x = torch.randn(case.batch, case.network["in_channels"], case.time)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        packed.load_state_dict(state)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dsn_lab.kernels.plan.threads_for", lambda _: torch.get_num_threads())
            found = gradients(packed, x, lambda logits: logits.square().sum())
        results.append([*found, *(buffer.clone() for buffer in packed.buffers())])
    for other in results[1:]:
        assert all(a.equal(b) for a, b in zip(results[0], other, strict=True))
