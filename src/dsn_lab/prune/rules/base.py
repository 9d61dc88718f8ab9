"""What a rule is, and the filters that stay whatever it says."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Rule(ABC):
    """Which filters of a layer stay: feature maps to a score a filter, scores to what is kept.

    A subclass decorated with ``@rules.register(name)`` is chosen by ``dsp.rule=name``. What its
    constructor takes are its settings, given as ``dsp.<setting>``. The training set is streamed
    through :meth:`add` batch by batch, in eval mode, with the best weights.

    Attributes:
        score: what a score is, in words.
        logarithmic: whether scores are to be drawn on a logarithmic axis.
    """

    score: str
    logarithmic: bool = False

    @abstractmethod
    def add(self, scores: Tensor, feature_map: Tensor) -> Tensor:
        """Take a batch into the scores of a layer.

        Args:
            scores: so far ``(filters,)``; 0 before the first batch.
            feature_map: of the layer's trainable filters ``(batch, filters, time)``.
        """

    @abstractmethod
    def cut(self, scores: Tensor) -> float:
        """The score up to which filters of the layer are redundant."""

    def kept(
        self, scores: Tensor, cut: float, widths: Sequence[int], least: tuple[int, int]
    ) -> list[Tensor]:
        """Of each branch, the indices of the filters that stay, ascending.

        As the authors have it, filter 0 stands in where too few would stay.

        Args:
            scores: of the layer's filters.
            cut: what :meth:`cut` says.
            widths: filters of each branch.
            least: filters that each branch, and the layer, must keep.
        """
        return at_least(scores > cut, widths, least)


def at_least(stay: Tensor, widths: Sequence[int], least: tuple[int, int]) -> list[Tensor]:
    """Indices of the filters that stay in each branch, with those that must.

    Where a branch would keep too few its first filters stay, too; where the layer would, the
    first filters of its first branches.
    """
    of_branch, of_layer = least
    branches = [branch.clone() for branch in torch.split(stay, list(widths))]
    for branch in branches:
        for index in range(len(branch)):
            if int(branch.sum()) < of_branch:
                branch[index] = True
    for index in range(max(widths)):
        for branch in branches:
            if index < len(branch) and sum(int(each.sum()) for each in branches) < of_layer:
                branch[index] = True
    return [branch.nonzero().flatten() for branch in branches]
