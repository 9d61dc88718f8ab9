"""Cleaning: from raw series to finite float32 arrays ``(batch, channel, time)``; pure numpy.

The policy, written once; nothing is ever fitted on the test split:

1. NaN common to all channels at the end of a series marks the end of a shorter series (so do the
   UCR files); NaN elsewhere is a missing value.
2. Every series is brought to the length of the longest training series: longer test series are
   cut, shorter series are padded at the end.
3. A missing value is interpolated linearly along time within its channel; a gap at either end
   takes the nearest observed value. A channel without any observation in a series takes the
   channel's mean over the training split (the overall mean if the channel is never observed).
   With ``gaps="zero"`` a missing value is 0 after scaling instead, like padding.
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
GAPS = ("interpolate", "zero")
_LIMIT = float(np.finfo(np.float32).max)

Floats = NDArray[np.floating[Any]]
Facts = dict[str, str | int | float]


@dataclass(frozen=True)
class Fitted:
    """What is learnt from the training split: overall moments and each channel's mean."""

    mean: float
    std: float
    channel_mean: NDArray[np.float64]


@dataclass(frozen=True)
class Cleaning:
    """The policy as it was fitted: it makes any raw series what the training series were made.

    Attributes:
        scaling: ``"none"``, ``"train"`` or ``"series"``.
        length: time steps that every series is brought to.
        fitted: moments of the training split.
        gaps: ``"interpolate"`` or ``"zero"``.
    """

    scaling: str
    length: int
    fitted: Fitted
    gaps: str = "interpolate"

    def apply(self, x: Floats, split: str) -> tuple[NDArray[np.float32], Facts]:
        """Clean raw series ``(batch, channel, time)`` with NaN.

        Args:
            x: of any length; not modified.
            split: what they are, for errors: ``"train"``, ``"test"`` or ``"new"``.

        Returns:
            The series ``(batch, channel, length)``, and how many were ``padded`` and
            ``truncated``, and how many values were ``missing``.

        Raises:
            UserError: the channels are not the training split's, a value is infinite or beyond
                float32, or a series has no observation in its first ``length`` steps.
        """
        if x.shape[1] != len(self.fitted.channel_mean):
            raise UserError(
                f"train has {len(self.fitted.channel_mean)} channels but {split} has "
                f"{x.shape[1]}: they must agree"
            )
        _check_range(x, split)
        lengths = observed_lengths(x)
        x = resize(x, self.length)
        _check_observed(x, split)
        gaps = find_gaps(x, lengths)
        if self.gaps == "interpolate":
            x = fill_gaps(x, gaps, self.fitted.channel_mean)
        facts: Facts = {
            "padded": int((lengths < self.length).sum()),
            "truncated": int((lengths > self.length).sum()),
            "missing": int(gaps.sum()),
        }
        return finish(x, self.fitted, self.scaling, split), facts


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


def find_gaps(x: Floats, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where values are missing: NaN before the ends ``(batch,)`` of ``(batch, channel, time)``."""
    return np.isnan(x) & (np.arange(x.shape[2]) < lengths[:, None])[:, None, :]


def fill_gaps(x: Floats, gaps: NDArray[np.bool_], channel_mean: NDArray[np.float64]) -> Floats:
    """Fill gaps by interpolation along time.

    Args:
        x: ``(batch, channel, time)``; not modified.
        gaps: of the same shape; other NaN is padding and stays.
        channel_mean: ``(channel,)`` value for a channel with no observation in a series.
    """
    if not gaps.any():
        return x
    out = x.copy()
    for row, channel in zip(*np.nonzero(gaps.any(axis=2)), strict=True):
        gap = np.flatnonzero(gaps[row, channel])
        seen = np.flatnonzero(~np.isnan(x[row, channel]))
        if seen.size:
            out[row, channel, gap] = np.interp(gap, seen, x[row, channel, seen])
        else:
            out[row, channel, gap] = channel_mean[channel]
    return out


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


def learn(train: Floats, scaling: str, gaps: str = "interpolate") -> Cleaning:
    """Fit the policy to raw training series ``(batch, channel, time)`` with NaN.

    Raises:
        UserError: a value is infinite or beyond float32, a series has no observation, the values
            are constant and must be scaled, or ``scaling`` or ``gaps`` is unknown.
    """
    for name, given, known in (("scaling", scaling, SCALINGS), ("gaps", gaps, GAPS)):
        if given not in known:
            raise UserError(f"{name} {given!r} is unknown: expected {' or '.join(known)}")
    _check_range(train, "train")
    time = max(1, int(observed_lengths(train).max()))
    train = resize(train, time)
    _check_observed(train, "train")
    fitted = fit(train)
    if scaling == "train" and fitted.std == 0:
        raise UserError("the training values are constant: scaling=train needs a spread, use none")
    return Cleaning(scaling, time, fitted, gaps)


def clean(
    train: Floats, test: Floats, scaling: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], Facts]:
    """Fit the module's policy to the training split and apply it to both.

    Args and errors are those of :func:`learn` and :meth:`Cleaning.apply`.

    Returns:
        As of :func:`cleaned`.
    """
    return cleaned(train, test, learn(train, scaling))


def cleaned(
    train: Floats, test: Floats, cleaning: Cleaning
) -> tuple[NDArray[np.float32], NDArray[np.float32], Facts]:
    """Apply the fitted policy to two raw arrays ``(batch, channel, time)`` with NaN.

    Returns:
        The train and test arrays (float32, finite, same channel and time), and the facts:
        ``unequal_length``, ``n_padded_*``, ``n_truncated``, ``n_missing_*``, ``train_mean``,
        ``train_std``, ``scaling``.

    Raises:
        UserError: the splits differ in channels, a value is infinite or beyond float32, or a
            series has no observation.
    """
    x_train, of_train = cleaning.apply(train, "train")
    x_test, of_test = cleaning.apply(test, "test")
    facts: Facts = {
        "scaling": cleaning.scaling,
        "train_mean": cleaning.fitted.mean,
        "train_std": cleaning.fitted.std,
        "unequal_length": any(
            each[change] for each in (of_train, of_test) for change in ("padded", "truncated")
        ),
        "n_padded_train": of_train["padded"],
        "n_padded_test": of_test["padded"],
        "n_truncated": of_test["truncated"],
        "n_missing_train": of_train["missing"],
        "n_missing_test": of_test["missing"],
    }
    return x_train, x_test, facts


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
