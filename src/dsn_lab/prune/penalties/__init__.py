"""Sparsity losses on feature maps, one module each.

A penalty is a function ``(feature_map, reduction) -> Tensor`` of a feature map ``(batch, channel,
time)`` to a scalar; it is 0 exactly if the map is.
"""

from typing import Literal

Reduction = Literal["sum", "mean"]
