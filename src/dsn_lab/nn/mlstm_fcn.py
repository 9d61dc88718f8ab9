"""MLSTM-FCN (Karim et al., 2019): convolutions that attend to channels, beside an LSTM."""

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.dropout import Dropout
from dsn_lab.nn.keras import as_keras
from dsn_lab.registry import networks

Variant = Literal["paper", "authors"]
TAPS = (8, 5, 3)
SHORTEST = sum(TAPS) - len(TAPS) + 1  # steps of which the convolutions leave one, unpadded
REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Scale each channel by what all channels' means say of it; ``(batch, channel, time)``."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        reduced = max(1, channels // REDUCTION)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(channels, reduced, bias=bias),
            nn.ReLU(),
            nn.Linear(reduced, channels, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        scaled: Tensor = x * self.weigh(x).unsqueeze(-1)
        return scaled


@networks.register("mlstm_fcn", small={"filters": (64, 64, 4), "cells": 3})
class MLSTMFCN(nn.Module):
    """Three convolutions with squeeze-and-excite, and an LSTM's last output, classified together.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        length: steps of the series.
        variant: ``paper``, whose parameters DSN's Table 2 prints: the LSTM reads the series step by
            step, and nothing is padded; or ``authors``: it reads them channel by channel, each all
            at once ("dimension shuffle"), passing over channels that are 0 throughout,
            convolutions keep the length, and first weights and BatchNorm are as in Keras.
        filters: of each convolution.
        cells: of the LSTM.
        dropout: share of the LSTM's output that is dropped in training.

    Raises:
        ValueError: an argument is out of range, or the series are too short.
    """

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        length: PositiveInt,
        variant: Variant = "paper",
        filters: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 256, 128),
        cells: PositiveInt = 8,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.8,
    ) -> None:
        if variant == "paper" and length < SHORTEST:
            raise ValueError(f"series of {length} steps: MLSTM-FCN needs {SHORTEST} at least")
        super().__init__()
        self.length, self.shuffled = length, variant == "authors"
        layers: list[nn.Module] = []
        channels = in_channels
        for width, taps in zip(filters, TAPS, strict=True):
            padding = "same" if self.shuffled else "valid"
            conv = nn.Conv1d(channels, width, taps, padding=padding)
            layers += [conv, nn.BatchNorm1d(width), nn.ReLU()]
            layers.append(SqueezeExcite(width, bias=not self.shuffled))
            channels = width
        self.features = nn.Sequential(*layers[:-1])
        self.lstm = nn.LSTM(length if self.shuffled else in_channels, cells, batch_first=True)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(cells + channels, n_classes)
        if self.shuffled:
            self._as_keras()

    def _as_keras(self) -> None:
        as_keras(self)
        for module in self.features.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_uniform_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        read = self._last_of_channels(x) if self.shuffled else self._last_of_steps(x)
        convolved = self.features(x).mean(dim=-1)
        logits: Tensor = self.classifier(torch.cat([self.dropout(read), convolved], dim=1))
        return logits

    def _last_of_steps(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.lstm(x.transpose(1, 2))[0]
        return outputs[:, -1]

    def _last_of_channels(self, x: Tensor) -> Tensor:
        """What the LSTM says after the last channel that is not 0 throughout; 0 without any."""
        if x.shape[-1] != self.length:
            raise ValueError(f"series of {x.shape[-1]} steps: this network is of {self.length}")
        seen = (x != 0).any(dim=-1)
        order = (~seen).long().argsort(dim=1, stable=True)
        outputs: Tensor = self.lstm(x.gather(1, order.unsqueeze(-1).expand_as(x)))[0]
        count = seen.sum(dim=1)
        last = outputs[torch.arange(len(x), device=x.device), (count - 1).clamp(min=0)]
        return last * (count > 0).unsqueeze(-1)
