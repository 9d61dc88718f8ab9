"""TapNet (Zhang et al., AAAI 2020): attentional prototypes of what LSTM and convolutions find."""

import torch
from pydantic import PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.prototypes import Prototypical
from dsn_lab.registry import networks

TAPS = (8, 5, 3)
GROUPS = 3
SHARE = 1.5  # a group takes one channel in so many


@networks.register("tapnet", small={"filters": (4, 4, 4), "cells": 4, "sizes": (8, 6)})
class TapNet(Prototypical):
    """Convolutions of three random groups of channels, an LSTM, and a prototype of each class.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``, ``exp(-d ** 2 / 2)`` of the
    distance d to a class's prototype, which is a mean of its series weighted by attention.

    The authors' code differs where it could not be run on a test series alone, or peeks at the test
    set: there all series of training and test set are one batch, BatchNorm never leaves training,
    and the LSTM takes series for time steps. Here the LSTM reads the channels of one series,
    prototypes are those of the mini-batch in training and of all training series otherwise,
    running means normalise the test, and the groups of channels are part of the state. A group has
    one channel at least. Training does not stop at the first rise of the loss. Parameters are
    theirs.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        length: steps of the series.
        filters: of each convolution.
        cells: of the LSTM.
        sizes: of the two layers behind both.
        dilation: of the first convolution.

    Raises:
        ValueError: an argument is out of range, or the series are too short.
    """

    groups: Tensor

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        length: PositiveInt,
        filters: tuple[PositiveInt, PositiveInt, PositiveInt] = (256, 256, 128),
        cells: PositiveInt = 128,
        sizes: tuple[PositiveInt, PositiveInt] = (500, 300),
        dilation: PositiveInt = 1,
    ) -> None:
        shortest = dilation * (TAPS[0] - 1) + sum(TAPS[1:]) - 1
        if length < shortest:
            raise ValueError(f"series of {length} steps: TapNet needs {shortest} at least")
        super().__init__(n_classes, sizes[-1])
        self.length = length
        chosen = max(1, int(in_channels / SHARE))
        groups = [torch.randperm(in_channels)[:chosen] for _ in range(GROUPS)]
        self.register_buffer("groups", torch.stack(groups))
        first, second, third = filters
        self.own = nn.ModuleList(
            nn.Conv1d(chosen, first, TAPS[0], dilation=dilation) for _ in range(GROUPS)
        )
        self.shared = nn.Sequential(
            *(nn.BatchNorm1d(first), nn.LeakyReLU(), nn.Conv1d(first, second, TAPS[1])),
            *(nn.BatchNorm1d(second), nn.LeakyReLU(), nn.Conv1d(second, third, TAPS[2])),
            *(nn.BatchNorm1d(third), nn.LeakyReLU()),
        )
        self.lstm = nn.LSTM(length, cells, batch_first=True)
        wide, narrow = sizes
        self.mapping = nn.Sequential(
            nn.Linear(GROUPS * third + cells, wide),
            nn.BatchNorm1d(wide),
            nn.LeakyReLU(),
            nn.Linear(wide, narrow),
        )
        hidden = third
        self.attention = nn.ModuleList(
            nn.Sequential(nn.Linear(narrow, hidden), nn.Tanh(), nn.Linear(hidden, 1))
            for _ in range(n_classes)
        )

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings ``(batch, sizes[-1])`` of series ``(batch, channel, time)``."""
        if x.shape[-1] != self.length:
            raise ValueError(f"series of {x.shape[-1]} steps: this network is of {self.length}")
        features = [self.lstm(x)[0].mean(dim=1)]
        features += [
            self.shared(conv(x[:, chosen])).mean(dim=-1)
            for conv, chosen in zip(self.own, self.groups, strict=True)
        ]
        embedded: Tensor = self.mapping(torch.cat(features, dim=1))
        return embedded

    def prototype(self, embedded: Tensor, n_class: int) -> Tensor:
        """The class's series ``(n, size)``, weighted by its attention; ``(size,)``."""
        weights = self.attention[n_class](embedded).softmax(dim=0)
        made: Tensor = (weights * embedded).sum(dim=0)
        return made

    @property
    def paper_counts(self) -> dict[str, int]:
        """The paper's tables see the LSTM and the linear layers behind it twice."""
        return {"lstm": 2, "mapping": 2, "mapping.1": 1}
