"""Whether memory that is freed goes back to Linux, which must clear it anew for the next tensor."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's names for what may stay free at the top, and for the size from which a block is mapped for itself."""
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make this process keep what it frees, for the tensors of the next step, and return whether that was possible.

    glibc maps every block above 32 MB for itself and gives it back when it is freed; then each page of the next one is
    cleared at its first use. For the paper's CNN on TensorFlow that is a tenth of a training step, or more. What is
    kept counts as this process's memory until it ends, so this is for processes that do nothing else. Other systems
    than Linux with glibc are left as they are.

    Examples:
        >>> kept = keep_freed_memory()
    """
    try:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "gnu_get_libc_version"):  # another library's mallopt may do otherwise
            return False
        return bool(libc.mallopt(_MMAP_THRESHOLD, _LARGEST) and libc.mallopt(_TRIM_THRESHOLD, _LARGEST))
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library without a name
        return False
