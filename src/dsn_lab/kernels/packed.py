"""A topology in the form that the native kernel walks through, made once per change."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsn_lab.kernels.build import load
from dsn_lab.kernels.interface import Topology

BLOCK = 8  # rows per block, as in the C++ source
MAX_ROW = 2**16  # positions in a kernel's row of inputs or outputs, which have 16 bits


@dataclass(frozen=True, slots=True)
class Order:
    """Active weights in the order of one pass: (row, block of input rows) after another."""

    starts: Tensor
    slots: Tensor | None
    codes: Tensor

    def topology(self, rows: int, columns: int, taps: int) -> Topology:
        """These weights and sizes, for the C functions."""
        slots = None if self.slots is None else self.slots.data_ptr()
        return Topology(self.starts.data_ptr(), slots, self.codes.data_ptr(), rows, columns, taps)


@dataclass(frozen=True, slots=True)
class Packed:
    """A topology in the kernel's form, for the kernel ``shape`` (outputs, inputs, taps)."""

    shape: tuple[int, int, int]
    active: int
    by_output: Order
    by_input: Order

    def topologies(self) -> tuple[Topology, Topology]:
        """As a pass over outputs and one over inputs sees it."""
        outputs, inputs, taps = self.shape
        return (
            self.by_output.topology(outputs, inputs, taps),
            self.by_input.topology(inputs, outputs, taps),
        )

    @property
    def nbytes(self) -> int:
        """Memory of the packed indices."""
        parts = (
            part
            for order in (self.by_output, self.by_input)
            for part in (order.starts, order.slots, order.codes)
        )
        return sum(part.nbytes for part in parts if part is not None)


def fits(shape: tuple[int, int, int]) -> bool:
    """Whether a kernel (outputs, inputs, taps) can be packed."""
    outputs, inputs, taps = shape
    return max(outputs, inputs) * taps <= MAX_ROW and outputs * inputs * taps < 2**31


def pack(positions: Tensor, shape: tuple[int, int, int]) -> Packed:
    """Pack the topology ``positions`` (active,), which count through a kernel of ``shape``.

    Positions may come in any order, but ascending ones cost less memory and time.

    Args:
        positions: int32 on the CPU.
        shape: outputs, inputs, taps.

    Raises:
        ValueError: a position lies outside the kernel, or a size is out of range.
        KernelUnavailableError: there is no native kernel here.
    """
    outputs, inputs, _ = shape
    if min(shape) < 1 or not fits(shape):
        raise ValueError(
            f"shape={shape}: must be positive, with at most {MAX_ROW} positions in a row"
        )
    if positions.dtype != torch.int32 or positions.dim() != 1 or positions.device.type != "cpu":
        raise ValueError("positions: must be one row of int32 on the CPU")
    positions, count = positions.contiguous(), len(positions)

    def order(rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
        starts = torch.empty(rows * -(-columns // BLOCK) + 1, dtype=torch.int32)
        slots = torch.empty(count, dtype=torch.int32)
        return starts, slots, torch.empty(count, dtype=torch.uint16)

    by_output, by_input = order(outputs, inputs), order(inputs, outputs)
    pointers = [part.data_ptr() for part in (*by_output, *by_input)]
    if load().pack(positions.data_ptr(), count, *shape, *pointers):
        raise ValueError(f"positions: must lie in a kernel of shape {shape}")
    starts, slots, codes = by_output
    ascending = bool((slots[1:] > slots[:-1]).all())
    return Packed(
        shape, count, Order(starts, None if ascending else slots, codes), Order(*by_input)
    )


class PackedTopology:
    """The packed form of a topology that changes: packed at its first use and after each change.

    Copies and pickles of it start empty, for torch cannot unpickle 16-bit indices.
    """

    def __init__(self) -> None:
        self._held: tuple[Tensor, int, Packed] | None = None

    def of(self, positions: Tensor, shape: tuple[int, int, int]) -> Packed:
        """What :func:`pack` returns for ``positions`` ``(active,)`` as they are now."""
        if positions.is_inference():  # has no version
            return pack(positions, shape)
        # Every change in place raises the version; a move to a device makes another tensor.
        held, version = self._held, positions._version
        if held is None or held[0] is not positions or held[1] != version:
            held = self._held = (positions, version, pack(positions, shape))
        return held[2]

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()
