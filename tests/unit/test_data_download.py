"""Downloads from a server on this machine: installed whole and recorded, or not at all."""

import functools
import io
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from dsn_lab.data.load import load_dataset
from dsn_lab.data.sources import archives, uci
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError


@functools.cache
def sport_archive(offset: float = 0.0) -> bytes:
    """Two activities of one person, each with one training and one test segment."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for activity, segment in [(1, 1), (1, 31), (2, 1), (2, 31)]:
            table = np.arange(125 * 45).reshape(125, 45) / 1e4 + activity + offset
            text = "\n".join(",".join(f"{value:.4f}" for value in row) for row in table)
            file.writestr(f"data/a{activity:02d}/p1/s{segment:02d}.txt", text)
    return out.getvalue()


class Server(ThreadingHTTPServer):
    """Answers every path with ``body``, announcing ``announced`` bytes; counts the requests."""

    body = b""
    announced: int | None = None
    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/archive.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if not self.server.body:
            self.send_error(404)
            return
        self.send_response(200)
        announced = self.server.announced or len(self.server.body)
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(root: Path, url: str) -> tuple[Path, ...]:
    with patch.dict(uci.URLS, DailySport=url):
        found = uci.fetch(Wanted("DailySport", "UCI"), root)
    return found.train + found.test


def visible(root: Path) -> list[str]:
    """Every file of the data folder but the locks."""
    found = (path for path in root.rglob("*") if path.suffix != ".lock")
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_file())


def listed(root: Path) -> list[str]:
    return [line[66:] for line in (root / "SHA256SUMS").read_text().splitlines()]


def test_a_download_is_installed_and_recorded(server: Server, tmp_path: Path) -> None:
    server.body = sport_archive()
    found = fetch(tmp_path, server.url)
    assert listed(tmp_path) == [f"UCI/DailySport/{name}" for name in uci.ARRAYS]
    assert visible(tmp_path) == sorted([*listed(tmp_path), "SHA256SUMS"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == listed(tmp_path)
    dataset = load_dataset("DailySport", data_dir=tmp_path)
    assert dataset.x_train[:, 1, 0].tolist() == [np.float32(1.0001), np.float32(2.0001)]


def test_an_archive_altered_on_its_way_leaves_nothing(server: Server, tmp_path: Path) -> None:
    body = bytearray(sport_archive())
    body[2000:2064] = bytes(64)
    server.body = bytes(body)
    with pytest.raises(UserError, match="damaged or not as expected") as caught:
        fetch(tmp_path, server.url)
    assert server.url in str(caught.value)
    assert visible(tmp_path) == []


def test_load_dataset_downloads_what_is_missing_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = sport_archive()
    monkeypatch.setitem(uci.URLS, "DailySport", server.url)
    for _ in range(2):
        assert load_dataset("DailySport", data_dir=tmp_path / "new").x_train.shape == (2, 45, 125)
    assert server.requests == 1


def test_two_downloads_at_once_fetch_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = sport_archive()
    monkeypatch.setitem(uci.URLS, "DailySport", server.url)
    wanted = Wanted("DailySport", "UCI")
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(uci.fetch, wanted, tmp_path) for _ in range(4)]
    assert all(len(task.result().test) == 2 for task in tasks)
    assert server.requests == 1
    assert len(listed(tmp_path)) == 4


def test_a_changed_download_is_refused(server: Server, tmp_path: Path) -> None:
    server.body = sport_archive()
    found = fetch(tmp_path, server.url)
    sums = (tmp_path / "SHA256SUMS").read_bytes()
    found[0].unlink()
    fetch(tmp_path, server.url)
    assert (tmp_path / "SHA256SUMS").read_bytes() == sums
    found[0].unlink()
    left = visible(tmp_path)
    server.body = sport_archive(offset=1.0)
    with pytest.raises(UserError, match=r"X_train.npy differs from the one recorded at first"):
        fetch(tmp_path, server.url)
    assert visible(tmp_path) == left
    assert (tmp_path / "SHA256SUMS").read_bytes() == sums


def test_a_recorded_list_keeps_its_other_lines(server: Server, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'a' * 64}  UCR/Other/Other_TRAIN.tsv\n")
    server.body = sport_archive()
    fetch(tmp_path, server.url)
    assert listed(tmp_path)[0] == "UCR/Other/Other_TRAIN.tsv"
    assert len(listed(tmp_path)) == 5


def test_a_dropped_connection_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.body, server.announced = sport_archive()[:2000], 99_999
    with pytest.raises(UserError, match="ended after 2000 of 99999 bytes: try again"):
        fetch(tmp_path, server.url)
    assert visible(tmp_path) == []


def test_http_errors_and_no_network_are_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answered HTTP 404"):
        fetch(tmp_path, server.url)
    server.server_close()
    with pytest.raises(UserError, match="check the network and try again"):
        fetch(tmp_path, server.url)
    assert visible(tmp_path) == []


def test_what_a_killed_download_left_is_swept(server: Server, tmp_path: Path) -> None:
    left = tmp_path / "UCI" / ".DailySport.part" / "archive.zip"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    server.body = sport_archive()
    fetch(tmp_path, server.url)
    assert not left.parent.exists()


def test_an_unusable_data_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    with pytest.raises(UserError, match=f"into the data folder {folder}.*DSN_LAB_DATA"):
        load_dataset("DailySport", data_dir=folder)


def test_a_full_disk_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    server.body = sport_archive()
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="No space left on device; free some space"):
        fetch(tmp_path, server.url)
    assert visible(tmp_path) == []


TS = "@univariate true\n@equalLength true\n@classLabel true 1 2\n@data\n1,2,3:1\n4,5,6:2\n"


def test_archive_sets_come_through_aeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, extract_path: str) -> None:
        folder = Path(extract_path) / name
        folder.mkdir()
        for split in ("TRAIN", "TEST", "eq_TRAIN"):
            (folder / f"{name}_{split}.ts").write_text(TS)

    monkeypatch.setattr("aeon.datasets.load_classification", download)
    dataset = load_dataset("Yoga", data_dir=tmp_path)
    assert dataset.x_train[:, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    files = ["UCR/Yoga/Yoga_TRAIN.ts", "UCR/Yoga/Yoga_TEST.ts"]
    assert listed(tmp_path) == files
    assert visible(tmp_path) == sorted([*files, "SHA256SUMS"])


@pytest.mark.parametrize("text", [None, "", TS[:-3]])
def test_a_failed_aeon_download_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    def download(name: str, extract_path: str) -> None:
        if text is None:
            raise ValueError("Could not download files:\n no network")
        folder = Path(extract_path) / name
        folder.mkdir()
        for split in ("TRAIN", "TEST"):
            (folder / f"{name}_{split}.ts").write_text(text)

    monkeypatch.setattr("aeon.datasets.load_classification", download)
    with pytest.raises(UserError) as caught:
        archives.fetch(Wanted("Yoga", "UCR"), tmp_path)
    assert "\n" not in str(caught.value)
    assert "Yoga" in str(caught.value)
    assert visible(tmp_path) == []
