"""A 1-D convolution whose parameters are its active weights only."""

from collections.abc import Callable
from itertools import accumulate
from math import sqrt
from operator import gt, lt
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.sparse import topology
from dsn_lab.sparse.regions import active_counts, group_widths, region_taps

Sparsity = Annotated[float, Field(ge=0, lt=1)]
Padding = Literal["replicate", "zeros"]
Start = Literal["tap_first", "random"]
Backend = Literal["auto", "dense", "packed"]

Observer = Callable[[Tensor], None]
"""What is called, in the backward pass, with the gradient of the flat dense kernel."""


class SparseConv1d(nn.Module):
    """Sparse convolution ``(batch, in_channels, time) -> (batch, out_channels, time)``, Eq. 1.

    The output channels form ``groups`` consecutive groups. Group i of N uses its exploration
    region only, the first ``i * (kernel_size // N)`` taps, and of the region's positions
    ``floor((1 - sparsity) * size)`` are active. Stride 1, no bias.

    The topology is the parameter ``values`` and the buffer ``positions``, both ``(active,)``,
    group after group; a position counts through the kernel ``(out_channels, in_channels,
    kernel_size)``. Both travel with ``state_dict``.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of ``groups``; or those of each group.
        kernel_size: taps of the largest region.
        groups: number of kernel groups (each sees all inputs).
        sparsity: share of each region that is not active, in [0, 1).
        active: active weights of each group, instead of those that the sparsity leaves.
        padding: ``replicate`` the last value on the right, or ``zeros`` on both sides.
        start: first topology; ``tap_first`` fills low taps first, ``random`` is uniform.
        backend: ``packed`` is the native kernel, ``dense`` the library's convolution, ``auto`` is
            packed if the kernel can be built and anything is sparse. All are dense on a GPU, in
            less than 32 bits and where torch traces; where it compiles or exports, the kernel is
            the operator ``dsn_lab::sparse_conv1d``. Second derivatives and ``torch.func`` need
            ``dense``.

    Attributes:
        observer: if set, what a backward pass calls with the gradient of the flat dense kernel
            ``(out_channels * in_channels * kernel_size,)``, of which nothing is kept; the forward
            pass before is dense for that.

    Raises:
        ValueError: an argument is out of range, ``groups`` does not divide ``out_channels``, or
            there are not ``groups`` numbers where there must be.
    """

    values: nn.Parameter
    positions: Tensor

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt | tuple[PositiveInt, ...],
        kernel_size: PositiveInt,
        *,
        groups: PositiveInt = 1,
        sparsity: Sparsity = 0.0,
        active: tuple[NonNegativeInt, ...] | None = None,
        padding: Padding = "replicate",
        start: Start = "tap_first",
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        widths = group_widths(out_channels, groups)
        self.shape = (sum(widths), in_channels, kernel_size)
        self.taps = region_taps(kernel_size, groups)
        counts = [width * in_channels for width in widths]
        self.regions = tuple(
            topology.Region(first * kernel_size, count, kernel_size, taps)
            for first, count, taps in zip(
                accumulate(counts, initial=0), counts, self.taps, strict=False
            )
        )
        self.region_sizes = tuple(region.size for region in self.regions)
        self.active = active or active_counts(self.region_sizes, sparsity)
        if len(self.active) != groups or any(map(gt, self.active, self.region_sizes)):
            raise ValueError(
                f"active={active}: must be {groups} counts, at most {self.region_sizes}"
            )
        self.padding, self.backend = padding, backend
        self.last_backend: Literal["dense", "packed"] | None = None
        self.observer: Observer | None = None
        self._sparse = sparsity > 0 or any(map(lt, self.active, self.region_sizes))
        self._packed = kernels.PackedTopology()

        first_topology = topology.tap_first if start == "tap_first" else topology.uniform
        positions = [
            first_topology(region, count)
            for region, count in zip(self.regions, self.active, strict=True)
        ]
        self.register_buffer("positions", torch.cat(positions).int())
        # The bound of torch's dense convolution.
        bound = 1 / sqrt(in_channels * kernel_size)
        self.values = nn.Parameter(torch.empty(sum(self.active)).uniform_(-bound, bound))

    @property
    def mask(self) -> Tensor:
        """Where weights are active: bool, ``(out_channels, in_channels, kernel_size)``."""
        mask = self.positions.new_zeros(self.shape, dtype=torch.bool)
        mask.view(-1).index_fill_(0, self.positions.long(), True)
        return mask

    @property
    def weight(self) -> Tensor:
        """The kernel ``(out_channels, in_channels, kernel_size)``, 0 where nothing is active."""
        flat = self.values.new_zeros(self.shape).view(-1)
        return flat.index_put((self.positions.long(),), self.values).view(self.shape)

    def is_packed(self, x: Tensor) -> bool:
        """Whether ``x``, three axes in any order, is one for the native kernel."""
        return (
            self.prefers_packed
            and kernels.supports(x, self.shape)
            and (self.backend == "packed" or kernels.available())
        )

    @property
    def prefers_packed(self) -> bool:
        """Whether the native kernel is wanted, where it can be had."""
        return self.backend == "packed" or (self.backend == "auto" and self._sparse)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(batch, in_channels, time)`` to ``(batch, out_channels, time)``.

        Raises:
            KernelUnavailableError: the backend is ``packed`` and cannot be built here.
        """
        # Only a dense kernel has a dense gradient to observe.
        if self.observer is None and self.is_packed(x):
            return self.forward_rows(x.permute(1, 2, 0)).permute(2, 0, 1).contiguous()
        if self.observer is None and self.prefers_packed and kernels.suits(x, self.shape):
            how = self.shape, self.padding
            graphed: Tensor = kernels.sparse_conv1d(x, self.values, self.positions, *how)
            return graphed
        self.last_backend = "dense"
        kernel, reach = self.weight, self.shape[2] - 1
        if self.observer is not None and kernel.requires_grad:
            observe = self.observer
            kernel.register_hook(lambda gradient: observe(gradient.flatten()))  # type: ignore[no-untyped-call]
        if self.padding == "replicate":
            return F.conv1d(F.pad(x, (0, reach), mode="replicate"), kernel)
        return F.conv1d(F.pad(x, (reach // 2, reach - reach // 2)), kernel)

    def forward_rows(
        self, x: Tensor, mix: Tensor | None = None, norm: kernels.Normalisation | None = None
    ) -> Tensor:
        """Convolve ``(in_channels, time, batch)`` to ``(out_channels, time, batch)``.

        The native kernel does it without a dense kernel, on a CPU; and, if wanted, a 1x1
        convolution before, BatchNorm and ReLU after.

        Raises:
            KernelUnavailableError: the native kernel cannot be built here.
        """
        self.last_backend = "packed"
        return kernels.conv1d(x, self.values, self.packed(), self.padding, mix, norm)

    def packed(self) -> kernels.Packed:
        """The topology as it is now, in the native kernel's form."""
        return self._packed.of(self.positions, self.shape)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        positions = state_dict.get(prefix + "positions")
        if positions is not None and positions.shape == self.positions.shape:
            allowed = torch.zeros(self.mask.numel(), dtype=torch.bool)
            for group, (region, held) in enumerate(
                zip(self.regions, positions.cpu().long().split(self.active), strict=True)
            ):
                allowed.zero_()
                allowed[region.positions(torch.arange(region.size))] = True
                if not allowed[held].all() or len(held.unique()) != len(held):
                    raise ValueError(
                        f"{prefix}positions: group {group + 1} holds active weights outside its "
                        "exploration region or twice"
                    )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """Shape, groups and active weights, for ``print(model)``."""
        out_channels, in_channels, kernel_size = self.shape
        return (
            f"{in_channels}, {out_channels}, kernel_size={kernel_size}, taps={self.taps}, "
            f"active={sum(self.active)} of {out_channels * in_channels * kernel_size}, "
            f"padding={self.padding}"
        )


def last_backend(network: nn.Module) -> Literal["dense", "packed", "mixed"]:
    """What the sparse layers of ``network`` ran on in their last forward pass.

    ``mixed`` if not all on the same; ``dense`` if there are none, or none that has run.
    """
    layers = (module for module in network.modules() if isinstance(module, SparseConv1d))
    ran = {layer.last_backend for layer in layers if layer.last_backend}
    return "mixed" if len(ran) > 1 else next(iter(ran), "dense")
