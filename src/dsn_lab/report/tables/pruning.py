"""Base, pretrained, pruned, fine-tuned and scratch networks beside each other."""

import pandas as pd

from dsn_lab.analysis import aggregate
from dsn_lab.report.inputs import SPLIT, Inputs, count, signed
from dsn_lab.report.parts import Section, Table

# Stage of a pruned run, and where a record has its accuracy, parameters and FLOPs.
STAGES = (
    ("pretrained", "accuracy_pretrained", "params_base", "flops_base"),
    ("pruned", "accuracy_pruned", "params_pruned", "flops_pruned"),
    ("fine-tuned", "accuracy_finetuned", "params_pruned", "flops_pruned"),
)
WHOLE = (("", "test_accuracy", "params_active", "flops"),)
NUMBERS = ["accuracy", "params", "flops"]
NONE = "–"


def section(inputs: Inputs) -> Section | str:
    """Pruned networks, each model for itself, on the archive's split."""
    runs = inputs.runs[inputs.runs["fold"] == SPLIT]
    if "accuracy_pruned" not in runs or runs["accuracy_pruned"].isna().all():
        return "No run of a pruned network on the archive's split."
    scores = aggregate.complete(inputs.on_split)
    items: list[Table] = []
    for model, of_model in runs.groupby("model"):
        common = scores[sorted(set(of_model["method"]))].dropna().index
        if of_model["accuracy_pruned"].notna().any() and len(common):
            stages = _stages(of_model[of_model["dataset"].isin(common)])
            summary = inputs.on_split.reset_index()
            basis = inputs.basis(summary[summary["method"].isin(of_model["method"])], common)
            items += [_means(str(model), stages, basis), _by_dataset(str(model), stages, basis)]
    if not items:
        return "No dataset has every expected run of every variant of a pruned network."
    text = (
        "Base: trained without the penalty. Pretrained: with it, not yet pruned. Scratch: the "
        "pruned shape, trained from fresh weights. Compression: share of the base's parameters "
        "that is removed."
    )
    return Section("pruning", "Structured pruning", text, list(items))


def _stages(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds of each stage of each method on each dataset, in the order of training."""
    found = []
    for method, of_method in runs.groupby("method"):
        pruned = of_method["accuracy_pruned"].notna().all()
        scratch = "dsp" in of_method and (of_method["dsp"] == "scratch").all()
        # Base first, scratch last.
        first = 1 if pruned else 2 if scratch else 0
        for order, (stage, *columns) in enumerate(STAGES if pruned else WHOLE):
            rows = of_method[["dataset", *columns]].set_axis(["dataset", *NUMBERS], axis=1)
            name = f"{method}, {stage}" if stage else str(method)
            found.append(rows.assign(network=name, base=first == 0, order=10 * first + order))
    keys = ["order", "network", "base", "dataset"]
    return pd.concat(found).groupby(keys)[NUMBERS].mean().reset_index()


def _means(model: str, stages: pd.DataFrame, basis: str) -> Table:
    means = stages.groupby(["order", "network", "base"])[NUMBERS].mean().reset_index()
    bases = means[means["base"]]
    # With two bases there is no telling which a difference is to.
    base = bases.iloc[0] if len(bases) == 1 else None
    display = pd.DataFrame(
        {
            "network": means["network"],
            "accuracy %": [f"{100 * x:.2f}" for x in means["accuracy"]],
            "difference to base": [
                NONE if base is None else signed(100 * (x - base["accuracy"]))
                for x in means["accuracy"]
            ],
            "parameters": [f"{x:,.0f}" for x in means["params"]],
            "MFLOPs": [f"{x / 1e6:.2f}" for x in means["flops"]],
            "compression %": [
                NONE if base is None else f"{100 * (1 - x / base['params']):.1f}"
                for x in means["params"]
            ],
        }
    )
    caption = (
        f"{model}: means over the {count(stages['dataset'].nunique(), 'dataset')} on which every "
        f"variant has every expected run. {basis}."
    )
    return Table(f"pruning_{model}", caption, display, means.drop(columns=["order", "base"]))


def _by_dataset(model: str, stages: pd.DataFrame, basis: str) -> Table:
    networks = list(dict.fromkeys(stages.sort_values("order")["network"]))
    accuracy = stages.pivot(index="dataset", columns="network", values="accuracy")[networks]
    display = accuracy.map(lambda x: f"{100 * x:.2f}").reset_index()
    caption = f"{model}: mean test accuracy in % by dataset. {basis}."
    data = stages.drop(columns=["order", "base"])
    return Table(f"pruning_{model}_datasets", caption, display, data)
