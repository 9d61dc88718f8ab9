import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from dsn_lab import kernels
from dsn_lab.kernels import build, cache, prebuilt, sources
from dsn_lab.kernels import passes as sparse_conv
from dsn_lab.nn import SparseConv1d

native = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))
Padding = Literal["replicate", "zeros"]
PADDINGS: tuple[Padding, ...] = ("replicate", "zeros")


def passes(
    padding: Padding, time: int = 24, batch: int = 7, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """Output and both gradients of a layer large enough for threads."""
    torch.manual_seed(0)
    layer = SparseConv1d(20, 42, 13, groups=3, sparsity=0.5, start="random")
    packed = kernels.pack(layer.positions, layer.shape)
    x = torch.randn(20, time, batch, dtype=dtype, requires_grad=True)
    values = layer.values.detach().to(dtype).requires_grad_()
    y = kernels.conv1d(x, values, packed, padding)
    y.backward(torch.randn_like(y))  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert values.grad is not None
    return [y.detach(), x.grad, values.grad]


@native
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("time", [2, 6])
def test_gradients_are_those_of_the_output(padding: Padding, time: int) -> None:
    torch.manual_seed(0)
    layer = SparseConv1d(3, 6, 5, groups=2, sparsity=0.5, start="random")
    packed = kernels.pack(layer.positions, layer.shape)
    x = torch.randn(3, time, 2, dtype=torch.float64, requires_grad=True)
    values = layer.values.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, values: kernels.conv1d(x, values, packed, padding), (x, values)
    )


@native
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("time", "batch"), [(24, 7), (128, 16), (300, 1)])
def test_neither_threads_nor_repetition_change_a_bit(
    padding: Padding, time: int, batch: int
) -> None:
    one = passes(padding, time, batch)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for first, again in zip(one, passes(padding, time, batch), strict=True):
            assert torch.equal(first, again)


