"""A topology in the form that the native kernel walks through, made once per change."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsn_lab.kernels.build import load
from dsn_lab.kernels.interface import Topology

MAX_ROW = 2**16  # positions in a kernel's row of inputs or outputs, whose codes have 16 bits


@dataclass(frozen=True, slots=True)
class Packed:
    """A topology in the kernel's form, for the kernel ``shape`` (outputs, inputs, taps).

    Args:
        shape: of the kernel.
        positions: ascending: the layer's own tensor if it is so, not a copy.
        version: of ``positions`` when they were packed.
        slots: where each position's weight is among the values; None: in the same order.
        starts: where the weights of each output and of each input begin in their orders, and, of
            16 bits, where within an output's those of each input do.
    """

    shape: tuple[int, int, int]
    positions: Tensor
    version: int
    slots: Tensor | None
    starts: tuple[Tensor, Tensor, Tensor]

    @property
    def active(self) -> int:
        """Number of active weights."""
        return len(self.positions)

    def require_current(self) -> None:
        """Raise RuntimeError if the positions have changed in place since they were packed.

        That is where a backward pass comes after a change that followed its forward pass.
        """
        if self.positions._version != self.version:
            raise RuntimeError("a topology has changed in place since it was packed")

    def topology(self) -> Topology:
        """For the C functions; errors as above."""
        self.require_current()
        return Topology(
            *(part.data_ptr() for part in (*self.starts, self.positions)),
            None if self.slots is None else self.slots.data_ptr(),
            *self.shape,
        )

    @property
    def nbytes(self) -> int:
        """Memory beyond that of the layer's positions."""
        copied = () if self.slots is None else (self.positions, self.slots)
        return sum(part.nbytes for part in (*self.starts, *copied))


def fits(shape: tuple[int, int, int]) -> bool:
    """Whether a kernel (outputs, inputs, taps) can be packed."""
    outputs, inputs, taps = shape
    return max(outputs, inputs) * taps <= MAX_ROW and outputs * inputs * taps < 2**31


def pack(positions: Tensor, shape: tuple[int, int, int]) -> Packed:
    """Pack the topology ``positions`` (active,), which count through a kernel of ``shape``.

    Positions may come in any order, but ascending ones cost less memory and time: they are not
    copied, and must stay as they are while the result is used.

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
    slots = None
    # Inference tensors have no version that would tell of a change.
    shared = not positions.is_inference() and bool((positions[1:] >= positions[:-1]).all())
    with torch.inference_mode(False):
        if not shared:
            positions, order = torch.sort(positions.clone(), stable=True)
            slots = order.int()
        positions = positions.contiguous()
    starts = (
        torch.empty(outputs + 1, dtype=torch.int32),
        torch.empty(inputs + 1, dtype=torch.int32),
        torch.empty(outputs * inputs, dtype=torch.uint16),
    )
    pointers = [part.data_ptr() for part in starts]
    if load().pack(positions.data_ptr(), len(positions), *shape, *pointers):
        raise ValueError(f"positions: must lie in a kernel of shape {shape}, each once")
    return Packed(shape, positions, positions._version, slots, starts)


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
