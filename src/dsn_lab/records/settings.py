"""The settings of a cell: what is known, in which range."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from dsn_lab.data import sources
from dsn_lab.data.wanted import Wanted
from dsn_lab.registry import classifiers

Settings = dict[str, Any]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(archive: str) -> str:
    if archive not in sources.known():
        known = ", ".join(sorted(sources.known()))
        raise PydanticCustomError("archive", "must be one of {known}", {"known": known})
    return archive


class DatasetConfig(_Checked):
    """Which dataset and how its values are scaled; all but the first three for own data only."""

    name: str
    archive: Annotated[str, AfterValidator(_known)]
    scaling: Literal["none", "train", "series"]
    path: str | None = None
    test_path: str | None = None
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    split_seed: Annotated[int, Field(ge=0)] | None = None
    label: StrictInt | StrictStr | None = None

    @model_validator(mode="after")
    def _go_together(self) -> "DatasetConfig":
        _ = self.wanted
        return self

    @property
    def wanted(self) -> Wanted:
        """The same for the loader."""
        return Wanted(**self.model_dump(exclude={"scaling"}))


class OptimizerConfig(TypedDict):
    """What makes the optimizer; further keys are its own arguments."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: str
    lr: Annotated[float, Field(gt=0)]


class TrainerConfig(TypedDict):
    """Arguments of Lightning's Trainer."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    max_epochs: PositiveInt


class Config(_Checked):
    """A composed configuration with its ranges checked; nested parts are checked by whom they make.

    ``model``, ``dst``, ``dsp``, ``optimizer``, ``scheduler`` and ``logger`` name what they make in
    ``name`` (null: nothing); ``trainer`` holds arguments of Lightning's Trainer.
    """

    dataset: DatasetConfig
    model: Settings
    dst: Settings
    dsp: Settings
    optimizer: OptimizerConfig
    scheduler: Settings
    trainer: TrainerConfig
    logger: Settings
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    fold: Annotated[int, Field(ge=0)]
    batch_size: PositiveInt | None
    threads: PositiveInt | None
    data_dir: str | None
    results_dir: str
    output_dir: str
    force: bool
    dry_run: bool
    imports: list[str]
    recalibrate: bool
    tested_weights: Literal["best", "last"]
    class_weights: Literal["none", "balanced"]
    protocol_epochs: PositiveInt
    penalty_weights: list[float] | None
    penalise_frozen: bool
    grown_state: str
    rule_settings: Settings
    archive_defaults: Settings
    sparse_layers: Settings
    variants: Settings

    @field_validator("model", "dst", "dsp", "scheduler")
    @classmethod
    def _numbers_are_not_quoted(cls, settings: Settings) -> Settings:
        """One number written in two ways would be two runs."""
        for key, value in settings.items():
            if isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value):
                raise PydanticCustomError(
                    "quoted", "{key}={value} is a number in quotes: leave them out",
                    {"key": key, "value": value},
                )  # fmt: skip
        return settings

    def methods(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The groups ``dst`` and ``dsp`` that do something, with their settings."""
        for group, settings in (("dst", self.dst), ("dsp", self.dsp)):
            if settings["name"] is not None:
                yield group, settings

    @property
    def epochs(self) -> int:
        """All epochs: the trainer's, and those that methods add (settings named ``..._epochs``).

        A classifier that is fitted has one.
        """
        if self.fitted:
            return 1
        return self.trainer["max_epochs"] + sum(_epochs(part) for _, part in self.methods())

    @property
    def fitted(self) -> bool:
        """Whether the model is a classifier that is fitted once, not a network that is trained."""
        return self.model["name"] in classifiers

    @property
    def epochs_of_protocol(self) -> int:
        """All epochs of an undiminished run."""
        if self.fitted:
            return 1
        added = (_epochs(part.get("protocol", {})) for _, part in self.methods())
        return self.protocol_epochs + sum(added)

    @property
    def shape_from(self) -> str | None:
        """The folder of the run whose network's shape is to be taken, if any."""
        return self.dsp.get("shape_from") or self.dsp.get("pruned_by")


def _epochs(settings: Mapping[str, Any]) -> int:
    return sum(value for key, value in settings.items() if key.endswith("_epochs"))
