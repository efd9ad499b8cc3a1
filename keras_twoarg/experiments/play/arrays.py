"""Arrays as text in a page's JSON."""

import base64
import sys
import zlib

import numpy as np

from keras_twoarg.utils.types import JsonObject


def pack_array(array: np.ndarray) -> JsonObject:
    """Return an array as JSON: its dtype and shape, and its bytes, compressed, as base64.

    The first bytes of all entries come first, then the second ones, and so on: exponents of floating-point numbers
    are alike, and compress better side by side. `data.js` reads it.

    Examples:
        >>> packed = pack_array(np.zeros((2, 3), "float32"))
        >>> packed["dtype"], packed["shape"], unpack_array(packed).shape
        ('float32', [2, 3], (2, 3))
    """
    if sys.byteorder != "little" and array.dtype.itemsize > 1:
        array = array.byteswap()
    planes = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize).T
    data = base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack_array(packed: JsonObject) -> np.ndarray:
    """Return the array that `pack_array` made JSON of."""
    dtype = np.dtype(packed["dtype"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    entries = np.ascontiguousarray(planes.reshape(dtype.itemsize, -1).T)
    return entries.view(dtype.newbyteorder("<")).astype(dtype).reshape(packed["shape"])
