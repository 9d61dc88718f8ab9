"""Numbers as settings hold them: of one type, finite, and small enough for whoever reads them."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

# What seeds, counts and sizes may be: numpy's and torch's generators take 32 bits.
LARGEST = 2**32 - 1
# Nothing that is counted here needs more, and buffers of more cannot be had.
MANY = 2**31 - 1
QUOTED = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan|infinity)", re.I)


def number_or_whatever(value: Any) -> Any:
    """Refuse what would be taken for a number and is none: true, and a number in quotes.

    One number written in two ways would be two runs.
    """
    if isinstance(value, bool):
        raise PydanticCustomError("bool", "must be a number, not true or false")
    if isinstance(value, str) and QUOTED.fullmatch(value.strip()):
        raise PydanticCustomError(
            "quoted", "{value} is a number in quotes: leave them out", {"value": value}
        )
    return value


_number = BeforeValidator(number_or_whatever)
Whole = Annotated[int, Field(ge=0, le=MANY), _number]
Positive = Annotated[int, Field(gt=0, le=MANY), _number]
Seed = Annotated[int, Field(ge=0, le=LARGEST), _number]
Real = Annotated[float, Field(allow_inf_nan=False), _number]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False), _number]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), _number]
Share = Annotated[float, Field(ge=0, le=1), _number]
BelowOne = Annotated[float, Field(ge=0, lt=1), _number]


def require_plain(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse, at any depth, numbers in quotes, not finite, or of more than 64 bits."""
    for key, value in leaves(settings):
        if isinstance(value, bool):
            continue
        number_or_whatever_of(key, value)
        if isinstance(value, float) and not math.isfinite(value):
            raise PydanticCustomError(
                "finite", "{key}={value}: must be finite", {"key": key, "value": value}
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise PydanticCustomError("bits", "{key}: must fit 64 bits", {"key": key})
    return settings


def number_or_whatever_of(key: str, value: Any) -> None:
    """:func:`number_or_whatever` of one among several, named in the error."""
    try:
        number_or_whatever(value)
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "quoted", "{key}={said}", {"key": key, "said": error.message()}
        ) from error


def leaves(settings: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything that is neither a mapping nor a list."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from leaves(value, key)
    else:
        yield key, settings
