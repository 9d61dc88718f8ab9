import pytest

from dsn_lab.sparse.schedule import drop_fraction


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
