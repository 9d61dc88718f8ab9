"""Networks in files: the name that they are registered by, their settings, weights and classes."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dsn_lab.data.load import Dataset
from dsn_lab.errors import UserError
from dsn_lab.nn.sizes import sizes
from dsn_lab.prune.channels import Prunable
from dsn_lab.records import format0
from dsn_lab.records.cell import Folder
from dsn_lab.registry import networks
from dsn_lab.storage import written_whole


def save_network(
    path: Path, settings: Mapping[str, Any], network: nn.Module, dataset: Dataset
) -> None:
    """Write what makes the network (a pruned one's shape too), its weights and class names."""
    shape = network.shape if isinstance(network, Prunable) else {}
    _, channels, time = dataset.x_train.shape
    given = sizes(settings["name"], channels, len(dataset.classes), time)
    saved = {
        "model": {**settings, **given, **shape},
        "shape": shape,
        "weights": network.state_dict(),
        "classes": dataset.classes,
    }
    with written_whole(path) as temporary:
        torch.save(saved, temporary)


def load_network(path: str | Path) -> nn.Module:
    """The network that a run has saved, on the CPU and in eval mode.

    It maps ``(batch, channel, time)``, scaled as in training, to logits. Only a registered network
    is made, whatever the file names; one of your own is registered by importing its module.

    Raises:
        UserError: the file is damaged, or names a network that is not registered.
        FileNotFoundError: there is none.
    """
    saved = _read(Path(path))
    network: nn.Module = networks.make(saved["model"], key=str(path))
    try:
        network.load_state_dict(saved["weights"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its weights are of another network") from error
    return network.eval()


def pruned_shape(folder: Path) -> dict[str, Any]:
    """The shape of the network that a finished run has left in its folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = Folder(folder).model
    try:
        saved = _read(path)
    except FileNotFoundError as error:
        raise UserError(
            f"dsp=scratch: there is no pruned network in {folder}; run the same command with "
            "dsp=default first, or name the folder of such a run by dsp.shape_from"
        ) from error
    model: dict[str, Any] = saved["model"]
    names = saved.get("shape", ("widths", "active"))  # which the first files did not name
    return {name: model[name] for name in names if name in model}


def _read(path: Path) -> dict[str, Any]:
    """A network's file, with the name of the network as it is registered today."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = dict(saved["model"])
        if format0.TARGET in model:
            model["name"] = format0.name("model", model.pop(format0.TARGET))
        return {**saved, "model": model | {"name": str(model["name"])}}
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as bad:
        raise UserError(f"{path} is damaged; run its cell anew with force=true") from bad
