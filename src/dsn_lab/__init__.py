"""Sparse networks for time series classification: train, ablate and measure them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsn_lab.trained import TrainedModel, load_model

__all__ = ["TrainedModel", "load_model"]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import, and half of what is in here does without.
    if name in __all__:
        from dsn_lab import trained

        return getattr(trained, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