@native
@pytest.mark.parametrize("instructions", ["plain", *sources.INSTRUCTIONS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_instruction_set_computes_the_same(
    instructions: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ["plain", "AVX2", "AVX512"]
    if order.index(instructions) > order.index(build.instruction_set()):
        pytest.skip(f"this CPU has no {instructions}")
    expected = {padding: passes(padding, dtype=dtype) for padding in PADDINGS}
    library = build.load(instructions)
    monkeypatch.setattr(sparse_conv, "load", lambda: library)
    for padding in PADDINGS:
        for actual, wide in zip(passes(padding, dtype=dtype), expected[padding], strict=True):
            torch.testing.assert_close(actual, wide, rtol=1e-4, atol=1e-5)


@native
@pytest.mark.parametrize("padding", PADDINGS)
def test_frames_and_given_outputs_hold_the_same_numbers(padding: Padding) -> None:
    torch.manual_seed(0)
    layer = SparseConv1d(20, 42, 13, groups=3, sparsity=0.5, start="random")
    packed = kernels.pack(layer.positions, layer.shape)
    values = layer.values.detach()
    x, grad = torch.randn(20, 24, 7), torch.randn(42, 24, 7)
    frame = kernels.input_frame(packed, 24, 7, padding).copy_(x)
    wide = torch.full((43, 24, 9, 7), torch.nan)
    y = kernels.forward(frame, values, packed, padding, out=wide[1:, :, 0].contiguous())
    dvalues = kernels.weight_gradient(frame, grad, packed, padding)
    framed = kernels.gradient_frame(packed, 24, 7, padding).copy_(grad)
    dx = kernels.input_gradient(framed, values, packed, padding)

    x.requires_grad_()
    values.requires_grad_()
    expected = kernels.conv1d(x, values, packed, padding)
    assert torch.equal(y, expected)
    for actual, wanted in zip(
        (dx, dvalues), torch.autograd.grad(expected, (x, values), grad), strict=True
    ):
        assert torch.equal(actual, wanted)


@native
def test_rows_may_lie_apart_in_the_output() -> None:
    packed = kernels.pack(torch.arange(6, dtype=torch.int32), (2, 3, 1))
    frame = kernels.input_frame(packed, 5, 1, "zeros").copy_(torch.randn(3, 5, 1))
    buffer = torch.full((2, 9), torch.nan)
    kernels.forward(frame, torch.ones(6), packed, "zeros", out=buffer[:, 2:7, None])
    torch.testing.assert_close(buffer[:, 2:7], frame.sum(0).T.expand(2, 5))
    assert buffer[:, [0, 1, 7, 8]].isnan().all()


@native
def test_what_does_not_fit_is_refused() -> None:
    shape = (2, 3, 4)
    packed = kernels.pack(torch.tensor([0, 23], dtype=torch.int32), shape)
    x, values = torch.randn(3, 5, 2), torch.randn(2)
    for bad in ([24], [-1], [3, 3]):
        with pytest.raises(ValueError, match="must lie in a kernel of shape"):
            kernels.pack(torch.tensor(bad, dtype=torch.int32), shape)
    with pytest.raises(ValueError, match="one row of int32"):
        kernels.pack(torch.tensor([0]), shape)
    with pytest.raises(ValueError, match="at most"):
        kernels.pack(torch.tensor([0], dtype=torch.int32), (2, 3, 30000))
    with pytest.raises(ValueError, match="must be a frame"):
        kernels.forward(x, values, packed, "zeros")
    with pytest.raises(ValueError, match=r"values: must be \(2,\)"):
        kernels.conv1d(x, torch.randn(3), packed, "zeros")
    with pytest.raises(ValueError, match=r"x: must be \(3, time, batch\)"):
        kernels.conv1d(x[:2], values, packed, "zeros")
    with pytest.raises(ValueError, match="of the input's type"):
        kernels.conv1d(x, values.double(), packed, "zeros")
    with pytest.raises(ValueError, match="float32 or float64"):
        kernels.conv1d(x.half(), values, packed, "zeros")


@native
def test_ascending_positions_need_no_slots_and_indices_stay_small() -> None:
    layer = SparseConv1d(20, 42, 13, groups=3, sparsity=0.5, start="random")
    packed = kernels.pack(layer.positions, layer.shape)
    mixed = kernels.pack(layer.positions.flip(0).contiguous(), layer.shape)
    assert packed.slots is None
    assert packed.positions is layer.positions
    assert mixed.nbytes - packed.nbytes == 8 * len(layer.positions)
    assert packed.nbytes < 2000


@native
def test_what_was_packed_is_refused_once_the_positions_have_changed() -> None:
    layer, x = SparseConv1d(3, 6, 5, sparsity=0.5), torch.randn(2, 3, 9)
    y = layer(x)
    layer.positions.add_(0)
    with pytest.raises(RuntimeError, match="topology has changed"):
        y.sum().backward()
    layer(x).sum().backward()


@native
def test_one_openmp_runtime_is_loaded() -> None:
    # In a process of its own: scikit-learn brings another runtime into this one.
    code = (
        "from dsn_lab.kernels import build; from threadpoolctl import threadpool_info; "
        "build.load(); print(build.openmp_runtime()); "
        "[print(i['filepath']) for i in threadpool_info() if i['user_api'] == 'openmp']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    linked, *loaded = done.stdout.split()
    assert loaded == [linked]


@native
def test_torchs_own_runtime_is_taken_where_others_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    lines = [f"7f00-7f01 r-xp 0 fe:00 1    {path}" for path in ("/lib/libgomp-1.so.1", own)]
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(Path, "read_text", lambda _: "\n".join(lines))
    assert build.openmp_runtime() == own


@native
def test_processes_and_threads_may_build_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a compiler that takes its time, as two passes of ours do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilations = []

    def run(*command: str | Path) -> str:
        if "--version" not in command:
            time.sleep(0.2)
            Path(command[-1]).write_bytes(b"machine code")
            compilations.append(command)
        return "a compiler"

    monkeypatch.setattr(build, "_run", run)
    threads = [threading.Thread(target=build.compile_library, args=["plain"]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = list(cache.folder().iterdir())
    assert [file.suffix for file in made] == [".so"]
    done = len(compilations)
    assert build.compile_library("plain").read_bytes() == b"machine code"
    assert len(compilations) == done


@native
def test_a_ready_kernel_that_does_not_load_is_compiled_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = sources.ready_name(platform.machine(), build.instruction_set())
    (tmp_path / ready).write_bytes(b"no library")
    monkeypatch.setattr(prebuilt, "FOLDER", tmp_path)
    compiled = build.compile_library(build.instruction_set())
    assert Path(build._open(build.instruction_set())._name) == compiled
    assert "the wheel's kernel does not run here" in caplog.text


def test_a_damaged_or_foreign_kernel_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built: list[Path] = []

    def compiled(linked: Path) -> None:
        linked.write_bytes(b"machine code")
        built.append(linked)

    library = cache.kept("kernel-0", compiled)
    assert (cache.kept("kernel-0", compiled), len(built)) == (library, 1)
    library.write_bytes(b"machine c0de")
    assert cache.kept("kernel-0", compiled).read_bytes() == b"machine code"
    library.chmod(0o777)
    assert cache.kept("kernel-0", compiled).stat().st_mode & 0o22 == 0
    elsewhere = library.rename(tmp_path / "elsewhere.so")
    library.symlink_to(elsewhere)
    assert not cache.kept("kernel-0", compiled).is_symlink()
    assert len(built) == 4
    library.parent.chmod(0o777)
    cache.kept("kernel-0", compiled)
    assert library.parent.stat().st_mode & 0o22 == 0
    monkeypatch.setattr(os, "getuid", lambda: library.stat().st_uid + 1)
    assert cache.kept("kernel-0", compiled).parent != library.parent


@pytest.mark.parametrize("cached", ["/dev/null", ""])
def test_without_a_cache_the_kernel_is_compiled_for_the_process(
    monkeypatch: pytest.MonkeyPatch, cached: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cached)
    if not cached:
        monkeypatch.setattr(Path, "home", _homeless)
    library = cache.kept("kernel-1", lambda linked: Path(linked).touch())
    assert library.parent.name.startswith("dsn_lab-")


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("PATH", "", "no C++ compiler found"),
        ("CXX", "false", "failed"),
    ],
)
def test_without_a_build_the_kernel_says_why_and_the_package_works(
    variable: str, value: str, why: str
) -> None:
    code = (
        "from dsn_lab import kernels; assert not kernels.available(); "
        "print(kernels.why_unavailable())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert why in done.stdout
