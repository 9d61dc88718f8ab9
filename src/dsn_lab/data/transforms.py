"""Cleaning: from raw series to finite float32 arrays ``(batch, channel, time)``; pure numpy.

The policy, written once; nothing is ever fitted on the test split:

1. NaN common to all channels at the end of a series marks the end of a shorter series (so do the
   UCR files); NaN elsewhere is a missing value.
2. Every series is brought to the length of the longest training series: longer test series are
   cut, shorter series are padded at the end.
3. A missing value is interpolated linearly along time within its channel; a gap at either end
   takes the nearest observed value. A channel without any observation in a series takes the
   channel's mean over the training split (the overall mean if the channel is never observed).
4. ``scaling="train"`` subtracts the overall mean of the observed training values (all channels
   together) and divides by their standard deviation, in float64; ``"series"`` does the same with
   the moments of each channel of each series (a constant one becomes 0); ``"none"`` keeps the
   values.
5. Padding is 0 after scaling: the training mean when standardised, plain zero otherwise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError

SCALINGS = ("none", "train", "series")
_LIMIT = float(np.finfo(np.float32).max)

Floats = NDArray[np.floating[Any]]
Facts = dict[str, str | int | float]


@dataclass(frozen=True)
class Fitted:
    """What is learnt from the training split: overall moments and each channel's mean."""

    mean: float
    std: float
    channel_mean: NDArray[np.float64]


def stack(series: Floats | list[Floats], split: str) -> Floats:
    """Return series of any lengths as one array ``(batch, channel, time)``, NaN past each end.

    Args:
        series: an array ``(batch, channel, time)`` or a list of arrays ``(channel, time)``.
        split: ``"train"`` or ``"test"``, named in errors.

    Raises:
        UserError: there is no series, one is empty, or the series differ in channels.
    """
    if len(series) == 0:
        raise UserError(f"the {split} split holds no series: it needs at least one")
    if isinstance(series, np.ndarray):
        if series.ndim != 3 or 0 in series.shape:
            raise UserError(
                f"the {split} split has shape {series.shape}: expected (batch, channel, time)"
            )
        return series
    channel = series[0].shape[0]
    for row, one in enumerate(series):
        if one.ndim != 2 or one.shape[0] != channel or one.size == 0:
            raise UserError(
                f"{split} series {row} has shape {one.shape}: expected ({channel} channels, time)"
            )
    out = np.full((len(series), channel, max(one.shape[1] for one in series)), np.nan)
    for row, one in enumerate(series):
        out[row, :, : one.shape[1]] = one
    return out


def resize(x: Floats, time: int) -> Floats:
    """Cut or NaN-pad ``(batch, channel, any)`` at its end to ``(batch, channel, time)``."""
    if x.shape[2] >= time:
        return x[:, :, :time]
    return np.pad(x, ((0, 0), (0, 0), (0, time - x.shape[2])), constant_values=np.nan)


def observed_lengths(x: Floats) -> NDArray[np.int64]:
    """Return each series' length ``(batch,)`` without the trailing NaN common to all channels."""
    seen = np.any(~np.isnan(x), axis=1)
    last = x.shape[2] - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), last, 0).astype(np.int64)


def fit(x: Floats) -> Fitted:
    """Fit the moments of the observed (not NaN) values of ``(batch, channel, time)``."""
    seen = ~np.isnan(x)
    values = x if seen.all() else x[seen]
    mean = float(values.mean(dtype=np.float64))
    count = seen.sum(axis=(0, 2))
    total = np.where(seen, x, 0).sum(axis=(0, 2), dtype=np.float64)
    channel_mean = np.where(count > 0, total / np.maximum(count, 1), mean)
    constant = bool(values.min() == values.max())
    std = 0.0 if constant else float(values.std(dtype=np.float64))
    return Fitted(mean, std, channel_mean)


def fill_gaps(
    x: Floats, lengths: NDArray[np.int64], channel_mean: NDArray[np.float64]
) -> tuple[Floats, int]:
    """Fill the NaN before each series' end; return the filled array and how many there were.

    Args:
        x: ``(batch, channel, time)``; not modified.
        lengths: ``(batch,)`` ends of the series; NaN from there on is padding and stays.
        channel_mean: ``(channel,)`` value for a channel with no observation in a series.
    """
    missing = np.isnan(x) & (np.arange(x.shape[2]) < lengths[:, None])[:, None, :]
    if not missing.any():
        return x, 0
    out = x.copy()
    for row, channel in zip(*np.nonzero(missing.any(axis=2)), strict=True):
        gap = np.flatnonzero(missing[row, channel])
        seen = np.flatnonzero(~np.isnan(x[row, channel]))
        if seen.size:
            out[row, channel, gap] = np.interp(gap, seen, x[row, channel, seen])
        else:
            out[row, channel, gap] = channel_mean[channel]
    return out, int(missing.sum())


