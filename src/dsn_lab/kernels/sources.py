"""The native kernel's sources and how they are compiled; without torch, for whoever builds a wheel.

Nothing of the package is imported here, because ``setup.py`` runs this file by itself.
"""

import hashlib
from pathlib import Path
from types import MappingProxyType

SOURCES = Path(__file__).with_name("native")
FLAGS = ("-std=gnu++17", "-O3", "-ffp-contract=fast", "-fPIC")
# Flags of each instruction set, by torch's name for what this CPU can do. Other names, and other
# processors, get what the compiler takes for granted: SSE2 on x86, NEON on ARM.
INSTRUCTIONS = MappingProxyType({"AVX512": ("-mavx512f", "-mfma"), "AVX2": ("-mavx2", "-mfma")})
PLAIN = "plain"
X86 = ("x86_64", "AMD64")


def builds(machine: str) -> dict[str, tuple[str, ...]]:
    """Flags of each build that a processor may want, by the name of its instruction set."""
    return {**(INSTRUCTIONS if machine in X86 else {}), PLAIN: ()}


def ready_name(machine: str, instructions: str) -> str:
    """What a wheel calls a build: it counts only for the sources that it was made of."""
    sha256 = hashlib.sha256(repr((FLAGS, builds(machine)[instructions])).encode())
    for path in sorted(SOURCES.iterdir()):
        sha256.update(path.read_bytes())
    return f"{machine}-{instructions}-{sha256.hexdigest()[:16]}.so"
