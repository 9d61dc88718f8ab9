"""Networks: they take widths and know nothing of losses, schedules or data."""

from dsn_lab.nn.dsn import DSN
from dsn_lab.nn.inception import Inception
from dsn_lab.nn.lite import LITE
from dsn_lab.nn.mlstm_fcn import MLSTMFCN
from dsn_lab.nn.oscnn import OSCNN
from dsn_lab.nn.resnet import ResNet
from dsn_lab.nn.tapnet import TapNet
from dsn_lab.sparse.layer import SparseConv1d

__all__ = [
    "DSN", "LITE", "MLSTMFCN", "OSCNN", "Inception", "ResNet", "SparseConv1d", "TapNet"
]  # fmt: skip
