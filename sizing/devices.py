"""Accelerators: memory as the driver reports it, speed as the maker states it, and what an hour is taken to cost."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30

USABLE = 0.92
"""Share of the memory that tensors can fill; context, buffers of collectives and fragments take the rest. Assumed."""


@dataclass(frozen=True)
class Device:
    """One accelerator."""

    title: str
    gib: float
    """Memory that a program finds, in GiB."""
    tflops: float
    """Peak of dense matrix products in bfloat16, in 10^12 operations per second; half of the sparse peak."""
    bandwidth: float
    """Of its memory, in bytes per second."""
    price: float
    """Dollars per hour, on demand, in 2026. Assumed: prices differ threefold between providers, so say your own."""

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
