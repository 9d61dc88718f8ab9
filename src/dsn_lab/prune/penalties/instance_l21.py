"""The instance-wise L2,1 loss of DSP."""

import torch
from torch import Tensor

from dsn_lab.prune.penalties import Reduction
from dsn_lab.registry import penalties


@penalties.register("instance_l21")
def instance_l21(feature_map: Tensor, reduction: Reduction) -> Tensor:
    """L2 over time, L1 over channels: ``sum_c ||F[b, c, :]||_2``, summed or averaged over ``b``.

    Args:
        feature_map: ``(batch, channel, time)``.
        reduction: ``sum`` over the batch, as the authors do, or ``mean``.
    """
    norms: Tensor = torch.linalg.vector_norm(feature_map, dim=-1).sum(dim=-1)
    return norms.sum() if reduction == "sum" else norms.mean()
