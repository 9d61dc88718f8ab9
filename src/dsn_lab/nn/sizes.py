"""What a network's arguments take from the data."""

import inspect
from typing import Any

from dsn_lab.registry import networks


def sizes(name: str, in_channels: int, n_classes: int, length: int) -> dict[str, Any]:
    """Arguments of a registered network that follow from the data.

    Args:
        name: the network's.
        in_channels: channels of the series.
        n_classes: number of classes.
        length: steps of the series, of which only networks with layers of that size know.
    """
    found: dict[str, Any] = {"in_channels": in_channels, "n_classes": n_classes}
    if "length" in inspect.signature(networks[name]).parameters:
        found["length"] = length
    return found
