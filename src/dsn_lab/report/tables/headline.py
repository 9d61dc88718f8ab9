"""What came out, in a table to begin with: accuracy, rank, wins and cost of each method."""

import pandas as pd

from dsn_lab.report.inputs import Inputs, count
from dsn_lab.report.parts import NONE, Section, Table

TITLE = "Headline"
TIED = 1e-9  # accuracies are shares of the same test series
COSTS = {"params_active": ("params (K)", 1e3), "flops": ("FLOPs (M)", 1e6),
         "inference_ms": ("ms a series", 1.0)}  # fmt: skip


def section(inputs: Inputs) -> Section | str:
    """The methods by mean rank over the datasets that all have; the best is named."""
    common = inputs.scores.dropna()
    if len(inputs.methods) < 2 or common.empty:
        return "No two methods have every expected run on one dataset."
    ranks = common.rank(axis=1, ascending=False).mean()
    order = ranks.sort_values(kind="stable").index
    best = str(order[0])
    ahead = {name: common[best] - common[name] for name in order}
    runs = inputs.runs[inputs.runs["dataset"].isin(common.index)]
    costs = runs.groupby("method")[list(COSTS)].mean().reindex(order)
    data = pd.DataFrame(
        {
            "method": order,
            "accuracy": 100 * common.mean()[order].to_numpy(),
            "rank": ranks[order].to_numpy(),
            "wins": [int((ahead[name] > TIED).sum()) for name in order],
            "ties": [int((ahead[name].abs() <= TIED).sum()) for name in order],
            "losses": [int((ahead[name] < -TIED).sum()) for name in order],
            **{column: costs[column].to_numpy() for column in COSTS},
        }
    )
    against = data[["wins", "ties", "losses"]].astype(str).agg(" / ".join, axis=1)
    display = pd.DataFrame(
        {
            "method": order,
            "mean accuracy %": [f"{value:.2f}" for value in data["accuracy"]],
            "mean rank": [f"{value:.2f}" for value in data["rank"]],
            f"{best} wins / ties / losses": [NONE, *against[1:]],
            **{
                title: [_spelled(x / unit) for x in data[column]]
                for column, (title, unit) in COSTS.items()
            },
        }
    )
    first = data.iloc[0]
    text = (
        f"{best} has the best mean rank, {first['rank']:.2f} of {len(order)}, with "
        f"{first['accuracy']:.2f} % on average over {count(len(common), 'dataset')}. Whether it "
        "is better than another, and not only luckier, the tests below say."
    )
    basis = inputs.basis(inputs.summary, common.index)
    caption = (
        "Over the datasets for which every method has every expected run; parameters are active "
        f"ones, time is that of one series on one thread. {basis}."
    )
    return Section("headline", TITLE, text, [Table("headline", caption, display, data)])


def _spelled(value: float) -> str:
    """Three digits, or all before the point."""
    if pd.isna(value):
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
