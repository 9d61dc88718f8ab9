"""What a method may add to a training: stages that it passes, and findings to record."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning.pytorch import Callback
from torch import nn

from dsn_lab.data.module import TimeSeriesData
from dsn_lab.records.cell import Files
from dsn_lab.records.results import Record


@dataclass(frozen=True)
class Tested:
    """A training that has ended and was tested.

    Attributes:
        stages: the networks that training has passed, by name, the final one last; each is in its
            file.
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
        """The networks to test, by name, in the order of training; ``network`` is the final one."""
        return {"trained": network}

    def findings(self, tested: Tested) -> Record:
        """What to record besides, flat; figures and files of its own are written here."""
        return {}
