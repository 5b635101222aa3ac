"""Accelerators: memory as the driver reports it, speed as the maker states it, and what an hour is taken to cost.

And the processor of this machine, whose speed is a typical figure per core.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

GIB = 2**30

USABLE = 0.92
"""Share of the memory that tensors can fill; context, buffers of collectives and fragments take the rest. Assumed."""


@dataclass(frozen=True)
class Device:
    """One accelerator, or the cores of a processor, which share its memory."""

    title: str
    gib: float
    """Memory that a program finds, in GiB."""
    tflops: float
    """Peak of dense matrix products in bfloat16, in 10^12 operations per second; half of the sparse peak. Of a
    processor: of one core, in single precision."""
    bandwidth: float
    """Of its memory, in bytes per second."""
    price: float
    """Dollars per hour, on demand, in 2026. Assumed: prices differ threefold between providers, so say your own."""
    cores: int = 0
    """Cores of a processor, each for a training of its own; 0 for an accelerator."""

    @property
    def half(self) -> bool:
        """Whether the base is in bfloat16; on a processor everything is in single precision."""
        return not self.cores

    @property
    def usable(self) -> float:
        """Bytes that tensors can fill."""
        return USABLE * self.gib * GIB


DEVICES = {
    "h200": Device("NVIDIA H200 SXM", 139.8, 989.5, 4.8e12, 3.5),
    "h100": Device("NVIDIA H100 SXM", 79.2, 989.5, 3.35e12, 2.5),
    "b200": Device("NVIDIA B200", 178.4, 2250, 8.0e12, 5.0),
    "a100": Device("NVIDIA A100 SXM 80 GB", 79.2, 312, 2.039e12, 1.6),
    "l40s": Device("NVIDIA L40S", 44.4, 362, 0.864e12, 1.0),
    "rtx-pro-6000": Device("NVIDIA RTX PRO 6000 Blackwell", 95.0, 504, 1.597e12, 1.8),
}
"""By the name that the command line takes. Speeds: NVIDIA's data sheets of these products."""

PROCESSOR = "cpu"
"""Name of this machine's processor on the command line."""

CORE_TFLOPS, CORE_BANDWIDTH = 0.08, 10e9
"""Of a core with AVX2: 32 operations per cycle in single precision at 2.5 GHz. Typical; `--measure` measures."""


def processor() -> Device:
    """The processor of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    return Device(f"processor ({cores} cores)", gib, CORE_TFLOPS, CORE_BANDWIDTH, 0.0, cores)


def device(name: str) -> Device | None:
    """The device that the command line names; None for an unknown name."""
    return processor() if name == PROCESSOR else DEVICES.get(name)
