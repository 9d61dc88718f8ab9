import torch

from dsn_lab.sparse.receptive_fields import enrf_sizes


def test_enrf_of_the_papers_figure_2() -> None:
    masks = torch.tensor(
        [
            [[1, 0, 1, 0, 1], [0, 0, 1, 1, 0]],
            [[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]],
        ],
        dtype=torch.bool,
    )
    assert enrf_sizes(masks).tolist() == [[5, 2], [0, 1]]
