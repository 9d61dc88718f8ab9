"""Networks: they take widths and know nothing of losses, schedules or data."""

from dsn_lab.nn.dsn import DSN
from dsn_lab.nn.inception import Inception
from dsn_lab.nn.lite import LITE
from dsn_lab.sparse.layer import SparseConv1d

__all__ = ["DSN", "LITE", "Inception", "SparseConv1d"]
