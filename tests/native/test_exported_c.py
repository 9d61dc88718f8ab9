"""Exported C files: no warning, and the network's logits, wherever they are compiled."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dsn_lab.export.c import coded
from dsn_lab.export.c.fold import fold
from dsn_lab.export.c.text import Scaling, source
from dsn_lab.nn import DSN, LITE
from tests.native.test_toolchains import output, run, supported, tool
from tests.unit.test_export_c import shaken

HERE = Path(__file__).parent
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O2")
M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16", "--specs=rdimon.specs",
      "-Wl,--section-start=.vectors=0", "-Wl,-Tdata=0x20000000", HERE / "cortex_m7.c")  # fmt: skip
BOARD = ("qemu-system-arm", "-M", "mps2-an500", "-nographic", "-semihosting", "-kernel")
TARGETS = {
    "gcc": ("gcc", (), ()),
    "gcc-avx2": ("gcc", ("-mavx2", "-mfma"), ()),
    "gcc-avx512": ("gcc", ("-mavx512f", "-mfma"), ()),
    "clang": ("clang", (), ()),
    "clang-avx2": ("clang", ("-mavx2", "-mfma"), ()),
    "clang-avx512": ("clang", ("-mavx512f", "-mfma"), ()),
    "sanitized": ("gcc", ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"), ()),
    "aarch64": ("aarch64-linux-gnu-gcc", ("-static",), ("qemu-aarch64",)),
    "cortex-m7": ("arm-none-eabi-gcc", M7, BOARD),
}
NAMES = ("plain", 'a"b\\c', "??/é")

pytestmark = pytest.mark.compiler


@pytest.mark.parametrize("target", TARGETS)
def test_c_files_say_what_the_network_says(tmp_path: Path, target: str) -> None:
    compiler, flags, emulator = TARGETS[target]
    for flag in map(str, flags):
        if flag.startswith("-mavx") and not supported(flag.removeprefix("-m")):
            pytest.skip(f"this CPU has no {flag}")
    torch.manual_seed(0)
    small = {"width": 5, "kernel_size": 9, "depth": 3}
    dsn = shaken(DSN(in_channels=2, n_classes=3, padding="zeros", **small))  # type: ignore[arg-type]
    univariate = shaken(DSN(in_channels=1, n_classes=3, **small))  # type: ignore[arg-type]
    lite = shaken(LITE(in_channels=1, n_classes=3, widths=((3, 2, 1), (3,), (2,))))
    cases = [(dsn, 2, 37, "train"), (univariate, 1, 270, "none"), (lite, 1, 70, "series")]
    for network, channels, time, scaling in cases:
        x = torch.randn(3, channels, time, dtype=torch.float64) * 2 + 0.5
        scaled = {
            "train": (x - 0.5) / 2,
            "none": x,
            "series": (x - x.mean(dim=2, keepdim=True)) / x.std(dim=2, keepdim=True, correction=0),
        }[scaling]
        folded = fold(network, time)
        for numbers in (coded.float32(folded), coded.int8(folded, scaled)):
            moments = (0.5, 2.0) if scaling == "train" else (0.0, 1.0)
            made = source(numbers, Scaling(scaling, *moments), NAMES, "model", ["*/ a comment"])
            (tmp_path / "model.c").write_text(made.code)
            (tmp_path / "model.h").write_text(made.header)
            (tmp_path / "series.h").write_text(_array(x.numpy()))
            program = tmp_path / "program"
            files = (HERE / "exported_driver.c", tmp_path / "model.c")
            run(tool(compiler), *STRICT, *flags, f"-I{tmp_path}", *files, "-o", program, "-lm")
            if emulator:
                tool(emulator[0])
            lines = [line.split() for line in output(*emulator, program).splitlines()]
            says = np.array([line[:-1] for line in lines], dtype=np.float64)
            expected = numbers.run(scaled).numpy()
            limit = 1e-5 if numbers.dtype == "float32" else 0.02 * np.abs(expected).max()
            np.testing.assert_allclose(says, expected, rtol=0, atol=limit)
            assert [line[-1] for line in lines] == [NAMES[k] for k in says.argmax(axis=1)]


def _array(x: np.ndarray) -> str:
    rows = ",\n".join(
        f"{{{', '.join(float(np.float32(v)).hex() + 'f' for v in series.ravel())}}}" for series in x
    )
    return f"static const float series[][{x[0].size}] = {{\n{rows}\n}};\n"
