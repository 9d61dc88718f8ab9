"""The page in a real browser: all of it is there, and nothing is fetched."""

import csv
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dsn_lab.report.__main__ import main
from tests.synthetic import sweep

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
# Put first into the page: what fails to load, and in the end what is shown.
PROBE = """<script>
const failed = [];
addEventListener('error', e => failed.push(e.target.src || e.target.href || e.message), true);
addEventListener('load', () => {
  const first = id => document.querySelector(`#${id} tbody th`).textContent;
  const head = document.querySelector('#headline thead th:nth-child(2)');
  head.click();
  const worst = first('headline');
  head.click();
  const best = first('headline');
  const search = document.querySelector('#pairwise_ours input');
  search.value = 'dense';
  search.dispatchEvent(new Event('input'));
  const seen = {
    worst, best,
    found: [...document.querySelectorAll('#pairwise_ours tbody tr')].filter(r => !r.hidden).length,
    runs: [...document.querySelectorAll('#accuracy td a')].map(a => decodeURI(a.href)),
    failed,
    fetched: performance.getEntriesByType('resource').map(r => r.name)
      .filter(name => !name.startsWith('data:')),
    images: [...document.images].map(i => [i.naturalWidth, i.width, i.height, i.alt]),
    headings: [...document.querySelectorAll('section > h2')].map(h => h.textContent),
    links: [...document.querySelectorAll('a[href^="#"]')].map(a => a.hash.slice(1))
      .filter(id => !document.getElementById(id)),
    rows: document.querySelectorAll('#accuracy tbody tr').length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    sticky: getComputedStyle(document.querySelector('nav')).position,
  };
  const shown = document.createElement('pre');
  shown.id = 'probe';
  shown.textContent = JSON.stringify(seen);
  document.body.append(shown);
});
</script>"""


def opened(page: Path, folder: Path, *flags: str) -> dict[str, Any]:
    """What the browser makes of the page."""
    assert BROWSER is not None
    probed = folder / "probed.html"
    probed.write_text(page.read_text().replace("<head>", "<head>" + PROBE, 1))
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}/b",
    ]
    command += ["--virtual-time-budget=10000", *flags, "--dump-dom", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert isinstance(seen, dict)
    return seen


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_the_page_is_whole_in_a_browser(tmp_path: Path) -> None:
    sweep(tmp_path / "results", ("HAR", "BME", "Beef", "Car", "CBF", "Coffee", "GunPoint"), [0, 1])
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    page = tmp_path / "report.html"
    seen = opened(page, tmp_path, "--window-size=1400,1000")
    assert seen["failed"] == []
    assert seen["fetched"] == []
    assert seen["links"] == []
    assert len(seen["images"]) >= 4
    for natural, width, height, alt in seen["images"]:
        assert min(natural, width, height) > 100
        assert alt
    for heading in ("Methods and accuracy", "Table 3, sparsity", "Comparison of methods"):
        assert heading in seen["headings"]
    assert seen["rows"] == 7 + 2  # mean and mean rank
    assert seen["overflow"] <= 0
    assert seen["sticky"] == "sticky"
    with (tmp_path / "parts" / "headline.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["accuracy"]))
    assert (seen["worst"], seen["best"]) == (rows[0]["method"], rows[-1]["method"])
    assert seen["found"] == len(rows) - 1  # pairs with the dense network
    assert len(seen["runs"]) == 7 * len(rows)
    assert all(Path(run.removeprefix("file://")).is_dir() for run in seen["runs"])
    narrow = opened(page, tmp_path, "--window-size=500,900")
    assert narrow["overflow"] <= 0
    assert narrow["sticky"] == "static"
