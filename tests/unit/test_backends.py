"""Which backend a sparse layer runs on."""

import pytest
import torch
from torch import nn

from dsn_lab import kernels
from dsn_lab.kernels import KernelUnavailableError, build
from dsn_lab.nn import DSN, SparseConv1d
from dsn_lab.sparse.layer import Backend, last_backend

native = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))


def layer(
    backend: Backend = "auto", sparsity: float = 0.5, active: tuple[int, ...] | None = None
) -> SparseConv1d:
    return SparseConv1d(
        4, 6, 7, groups=3, sparsity=sparsity, active=active, start="random", backend=backend
    )


@native
def test_auto_is_packed_where_anything_is_sparse() -> None:
    x = torch.randn(2, 4, 10)
    full = layer(sparsity=0)
    for conv, backend in (
        (layer(), "packed"),
        (full, "dense"),
        (layer(sparsity=0, active=full.active), "dense"),
        (layer(sparsity=0, active=(1, 2, 3)), "packed"),
        (layer("dense"), "dense"),
        (layer("packed", sparsity=0), "packed"),
    ):
        conv(x)
        assert last_backend(conv) == backend


@native
@pytest.mark.parametrize("backend", ["auto", "packed"])
def test_float64_is_packed_and_lower_precision_dense(backend: Backend) -> None:
    conv = layer(backend)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(torch.randn(2, 4, 10)).dtype == torch.bfloat16
    assert last_backend(conv) == "dense"
    for dtype, ran in (
        (torch.float64, "packed"),
        (torch.float16, "dense"),
        (torch.bfloat16, "dense"),
        (torch.float32, "packed"),
    ):
        assert conv.to(dtype)(torch.randn(2, 4, 10, dtype=dtype)).dtype == dtype
        assert last_backend(conv) == ran


@native
def test_what_the_kernel_cannot_take_is_dense() -> None:
    conv = layer("packed")
    assert conv(torch.randn(0, 4, 10)).shape == (0, 6, 10)
    assert last_backend(conv) == "dense"
    conv(torch.randn(2, 4, 10))
    assert last_backend(conv) == "packed"
    x = torch.randn(3, 4, 10)
    torch.testing.assert_close(conv(x[0]), conv(x)[0])
    assert conv.to("meta")(torch.randn(2, 4, 10, device="meta")).shape == (2, 6, 10)
    assert last_backend(conv) == "dense"


@native
def test_traced_layers_are_dense() -> None:
    conv, x = layer("packed").eval(), torch.randn(2, 4, 10)
    conv(x)
    traced = torch.jit.trace(conv, (x,))  # type: ignore[no-untyped-call]
    other = torch.randn(2, 4, 10)
    torch.testing.assert_close(traced(other), conv(other))


@native
def test_an_observed_gradient_takes_one_dense_pass() -> None:
    conv, x = layer("packed"), torch.randn(2, 4, 10)
    seen: list[torch.Tensor] = []
    conv.observer = seen.append
    conv(x).sum().backward()
    assert last_backend(conv) == "dense"
    assert [gradient.shape for gradient in seen] == [(conv.mask.numel(),)]
    conv.observer = None
    conv(x)
    assert last_backend(conv) == "packed"


def test_without_a_kernel_auto_is_dense_and_packed_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "_attempt", lambda _: "no C++ compiler found")
    conv, x = layer(), torch.randn(2, 4, 10)
    assert conv(x).shape == (2, 6, 10)
    assert last_backend(conv) == "dense"
    with pytest.raises(KernelUnavailableError, match="no C"):
        layer("packed")(x)


@native
def test_only_what_is_wanted_gets_gradients() -> None:
    conv = layer("packed")
    conv(torch.randn(2, 4, 10)).sum().backward()
    assert conv.values.grad is not None
    conv.values.requires_grad_(False).grad = None
    x = torch.randn(2, 4, 10, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None
    assert conv.values.grad is None
    assert not conv(x.detach()).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), layer_like(conv, "dense")(x))


def layer_like(conv: SparseConv1d, backend: Backend) -> SparseConv1d:
    """The same weights on another backend."""
    other = layer(backend)
    other.load_state_dict(conv.state_dict())
    return other


@native
def test_layers_made_in_inference_mode_follow_their_topology() -> None:
    with torch.inference_mode():
        conv, dense = layer("packed"), layer("dense")
        x = torch.randn(2, 4, 10)
        conv(x)
        conv.load_state_dict(dense.state_dict())
        torch.testing.assert_close(conv(x), dense(x))


def test_the_backend_is_no_part_of_the_state() -> None:
    for backend in ("dense", "auto"):
        conv = layer(backend)
        before = conv.state_dict()
        conv(torch.randn(2, 4, 10))
        assert list(before) == list(conv.state_dict()) == ["values", "positions"]


@native
def test_networks_say_what_their_layers_ran_on() -> None:
    x = torch.randn(3, 2, 20)
    network = DSN(2, 3, width=4, depth=2, kernel_size=9)
    first, last = (m for m in network.modules() if isinstance(m, SparseConv1d))
    assert last_backend(network) == "dense"
    network(x)
    assert (first.last_backend, last.last_backend) == ("packed", "packed")
    assert last_backend(network) == "packed"
    first.backend = "dense"
    expected = network(x)
    assert (first.last_backend, last.last_backend) == ("dense", "packed")
    assert last_backend(network) == "mixed"
    last.backend = "dense"
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert last_backend(network) == "dense"
    assert last_backend(nn.Conv1d(2, 3, 1)) == "dense"


def test_unknown_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="backend"):
        layer("cuda")  # type: ignore[arg-type]
