"""Keep freed memory in the process, instead of returning it to Linux, which would clear it for the next tensor."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's parameters: how much may stay free at the top of the heap, and from which size on blocks are mapped
separately."""
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees, for the next step's tensors; return whether that worked.

    glibc maps every block above 32 MB separately and returns it when it is freed; each page of the next block is then
    cleared at its first use. For the paper's CNN on TensorFlow that takes a tenth of a training step or more. The
    process keeps the memory until it ends, so call this only in processes that do nothing else. It does nothing except
    on Linux with glibc.

    Examples:
        >>> kept = keep_freed_memory()
    """
    try:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "gnu_get_libc_version"):  # another C library's mallopt may differ
            return False
        return bool(libc.mallopt(_MMAP_THRESHOLD, _LARGEST) and libc.mallopt(_TRIM_THRESHOLD, _LARGEST))
    except (AttributeError, OSError, TypeError):  # TypeError: on Windows a library needs a name
        return False
