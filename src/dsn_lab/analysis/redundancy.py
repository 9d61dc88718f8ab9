"""How alike the feature maps of a layer are: two measures of redundancy, on training series."""

import torch
from torch import Tensor


def cosine_sum(feature_map: Tensor) -> Tensor:
    """The DSP authors' measure: sum of cosine similarities between a series' active channels.

    A channel is active on a series if its norm over time is above the series' mean, which is the
    sum of norms over one more than the number of channels that are not zero.

    Args:
        feature_map: ``(series, channel, time)``.

    Returns:
        Of each series the sum over pairs of different active channels, ``(series,)``. It grows with
        the square of their number, so it falls when channels go, alike or not.
    """
    norms = torch.linalg.vector_norm(feature_map, dim=-1)
    mean = norms.sum(dim=1) / ((norms > 0).sum(dim=1) + 1)
    active = norms > mean[:, None]
    unit = torch.nn.functional.normalize(feature_map, dim=-1) * active[:, :, None]
    every: Tensor = (unit @ unit.transpose(1, 2)).sum(dim=(1, 2))
    pairs: Tensor = (every - active.sum(dim=1)) / 2
    return pairs


def mean_correlation(feature_map: Tensor) -> float:
    """Ours: mean absolute Pearson correlation between channels, over series and time together.

    Args:
        feature_map: ``(series, channel, time)``, two channels at least.

    Returns:
        In [0, 1], whatever the number of channels; constant ones have correlation 0.
    """
    rows = feature_map.transpose(0, 1).flatten(1)
    alike = torch.corrcoef(rows).nan_to_num(0.0).abs().fill_diagonal_(0)
    n = len(rows)
    return float(alike.sum() / (n * (n - 1)))
