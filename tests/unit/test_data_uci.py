"""The parsers of UCI's archives, on small archives of the same inner structure."""

import functools
import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from dsn_lab.data.load import load_dataset
from dsn_lab.data.sources import uci
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

SIGNALS = [f"{s}_{a}" for s in ("body_acc", "body_gyro", "total_acc") for a in "xyz"]


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


@functools.cache
def har_archive() -> bytes:
    """Window ``row`` of signal ``channel`` holds ``100 row + channel + step / 1000``."""
    members = {"__MACOSX/UCI HAR Dataset/train/._y_train.txt": b"\x00"}
    for split, labels in (("train", [5, 1, 2]), ("test", [2, 5])):
        folder = f"UCI HAR Dataset/{split}"
        members[f"{folder}/y_{split}.txt"] = "".join(f"{y}\n" for y in labels).encode()
        for channel, signal in enumerate(SIGNALS):
            rows = [
                " ".join(f" {100 * row + channel + step / 1000:.7e}" for step in range(128))
                for row in range(len(labels))
            ]
            text = "\n".join(rows) + "\n"
            members[f"{folder}/Inertial Signals/{signal}_{split}.txt"] = text.encode()
    return zipped({"UCI HAR Dataset.names": b"names", "UCI HAR Dataset.zip": zipped(members)})


def eeg_trial(subject: str, trial: int, channels: int = 64) -> bytes:
    """Channel ``c`` at sample ``s`` holds ``trial + c + s / 1000``."""
    lines = [f"# {subject}.rd", "# 120 trials, 64 chans, 416 samples 368 post_stim samples"]
    lines += ["# 3.906000 msecs uV", f"# S1 obj , trial {trial}"]
    for c in range(channels):
        lines.append(f"# E{c} chan {c}")
        lines += [f"{trial} E{c} {s} {trial + c + s / 1000:.3f}" for s in range(256)]
    return gzip.compress("\n".join(lines).encode())


@functools.cache
def eeg_archive(nested: bool, channels: int = 64) -> bytes:
    trials = [("co2c0000337", 3), ("co2a0000364", 10), ("co2a0000364", 2)]
    tars = {}
    for split in ("TRAIN", "TEST"):
        members: dict[str, bytes] = {}
        for subject, trial in trials[: 3 if split == "TRAIN" else 2]:
            name = f"{subject}/{subject}.rd.{trial:03d}.gz"
            content = eeg_trial(subject, trial, channels)
            if nested:
                path = f"SMNI_CMI_{split}/{subject}.{trial}.tar.gz"
                members[path] = tarred({name: content})
            else:
                members[f"SMNI_CMI_{split}/{name}"] = content
        members[f"SMNI_CMI_{split}/README"] = b"a note"
        tars[f"SMNI_CMI_{split}.tar.gz"] = tarred(members)
    return zipped(tars)


@functools.cache
def sport_archive() -> bytes:
    """Segment ``s`` of activity ``a`` and person ``p`` holds ``1000 a + 100 p + s`` at first."""
    members = {}
    for a, p, s in [(2, 1, 31), (2, 1, 1), (1, 2, 60), (1, 2, 30), (1, 1, 2), (1, 1, 45)]:
        table = np.arange(125 * 45).reshape(125, 45) / 1e4 + 1000 * a + 100 * p + s
        text = "\n".join(",".join(f"{value:.4f}" for value in row) for row in table) + "\n"
        members[f"data/a{a:02d}/p{p}/s{s:02d}.txt"] = text.encode()
    return zipped(members)


def fetch(name: str, body: bytes, tmp_path: Path) -> None:
    """Have the archive downloaded from a file into ``tmp_path``."""
    served = tmp_path / "archive.zip"
    served.write_bytes(body)
    with patch.dict(uci.URLS, {name: served.as_uri()}):
        uci.fetch(Wanted(name, "UCI"), tmp_path)


def test_har_keeps_official_order_and_channels(tmp_path: Path) -> None:
    fetch("HAR", har_archive(), tmp_path)
    stored = np.load(tmp_path / "UCI" / "HAR" / "X_train.npy")
    assert stored.dtype == np.float32
    assert stored.shape == (3, 9, 128)
    assert stored[2, 5, 7] == np.float32(205.007)
    labels = np.load(tmp_path / "UCI" / "HAR" / "y_train.npy")
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 0, 1]
    dataset = load_dataset("HAR", data_dir=tmp_path)
    assert dataset.y_test.tolist() == [1, 2]
    assert dataset.classes == ("0", "1", "4")


@pytest.mark.parametrize("nested", [False, True])
def test_eeg_is_sorted_by_subject_and_trial(tmp_path: Path, nested: bool) -> None:
    fetch("EEG2", eeg_archive(nested), tmp_path)
    dataset = load_dataset("EEG2", data_dir=tmp_path)
    assert dataset.x_train.shape == (3, 64, 256)
    assert dataset.x_train[:, 0, 0].tolist() == [2, 10, 3]
    assert dataset.x_train[1, 63, 255] == np.float32(73.255)
    assert dataset.y_train.tolist() == [0, 0, 1]
    assert dataset.y_test.tolist() == [0, 1]


def test_daily_sport_is_split_by_segment(tmp_path: Path) -> None:
    fetch("DailySport", sport_archive(), tmp_path)
    dataset = load_dataset("DailySport", data_dir=tmp_path)
    assert dataset.x_train.shape == dataset.x_test.shape == (3, 45, 125)
    assert dataset.x_train[:, 0, 0].tolist() == [1102, 1230, 2101]
    assert dataset.x_test[:, 0, 0].tolist() == [1145, 1260, 2131]
    assert dataset.x_train[0, 44, 124] == np.float32(1102 + (124 * 45 + 44) / 1e4)
    assert dataset.y_train.tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", ["HAR", "EEG2", "DailySport"])
@pytest.mark.parametrize("fault", ["altered", "foreign", "truncated", "empty zip"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, name: str, fault: str) -> None:
    good = {"HAR": har_archive(), "EEG2": eeg_archive(False), "DailySport": sport_archive()}[name]
    middle = len(good) // 2
    body = {
        "altered": good[:middle]
        + bytes(b ^ 0x55 for b in good[middle : middle + 64])
        + good[middle + 64 :],
        "foreign": b"<html>moved</html>",
        "truncated": good[:middle],
        "empty zip": zipped({"readme.txt": b"nothing here"}),
    }[fault]
    with pytest.raises(UserError, match="damaged or not as expected") as caught:
        fetch(name, body, tmp_path)
    assert "\n" not in str(caught.value)
    assert "archive.zip" in str(caught.value)
    assert not list(tmp_path.rglob("*.npy"))


def test_trials_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 512 rows, expected 64 x 256"):
        fetch("EEG2", eeg_archive(False, channels=2), tmp_path)
