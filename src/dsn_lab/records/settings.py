"""The settings of a cell: what is known, in which range."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dsn_lab.data import sources
from dsn_lab.data.wanted import OWN, Wanted
from dsn_lab.errors import UserError
from dsn_lab.records.numbers import (
    MANY,
    BelowOne,
    NotNegative,
    Positive,
    Seed,
    leaves,
    number_or_whatever,
    require_plain,
)
from dsn_lab.records.training_settings import (
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
    require_known,
)
from dsn_lab.registry import classifiers

# More threads than any machine has cores: the process dies of them.
MOST_THREADS = 1024
# Filters, taps or layers of a network: it could not be made of more in a lifetime.
LARGEST_SIZE = 10_000

Settings = dict[str, Any]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(archive: str) -> str:
    if archive not in sources.known():
        known = ", ".join(sorted(sources.known()))
        raise PydanticCustomError("archive", "must be one of {known}", {"known": known})
    return archive


class DatasetConfig(_Checked):
    """Which dataset and how its values are prepared; from ``path`` on for own data only."""

    name: str
    archive: Annotated[str, AfterValidator(_known)]
    scaling: Literal["none", "train", "series"]
    gaps: Literal["interpolate", "zero"] = "interpolate"
    path: str | None = None
    test_path: str | None = None
    test_size: Annotated[float, Field(gt=0, lt=1), BeforeValidator(number_or_whatever)] | None = (
        None
    )
    split_seed: Seed | None = None
    label: StrictInt | StrictStr | None = None

    @model_validator(mode="after")
    def _go_together(self) -> "DatasetConfig":
        _ = self.wanted
        return self

    @property
    def wanted(self) -> Wanted:
        """The same for the loader."""
        return Wanted(**self.model_dump(exclude={"scaling", "gaps"}))


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
    scheduler: SchedulerConfig
    trainer: Annotated[TrainerConfig, BeforeValidator(require_known)]
    logger: Settings
    sparsity: BelowOne
    seed: Seed
    fold: Seed
    batch_size: Positive | None
    threads: Annotated[Positive, Field(le=MOST_THREADS)] | None
    data_dir: str | None
    results_dir: Annotated[str, Field(min_length=1)]
    output_dir: Annotated[str, Field(min_length=1)]
    force: bool
    dry_run: bool
    imports: list[str]
    recalibrate: bool
    tested_weights: Literal["best", "last"]
    class_weights: Literal["none", "balanced"]
    validation: Annotated[float, Field(gt=0, lt=1), BeforeValidator(number_or_whatever)] | None
    patience: Positive | None
    protocol_epochs: Positive
    penalty_weights: list[NotNegative] | None
    penalise_frozen: bool
    grown_state: str
    rule_settings: Settings
    archive_defaults: Settings
    sparse_layers: Settings
    variants: Settings

    @field_validator("model", "dst", "dsp", "optimizer", "scheduler")
    @classmethod
    def _plain(cls, settings: Settings) -> Settings:
        require_plain(settings)
        for key, value in settings.items():
            if key.endswith("_epochs") and not (type(value) is int and 0 <= value <= MANY):
                raise PydanticCustomError(
                    "epochs", "{key}={value}: must be a number of epochs",
                    {"key": key, "value": value},
                )  # fmt: skip
        return settings

    @field_validator("model")
    @classmethod
    def _of_some_size(cls, settings: Settings) -> Settings:
        for key, value in leaves(settings):
            if isinstance(value, int) and not isinstance(value, bool) and value > LARGEST_SIZE:
                raise PydanticCustomError(
                    "size", "{key}={value}: must be at most {most}",
                    {"key": key, "value": value, "most": LARGEST_SIZE},
                )  # fmt: skip
        return settings

    @model_validator(mode="after")
    def _go_together(self) -> "Config":
        named = self.dataset.archive != OWN and self.data_dir is not None
        if named and not Path(str(self.data_dir)).expanduser().is_dir():
            raise UserError(
                f"data_dir={self.data_dir}: there is no such folder; correct it (or DSN_LAB_DATA), "
                "or make it, to have data downloaded there"
            )
        if self.patience is not None and self.validation is None:
            raise UserError(f"patience={self.patience}: waits for a loss on validation=0.2, say")
        if self.patience is not None and self.dsp["name"] is not None:
            raise UserError(
                f"patience={self.patience}: with dsp each phase has its epochs; shorten "
                "trainer.max_epochs and dsp.finetune_epochs"
            )
        if "max_steps" in self.trainer and self.dsp["name"] is not None:
            raise UserError(
                f"trainer.max_steps={self.trainer['max_steps']}: with dsp each phase has its "
                "epochs; shorten trainer.max_epochs and dsp.finetune_epochs"
            )
        if "max_steps" in self.trainer and self.validation is not None:
            raise UserError(
                f"trainer.max_steps={self.trainer['max_steps']}: with validation, which is "
                "measured after whole epochs, give trainer.max_epochs instead"
            )
        return self

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
    def longest_phase(self) -> int:
        """Epochs for which one scheduler is stepped, at most: each phase has its own."""
        added = (value for _, part in self.methods() for value in _each_epochs(part))
        return max(self.trainer["max_epochs"], *added, 0)

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
    return sum(_each_epochs(settings))


def _each_epochs(settings: Mapping[str, Any]) -> list[int]:
    return [value for key, value in settings.items() if key.endswith("_epochs")]
