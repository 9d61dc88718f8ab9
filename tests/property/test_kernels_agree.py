"""The native kernel against the dense convolution of the same weights."""

from dataclasses import dataclass
from typing import Literal, get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dsn_lab import kernels
from dsn_lab.nn import SparseConv1d

pytestmark = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))

Padding = Literal["replicate", "zeros"]


@dataclass
class Case:
    shape: tuple[int, int, int]
    positions: Tensor
    padding: Padding
    time: int
    batch: int
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Sizes on both sides of blocks, vectors and tiles; any topology, with empty kernels."""
    shape = draw(
        st.tuples(st.integers(1, 40), st.sampled_from([1, 2, 15, 16, 17, 33]), st.integers(1, 12))
    )
    seed = draw(st.integers(0, 2**31))
    outputs, inputs, taps = shape
    generator = torch.Generator().manual_seed(seed)
    density = draw(st.sampled_from([0.0, 0.02, 0.2, 0.5, 1.0]))
    mask = torch.rand(shape, generator=generator) <= density
    if draw(st.booleans()):
        mask[: outputs // 2] = False
    if draw(st.booleans()):
        mask[:, inputs // 3 :, taps // 2 :] = False
    positions = mask.flatten().nonzero().flatten().int()
    if draw(st.booleans()):
        positions = positions[torch.randperm(len(positions), generator=generator)]
    padding: Padding = draw(st.sampled_from(get_args(Padding)))
    time = draw(st.sampled_from([1, 2, 3, 5, 8, 24, 50, 130]))
    return Case(shape, positions, padding, time, draw(st.integers(1, 19)), seed)


def dense(x: Tensor, values: Tensor, case: Case) -> Tensor:
    flat = values.new_zeros(case.shape).flatten()
    kernel = flat.index_put((case.positions.long(),), values).view(case.shape)
    reach = case.shape[2] - 1
    if case.padding == "replicate":
        x = F.pad(x, (0, reach), mode="replicate")
    else:
        x = F.pad(x, (reach // 2, reach - reach // 2))
    return F.conv1d(x, kernel)


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(
        actual, expected.to(actual.dtype), rtol=tolerance, atol=tolerance * scale
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(case=cases())
@settings(deadline=None, max_examples=150)
def test_output_and_gradients_equal_those_of_the_dense_convolution(
    dtype: torch.dtype, case: Case
) -> None:
    torch.manual_seed(case.seed)
    outputs, inputs, _ = case.shape
    x = torch.randn(case.batch, inputs, case.time, dtype=dtype, requires_grad=True)
    values = torch.randn(len(case.positions), dtype=dtype, requires_grad=True)
    grad = torch.randn(case.batch, outputs, case.time, dtype=dtype)

    packed = kernels.pack(case.positions, case.shape)
    y = kernels.conv1d(x.permute(1, 2, 0), values, packed, case.padding).permute(2, 0, 1)
    dx, dvalues = torch.autograd.grad(y, (x, values), grad)

    x64, values64 = (part.detach().double().requires_grad_() for part in (x, values))
    expected = dense(x64, values64, case)
    dx64, dvalues64 = torch.autograd.grad(
        expected, (x64, values64), grad.double(), allow_unused=True, materialize_grads=True
    )
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    close(y.detach(), expected.detach(), tolerance)
    close(dx, dx64, tolerance)
    close(dvalues, dvalues64, tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    groups=st.sampled_from([1, 2, 3]),
    inputs=st.sampled_from([1, 2, 9, 17]),
    taps=st.integers(3, 12),
    sparsity=st.sampled_from([0.0, 0.3, 0.8, 0.99]),
    padding=st.sampled_from(get_args(Padding)),
    time=st.sampled_from([1, 2, 5, 24, 130]),
    batch=st.integers(1, 19),
    transposed=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=100)
def test_layers_of_both_backends_agree_on_batch_channel_time(
    dtype: torch.dtype,
    groups: int,
    inputs: int,
    taps: int,
    sparsity: float,
    padding: Padding,
    time: int,
    batch: int,
    transposed: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    dense, packed = (
        SparseConv1d(
            inputs,
            6 * groups,
            taps,
            groups=groups,
            sparsity=sparsity,
            padding=padding,
            start="random",
            backend=backend,
        )
        for backend in ("dense", "packed")
    )
    packed.load_state_dict(dense.state_dict())
    x = torch.randn(batch, time, inputs).mT if transposed else torch.randn(batch, inputs, time)
    grad = torch.randn(batch, 6 * groups, time)
    results = []
    for layer, number in ((packed.to(dtype), dtype), (dense.double(), torch.float64)):
        given_x = x.to(number).requires_grad_()
        y = layer(given_x)
        gradients = torch.autograd.grad(y, (given_x, layer.values), grad.to(number))
        with torch.no_grad():
            assert layer(given_x).equal(y)
        results.append((y.detach(), *gradients))
    assert (packed.last_backend, dense.last_backend) == ("packed", "dense")
    assert y.is_contiguous()
    assert transposed or results[0][1].is_contiguous()
    for actual, expected in zip(*results, strict=True):
        assert actual.shape == expected.shape
        close(actual, expected, 1e-5 if dtype == torch.float32 else 1e-12)
