"""What a method may add to a training: stages that it passes, and findings to record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from dsn_lab.data.module import TimeSeriesData
from dsn_lab.records.cell import Files
from dsn_lab.records.results import Record


@dataclass(frozen=True)
class Tested:
    """A training that has ended and was tested.

    Attributes:
        stages: the networks that training has passed, by name, the one that the result is of last;
            each is in its file.
        measures: what the test measured of each.
        data: of which only the training set may be looked at.
        files: the run's.
    """

    stages: Mapping[str, nn.Module]
    measures: Mapping[str, Mapping[str, float]]
    data: TimeSeriesData
    files: Files


class Staged(Callback):
    """A callback that leaves several networks, or has something to record.

    Epochs that it adds are settings of it whose names end in ``_epochs``.
    """

    def stages(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """The networks to test, by name; the one that the result is of comes last.

        Args:
            network: at the end of training, with the weights of lowest training loss.
        """
        return {"trained": network}

    def phase(self, epoch: int) -> str:
        """What an epoch is of, in a word or two."""
        return "training"

    def findings(self, tested: Tested) -> Record:
        """What to record besides, flat; figures and files of its own are written here.

        Where the result is not of the network that was trained last, its ``best_epoch``,
        ``train_loss`` and ``train_accuracy`` are among it.
        """
        return {}


@runtime_checkable
class Choosy(Protocol):
    """A callback that does not work with every network."""

    def require_usable(self, network: nn.Module) -> None:
        """Refuse a network before anything is trained.

        Raises:
            UserError: naming the setting.
        """


@runtime_checkable
class Renewable(Protocol):
    """A callback that a training of fresh weights, later in the same run, concerns."""

    def renew(self, trainer: Trainer, pl_module: LightningModule, epochs: int) -> None:
        """Begin anew with the module's network: ``epochs`` of training follow this epoch's end."""
