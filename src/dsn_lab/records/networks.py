"""Networks in files: made of what is registered, with the weights that a run has found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dsn_lab.data.load import Dataset
from dsn_lab.errors import UserError
from dsn_lab.nn.sizes import sizes
from dsn_lab.prune.channels import Prunable
from dsn_lab.records import model_file
from dsn_lab.records.cell import Folder
from dsn_lab.registry import networks


def save_network(
    path: Path,
    settings: Mapping[str, Any],
    network: nn.Module,
    dataset: Dataset,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write what makes the network (a pruned one's shape too), its weights, its data's cleaning.

    Args:
        path: of the file.
        settings: the network's, of the configuration.
        network: whose weights and shape are written.
        dataset: that it was trained on.
        provenance: flat, where it comes from.
    """
    model_file.write(path, content_of(settings, network, dataset, provenance or {}))


def content_of(
    settings: Mapping[str, Any],
    network: nn.Module,
    dataset: Dataset,
    provenance: Mapping[str, Any],
) -> model_file.Content:
    """What the file of a network holds; arguments as of :func:`save_network`."""
    shape = network.shape if isinstance(network, Prunable) else {}
    _, channels, time = dataset.x_train.shape
    given = sizes(settings["name"], channels, len(dataset.classes), time)
    return model_file.Content(
        # As it will be read.
        model=json.loads(json.dumps({**settings, **given, **shape})),
        shape=tuple(shape),
        classes=dataset.classes,
        weights=network.state_dict(),
        cleaning=dataset.cleaning,
        provenance=dict(provenance),
    )


def load_network(path: str | Path) -> nn.Module:
    """The network that a run has saved, on the CPU and in eval mode.

    It maps ``(batch, channel, time)``, scaled as in training, to logits. Only a registered network
    is made, whatever the file names; one of your own is registered by importing its module.

    Raises:
        UserError: the file is damaged, or names a network that is not registered.
        FileNotFoundError: there is none.
    """
    return made(model_file.read(Path(path)), path)


def made(content: model_file.Content, path: str | Path) -> nn.Module:
    """The network of a file's content, in eval mode.

    Raises:
        UserError: it is not registered, or the weights are of another.
    """
    network: nn.Module = networks.make(content.model, key=str(path))
    try:
        network.load_state_dict(content.weights)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its weights are of another network") from error
    return network.eval()


def pruned_shape(folder: Path) -> dict[str, Any]:
    """The shape of the network that a finished run has left in its folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        content = model_file.read(Folder(folder).model)
    except FileNotFoundError as error:
        raise UserError(
            f"dsp=scratch: there is no pruned network in {folder}; run the same command with "
            "dsp=default first, or name the folder of such a run by dsp.shape_from"
        ) from error
    return {name: content.model[name] for name in content.shape if name in content.model}
