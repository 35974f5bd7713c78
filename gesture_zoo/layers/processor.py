"""What this processor is quick at."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch


def lags_in_products(description: str, capability: str) -> bool:
    """Whether products of single precision take longer than convolutions with as many operations.

    PyTorch has its products from MKL, which uses half the width of an AMD processor's AVX-512, and its convolutions
    from oneDNN, which uses all of it. Up to Zen 4, family 25, both halves take their turns anyway. ``description`` is
    Linux' of the processor, or what Windows calls it; ``capability`` is what PyTorch makes use of.

    >>> lags_in_products("AMD64 Family 26 Model 2 Stepping 1, AuthenticAMD", "AVX512")
    True
    >>> lags_in_products("vendor_id : AuthenticAMD" + chr(10) + "cpu family : 25", "AVX512")
    False
    """
    family = re.search(r"family[\s:]+(\d+)", description, re.IGNORECASE)
    return "AuthenticAMD" in description and family is not None and int(family[1]) > 25 and capability == "AVX512"


def _description() -> str:
    """The first processor's, as the system has it."""
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return platform.processor()


# Found out once, before a compiler is at work.
LAGS_IN_PRODUCTS = lags_in_products(_description(), torch.backends.cpu.get_cpu_capability())


def has_quick_products(kind: torch.dtype) -> bool:
    """Whether this processor has matrix products of such numbers that are as quick as its convolutions."""
    if kind == torch.bfloat16:
        return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return kind == torch.float64 or (kind == torch.float32 and not LAGS_IN_PRODUCTS)


def is_quickest_to_convolve(kind: torch.dtype) -> bool:
    """Whether oneDNN's convolutions of such numbers are quicker here than products and passes over memory are.

    Those of maps in channels_last, that is: contiguous ones it brings into a layout of its own first.
    """
    if kind != torch.float32 or not LAGS_IN_PRODUCTS:
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
