"""Kernel groups and their exploration regions (Sec. 3.4): where weights may be, and how many."""

from fractions import Fraction


def region_taps(kernel_size: int, groups: int) -> tuple[int, ...]:
    """Taps that each group may use: group i of N has the first ``i * (kernel_size // N)``.

    >>> region_taps(39, 3)
    (13, 26, 39)
    """
    if not 1 <= groups <= kernel_size:
        raise ValueError(f"groups={groups}: must be from 1 to kernel_size={kernel_size}")
    return tuple(i * (kernel_size // groups) for i in range(1, groups + 1))


def group_widths(out_channels: int | tuple[int, ...], groups: int) -> tuple[int, ...]:
    """Output channels of each group: as given, or equally many.

    >>> group_widths(6, 3)
    (2, 2, 2)
    """
    if isinstance(out_channels, tuple):
        if len(out_channels) != groups:
            raise ValueError(f"out_channels={out_channels}: must be a number for each of {groups=}")
        return out_channels
    if out_channels % groups:
        raise ValueError(
            f"groups={groups}: does not divide the {out_channels} output channels of a sparse "
            "layer (3 x width in DSN)"
        )
    return (out_channels // groups,) * groups


def active_counts(sizes: tuple[int, ...], sparsity: float) -> tuple[int, ...]:
    """Active weights of each group: ``floor(size * (1 - sparsity))``.

    The sparsity is read as the decimal it is written as, so that 0.9 of 100 positions leaves 10,
    where binary floating point would leave 9.
    """
    density = 1 - Fraction(str(sparsity))
    return tuple(int(size * density) for size in sizes)
