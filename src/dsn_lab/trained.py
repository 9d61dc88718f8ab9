"""A trained network with all that it needs: raw series in, class names and probabilities out."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsn_lab.data import collections
from dsn_lab.data.module import EVALUATION_BATCH
from dsn_lab.data.transforms import Cleaning
from dsn_lab.errors import UserError
from dsn_lab.records import model_file
from dsn_lab.records.networks import made


class TrainedModel:
    """A network, the cleaning of the data that it was trained on, and the names of its classes.

    Series are given raw: arrays ``(n, channel, time)`` or, of one channel, ``(n, time)``; lists of
    arrays ``(channel, time)`` or ``(time,)`` of any lengths; or data frames in aeon's forms. They
    are cleaned as the test series were (:mod:`dsn_lab.data.transforms`): shorter ones padded,
    longer ones cut, NaN inside them interpolated.

    Attributes:
        network: maps what :meth:`prepare` returns to logits ``(n, n_classes)``; in eval mode.
        classes: names of the classes, in the order of logits and probabilities.
        settings: the network's name and all of its arguments.
        cleaning: what was fitted in training.
        provenance: flat: data and their digests, seed, the run's place, the code.
    """

    def __init__(self, content: model_file.Content, cleaning: Cleaning, network: nn.Module) -> None:
        self.network, self.cleaning = network, cleaning
        self.classes, self.settings = content.classes, content.model
        self.shape, self.provenance = content.shape, content.provenance

    @property
    def channels(self) -> int:
        """Channels of the series."""
        return len(self.cleaning.fitted.channel_mean)

    @property
    def length(self) -> int:
        """Time steps that series are brought to."""
        return self.cleaning.length

    def prepare(self, series: Any) -> Tensor:
        """The network's input ``(n, channel, time)``, float32, of raw series.

        Raises:
            UserError: the channels are not those of training, a value is infinite or beyond
                float32, a series has no value, or there is none.
        """
        return torch.from_numpy(self.cleaning.apply(collections.raw(series), "new")[0])

    @torch.inference_mode()
    def predict_proba(self, series: Any) -> NDArray[np.float64]:
        """Probabilities ``(n, n_classes)`` of raw series, each row of sum 1.

        Raises:
            UserError: as :meth:`prepare`.
        """
        x = self.prepare(series)
        # In batches as in the final test, so that the same series get the same bits.
        parts = torch.tensor_split(x, ceil(len(x) / EVALUATION_BATCH))
        return torch.cat([self.network(part).double().softmax(dim=1) for part in parts]).numpy()

    def predict(self, series: Any) -> NDArray[np.str_]:
        """Names ``(n,)`` of the likeliest classes of raw series.

        Raises:
            UserError: as :meth:`prepare`.
        """
        names: NDArray[np.str_] = np.array(self.classes)
        best: NDArray[np.str_] = names[self.predict_proba(series).argmax(axis=1)]
        return best

    def save(self, path: str | Path, more: Mapping[str, Any] | None = None) -> None:
        """Write it as a file that :func:`load_model` reads.

        Args:
            path: of the file.
            more: what its provenance is to say besides; JSON.
        """
        content = model_file.Content(
            model=self.settings,
            shape=self.shape,
            classes=self.classes,
            weights=self.network.state_dict(),
            cleaning=self.cleaning,
            provenance={**self.provenance, **(more or {})},
        )
        model_file.write(Path(path), content)


def load_model(path: str | Path) -> TrainedModel:
    """The model that a run has left in a file, on the CPU.

    Raises:
        UserError: the file is damaged, altered or of a later version, names a network that is not
            registered (one of your own is, once its module is imported), or does not say how
            series are scaled, as files of the first versions do not.
        FileNotFoundError: there is none.
    """
    content = model_file.read(Path(path))
    if content.cleaning is None:
        raise UserError(
            f"{path} does not say how raw series are scaled, because an early version wrote it: "
            "run its cell anew with force=true"
        )
    return TrainedModel(content, content.cleaning, made(content, path))
