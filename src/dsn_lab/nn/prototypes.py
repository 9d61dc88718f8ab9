"""Networks that classify by the distance to a prototype of each class."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class Prototypical(nn.Module, ABC):
    """A network whose prototypes are made of labelled series.

    In training they are those of the batch, whose labels the forward pass is given; otherwise those
    that :meth:`settle` has made of the whole training set, which are part of its state.

    Args:
        n_classes: number of classes.
        size: of an embedding.
    """

    prototypes: Tensor

    def __init__(self, n_classes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(n_classes, size))

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Embeddings ``(batch, size)`` of series ``(batch, channel, time)``."""

    @abstractmethod
    def prototype(self, embedded: Tensor, n_class: int) -> Tensor:
        """The prototype ``(size,)`` of a class's embedded series ``(n, size)``."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits ``(batch, n_classes)`` of series ``(batch, channel, time)``.

        Args:
            x: series.
            labels: theirs ``(batch,)``, where prototypes are to be those of the batch; a class that
                is not among them has the logit minus infinity.
        """
        embedded = self.embed(x)
        if labels is None:
            return self._logits(embedded, self.prototypes)
        logits = self._logits(embedded, self._of(embedded, labels))
        present = torch.zeros(len(self.prototypes), dtype=torch.bool, device=labels.device)
        return logits.masked_fill(~present.index_fill(0, labels, value=True), -torch.inf)

    @staticmethod
    def _logits(embedded: Tensor, prototypes: Tensor) -> Tensor:
        # Not by torch.cdist, whose square root has no gradient at 0.
        distances = (embedded[:, None] - prototypes).square().sum(dim=-1)
        return distances.div(-2).exp()

    def _of(self, embedded: Tensor, labels: Tensor) -> Tensor:
        """Prototypes of labelled embeddings; 0 of a class that is not there."""
        made = []
        for n_class in range(len(self.prototypes)):
            among = embedded[labels == n_class]
            here = self.prototype(among, n_class) if len(among) else embedded.new_zeros(())
            made.append(here.expand(embedded.shape[1]))
        return torch.stack(made)

    @torch.no_grad()
    def settle(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Take the prototypes of the training set, in eval mode.

        Args:
            batches: series ``(batch, channel, time)`` and labels ``(batch,)``.
        """
        training, device = self.training, self.prototypes.device
        self.eval()
        pairs = [(self.embed(x.to(device)), y.to(device)) for x, y in batches]
        embedded, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        self.prototypes.copy_(self._of(embedded, labels))
        self.train(training)
