"""Series from memory, in all forms that people keep them in, as one raw array."""

from typing import Any

import numpy as np

from dsn_lab.data import transforms
from dsn_lab.data.transforms import Floats
from dsn_lab.errors import UserError

FORMS = "an array (n, channel, time) or (n, time), a list of such series, or a data frame as aeon's"


def raw(series: Any) -> Floats:
    """Return series as ``(n, channel, time)``, floating, NaN past the end of shorter ones.

    Args:
        series: an array ``(n, channel, time)`` or ``(n, time)``; a list of arrays
            ``(channel, time)`` or ``(time,)`` of any lengths; a list of data frames, or a data
            frame, in aeon's forms.

    Raises:
        UserError: they are nothing of this, or there is no series, or an empty one.
    """
    if _is_frame(series) or (isinstance(series, list) and series and _is_frame(series[0])):
        series = _of_frames(series)
    if isinstance(series, list | tuple):
        return transforms.stack([_one(each, row) for row, each in enumerate(series)], "new")
    x = _numbers(series)
    if x.ndim not in (2, 3):
        raise UserError(f"series of shape {x.shape}: expected {FORMS}")
    return transforms.stack(x[:, None, :] if x.ndim == 2 else x, "new")


def _is_frame(series: Any) -> bool:
    return type(series).__name__ == "DataFrame"


def _of_frames(series: Any) -> Any:
    from aeon.utils.conversion import convert_collection

    try:
        return convert_collection(series, "np-list")
    except (TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the data frame is in none of aeon's forms: {reason}") from error


def _one(series: Any, row: int) -> Floats:
    x = _numbers(series)
    if x.ndim not in (1, 2):
        raise UserError(f"series {row} has shape {x.shape}: expected (channel, time) or (time,)")
    return np.atleast_2d(x)


def _numbers(series: Any) -> Floats:
    try:
        x = np.asarray(series)
        if x.dtype.kind not in "fiu":
            x = x.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"series are no numbers ({error}): expected {FORMS}") from error
    return x.astype(np.result_type(x.dtype, np.float32), copy=False)
