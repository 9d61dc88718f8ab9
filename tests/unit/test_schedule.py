import pytest

from dsn_lab.sparse.schedule import drop_fraction, update_due


def test_authors_cosine_to_its_end_at_four_fifths_of_training() -> None:
    assert drop_fraction(0, 1000) == pytest.approx(0.5)
    assert drop_fraction(400, 1000) == pytest.approx((0.5 + 0.001) / 2)
    assert drop_fraction(800, 1000) == pytest.approx(0.001)
    assert drop_fraction(999, 1000) == pytest.approx(0.001)


def test_papers_equation_4_is_the_cosine_to_zero_over_all_of_training() -> None:
    assert drop_fraction(250, 1000, alpha=0.4, end=0.0, stop=1.0) == pytest.approx(
        0.2 * (1 + 2**-0.5)
    )
    assert drop_fraction(1000, 1000, alpha=0.4, end=0.0, stop=1.0) == pytest.approx(0.0)


def test_the_topology_moves_every_few_epochs() -> None:
    assert [epoch for epoch in range(1, 16) if update_due(epoch, epoch)] == [5, 10, 15]


def test_updates_wait_for_the_first_of_these_epochs_after_enough_steps() -> None:
    steps_an_epoch, updated, epochs = 7, 0, []
    for epoch in range(1, 13):
        step = epoch * steps_an_epoch
        if update_due(epoch, step - updated, every=2, floor=20):
            updated = step
            epochs.append(epoch)
    # 20 steps are within the third epoch.
    assert epochs == [4, 8, 12]
