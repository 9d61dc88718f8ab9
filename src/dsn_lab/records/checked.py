"""A record as it may be: what others read of it is of one type and in range, nothing is odd."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from dsn_lab.errors import UserError, described
from dsn_lab.records.numbers import NotNegative, Real, Seed, Share, number_or_whatever

# Of lists in lists, and characters of a text: more is no setting of anybody's.
DEEPEST, LONGEST = 6, 4096


def _name(text: str) -> str:
    """Names of datasets and choices become names of files."""
    if text in (".", "..") or set(text) & set("/\\") or not text.isprintable():
        raise PydanticCustomError("name", "must be a name, without slashes")
    return text


Name = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_name)]
Count = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(number_or_whatever)]


class _Record(BaseModel):
    """What others read; the rest is any settings and measures."""

    model_config = ConfigDict(extra="allow")

    dataset: Name
    model: Name
    fold: Seed
    seed: Seed
    epochs: Count
    protocol_epochs: Count
    test_accuracy: Share
    dst: Name | None = None
    dsp: Name | None = None
    archive: Name | None = None
    sparsity: Share | None = None
    test_loss: Real | None = None
    train_loss: Real | None = None
    train_accuracy: Share | None = None
    test_balanced_accuracy: Share | None = None
    test_f1_macro: Share | None = None
    best_epoch: Count | None = None
    params: Count | None = None
    params_active: Count | None = None
    flops: NotNegative | None = None
    flops_dense: NotNegative | None = None
    fit_seconds: NotNegative | None = None
    batch_size: Count | None = None
    n_train: Count | None = None
    n_test: Count | None = None
    n_channels: Count | None = None
    n_classes: Count | None = None
    length: Count | None = None
    n_test_in_train: Count | None = None
    compression: Annotated[float, Field(le=1, allow_inf_nan=False)] | None = None


def require_record(found: Mapping[str, Any], place: object) -> None:
    """Refuse what is no record of a run.

    Args:
        found: what a file holds.
        place: the file, for the message.

    Raises:
        UserError: naming what is missing or wrong.
    """
    lacking = [
        name
        for name, field in _Record.model_fields.items()
        if field.is_required() and found.get(name) is None
    ]
    if lacking:
        raise UserError(f"{place} is no result: it lacks {', '.join(lacking)}")
    try:
        _Record.model_validate(found)
    except ValidationError as error:
        raise UserError(f"{place} is no result: {described(error)}") from error
    for key, value in found.items():
        if not _is_plain(value, DEEPEST):
            raise UserError(f"{place} is no result: {key[:60]} is nested too deeply or too long")
        if key.startswith(("test_", "accuracy_", "params_", "flops_", "latency_")):
            _require_number(key, value, place)


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, Mapping | list):
        inner = value.values() if isinstance(value, Mapping) else value
        return depth > 0 and all(_is_plain(each, depth - 1) for each in inner)
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**64
    return not isinstance(value, str) or len(value) <= LONGEST


def _require_number(key: str, value: Any, place: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not number:
        raise UserError(f"{place} is no result: {key} must be a number")
    if key.startswith("accuracy_") and value is not None and not 0 <= value <= 1:
        raise UserError(f"{place} is no result: {key}={value} must be from 0 to 1")
