"""Arrays as JSON, for the page."""

import base64
import sys
import zlib

import numpy as np

from keras_twoarg.utils.types import JsonObject


def pack_array(array: np.ndarray) -> JsonObject:
    """Return an array as JSON: its dtype, its shape, and its compressed bytes in base64.

    The first bytes of all entries come first, then the second bytes, and so on: the exponents of floating-point
    numbers are similar and compress better next to each other. `data.js` reads this format.

    Examples:
        >>> packed = pack_array(np.zeros((2, 3), "float32"))
        >>> packed["dtype"], packed["shape"]
        ('float32', [2, 3])
    """
    if sys.byteorder != "little" and array.dtype.itemsize > 1:
        array = array.byteswap()
    planes = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize).T
    data = base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}
