"""What trains a network, as settings: the optimizer's, the scheduler's, Lightning's Trainer's."""

import difflib
from typing import Annotated, Any, Literal, Required

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from dsn_lab.records.numbers import (
    AboveZero,
    BelowOne,
    NotNegative,
    Positive,
    Real,
    Share,
    Whole,
    number_or_whatever,
)

# What Lightning's Trainer takes besides, and why it has no place here.
ONE_PROCESS = "a cell is trained by one process on one device"
TESTED_ONCE = "all of the test set is tested, once, at the end"
NO_VALIDATION = "there is no validation while training"
CLOCK = "a result must not depend on the clock; give max_epochs or max_steps"
EXCLUDED = {
    **dict.fromkeys(("num_nodes", "strategy", "sync_batchnorm"), ONE_PROCESS),
    **dict.fromkeys(("use_distributed_sampler", "barebones"), ONE_PROCESS),
    **dict.fromkeys(("fast_dev_run", "limit_test_batches", "limit_predict_batches"), TESTED_ONCE),
    **dict.fromkeys(("overfit_batches",), "the training set is trained on, whole"),
    **dict.fromkeys(("limit_val_batches", "val_check_interval"), NO_VALIDATION),
    **dict.fromkeys(("check_val_every_n_epoch", "num_sanity_val_steps"), NO_VALIDATION),
    "max_time": CLOCK,
    **dict.fromkeys(("min_epochs", "min_steps"), "nothing here stops earlier than max_epochs"),
    "reload_dataloaders_every_n_epochs": "the data do not change while training",
    **dict.fromkeys(("callbacks", "logger", "plugins"), "dst=, dsp= and logger= choose those"),
    **dict.fromkeys(("default_root_dir", "enable_checkpointing"), "output_dir is the place"),
    "model_registry": "results lie in output_dir",
    "enable_autolog_hparams": "result.json holds all settings",
}

# Of one number, or of one for each group of parameters.
Each = NotNegative | list[NotNegative]


class OptimizerConfig(TypedDict, total=False):
    """What makes the optimizer; keys that are not listed are its own, tried before training."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: Required[str]
    lr: Required[AboveZero]
    betas: tuple[BelowOne, BelowOne]
    eps: NotNegative
    weight_decay: NotNegative
    momentum: NotNegative
    dampening: NotNegative
    alpha: Share
    rho: Share
    momentum_decay: NotNegative
    lr_decay: NotNegative
    amsgrad: bool
    nesterov: bool
    centered: bool
    decoupled_weight_decay: bool
    foreach: bool | None
    fused: bool | None
    maximize: Literal[False]  # of a loss
    differentiable: Literal[False]


class SchedulerConfig(TypedDict, total=False):
    """What makes the scheduler; keys that are not listed are its own, tried before training."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: Required[str]
    T_max: Positive
    T_0: Positive
    T_mult: Positive
    eta_min: NotNegative
    factor: Annotated[AboveZero, Field(le=1)]
    patience: Whole
    cooldown: Whole
    threshold: NotNegative
    threshold_mode: Literal["rel", "abs"]
    mode: Literal["min"]  # of a loss
    min_lr: Each
    max_lr: Each
    base_lr: Each
    eps: NotNegative
    gamma: AboveZero
    step_size: Positive
    milestones: list[Positive]
    total_iters: Whole
    total_steps: Positive
    start_factor: Annotated[AboveZero, Field(le=1)]
    end_factor: Share
    power: Real
    last_epoch: Literal[-1]  # a resume goes on by itself


def _one(devices: Any) -> Any:
    single = devices[0] if isinstance(devices, list) and len(devices) == 1 else None
    index = isinstance(single, int) and not isinstance(single, bool) and single >= 0
    if index or (devices == 1 and not isinstance(devices, bool)):
        return devices
    raise PydanticCustomError("devices", "must be 1 or [INDEX]: {why}", {"why": ONE_PROCESS})


def _not_all(batches: Any) -> Any:
    if isinstance(batches, float) and batches >= 1:
        raise PydanticCustomError("all", "must be a number of batches, or a share below 1")
    return number_or_whatever(batches)


class TrainerConfig(TypedDict, total=False):
    """Arguments of Lightning's Trainer, of those that have a meaning here."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    max_epochs: Required[Positive]
    max_steps: Positive
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"]
    devices: Annotated[int | list[int], BeforeValidator(_one)]
    precision: Literal["32-true", "bf16-mixed"]  # weights are saved and counted in 32 bits
    accumulate_grad_batches: Positive
    gradient_clip_val: AboveZero
    gradient_clip_algorithm: Literal["norm", "value"]
    limit_train_batches: Annotated[
        Positive | Annotated[float, Field(gt=0, lt=1)], BeforeValidator(_not_all)
    ]
    deterministic: bool | Literal["warn"]
    benchmark: bool
    detect_anomaly: bool
    inference_mode: bool
    log_every_n_steps: Positive
    profiler: Literal["simple", "advanced", "pytorch"]
    enable_model_summary: bool
    enable_progress_bar: bool


def require_known(trainer: Any) -> Any:
    """Refuse what is none of the Trainer's arguments, or has no meaning here, with the reason."""
    for key in trainer if isinstance(trainer, dict) else ():
        if key in EXCLUDED:
            raise PydanticCustomError(
                "excluded", "{key} cannot be set: {why}", {"key": key, "why": EXCLUDED[key]}
            )
        known = TrainerConfig.__annotations__
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
            raise PydanticCustomError(
                "unknown", "{key} is no Trainer argument that can be set here; {hint}",
                {"key": key, "hint": hint},
            )  # fmt: skip
    return trainer