def finish(x: Floats, fitted: Fitted, scaling: str, split: str) -> NDArray[np.float32]:
    """Scale in float64, put 0 where padding is still NaN, and return float32, C-contiguous.

    Raises:
        UserError: a scaled value does not fit float32.
    """
    if scaling == "train":
        x = (x - np.float64(fitted.mean)) / np.float64(fitted.std)
    elif scaling == "series":
        # Of a constant channel rounding may leave a spread of almost nothing.
        size = np.nanmax(np.abs(x), axis=2, keepdims=True)
        spread = np.nanstd(x, axis=2, keepdims=True, dtype=np.float64)
        x = x - np.nanmean(x, axis=2, keepdims=True, dtype=np.float64)
        x = x / np.where(spread > 1e-9 * size, spread, 1)
    _check_range(x, split)
    out = np.array(x, dtype=np.float32, order="C")
    out[np.isnan(out)] = 0
    return out


def clean(
    train: Floats, test: Floats, scaling: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], Facts]:
    """Apply the module's policy to two raw arrays ``(batch, channel, time)`` with NaN.

    Returns:
        The train and test arrays (float32, finite, same channel and time), and the facts:
        ``unequal_length``, ``n_padded_*``, ``n_truncated``, ``n_missing_*``, ``train_mean``,
        ``train_std``, ``scaling``.

    Raises:
        UserError: the splits differ in channels, a value is infinite or beyond float32, a series
            has no observation, the training values are constant and must be scaled, or
            ``scaling`` is unknown.
    """
    if scaling not in SCALINGS:
        raise UserError(f"scaling {scaling!r} is unknown: expected {' or '.join(SCALINGS)}")
    if train.shape[1] != test.shape[1]:
        raise UserError(
            f"train has {train.shape[1]} channels but test has {test.shape[1]}: they must agree"
        )
    for x, split in ((train, "train"), (test, "test")):
        _check_range(x, split)
    train_lengths, test_lengths = observed_lengths(train), observed_lengths(test)
    time = max(1, int(train_lengths.max()))
    train, test = resize(train, time), resize(test, time)
    for x, split in ((train, "train"), (test, "test")):
        _check_observed(x, split)
    fitted = fit(train)
    if scaling == "train" and fitted.std == 0:
        raise UserError("the training values are constant: scaling=train needs a spread, use none")
    train, n_missing_train = fill_gaps(train, train_lengths, fitted.channel_mean)
    test, n_missing_test = fill_gaps(test, test_lengths, fitted.channel_mean)
    facts: Facts = {
        "scaling": scaling,
        "train_mean": fitted.mean,
        "train_std": fitted.std,
        "unequal_length": bool((train_lengths != time).any() or (test_lengths != time).any()),
        "n_padded_train": int((train_lengths < time).sum()),
        "n_padded_test": int((test_lengths < time).sum()),
        "n_truncated": int((test_lengths > time).sum()),
        "n_missing_train": n_missing_train,
        "n_missing_test": n_missing_test,
    }
    return (
        finish(train, fitted, scaling, "train"),
        finish(test, fitted, scaling, "test"),
        facts,
    )


def _check_range(x: Floats, split: str) -> None:
    """Refuse values that float32 cannot hold, infinite ones among them."""
    bad = (x > _LIMIT) | (x < -_LIMIT)
    if bad.any():
        row, channel, step = np.argwhere(bad)[0]
        raise UserError(
            f"{split} series {row} is infinite or beyond float32 in channel {channel} "
            f"at step {step}: expected finite values, correct or remove it"
        )


def _check_observed(x: Floats, split: str) -> None:
    """Refuse series without a single observation."""
    empty = np.isnan(x).all(axis=(1, 2))
    if empty.any():
        raise UserError(
            f"{split} series {int(np.argmax(empty))} has no observation in its first "
            f"{x.shape[2]} steps: expected at least one, remove it"
        )
