"""Run a SavedModel through TensorFlow's C library, without its Python, as programs in C, Go, Rust or Java do.

As a program it takes the arguments `MODEL IN.npz OUT.npz INPUT OUTPUT`, with the names of operations that
`saved_model_cli show` gives, such as `serving_default_image:0`.
"""

import ctypes
import sys
from importlib import util
from pathlib import Path

import numpy as np

_TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10, "float16": 19,
}  # fmt: skip
"""TF_DataType of NumPy's types."""
_FILES = [[f"libtensorflow_{part}{ending}" for part in ("framework", "cc")] for ending in (".so.2", ".2.dylib")]
_NAMES = {number: name for name, number in _TYPES.items()}


class _Output(ctypes.Structure):
    """TF_Output: an operation and the number of one of its outputs."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Session:
    """A loaded SavedModel.

    Args:
        folder: Folder of the SavedModel.

    Raises:
        ValueError: If the library cannot load it.
        ImportError: If no TensorFlow wheel with the library is installed.
    """

    def __init__(self, folder: str) -> None:
        self._tf = _library()
        self._status = ctypes.c_void_p(self._tf.TF_NewStatus())
        self._graph = ctypes.c_void_p(self._tf.TF_NewGraph())
        options = ctypes.c_void_p(self._tf.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self._tf.TF_LoadSessionFromSavedModel(
            options, None, folder.encode(), tags, 1, self._graph, None, self._status
        )
        self._check()
        self._session = ctypes.c_void_p(session)

    def run(self, source: str, x: np.ndarray, wanted: str) -> np.ndarray:
        """Feed a tensor and fetch one, both named by `operation:number`."""
        x = np.ascontiguousarray(x)
        shape = (ctypes.c_int64 * x.ndim)(*x.shape)
        tensor = ctypes.c_void_p(self._tf.TF_AllocateTensor(_TYPES[x.dtype.name], shape, x.ndim, x.nbytes))
        ctypes.memmove(self._tf.TF_TensorData(tensor), x.ctypes.data, x.nbytes)
        inputs, outputs = self._place(source), self._place(wanted)
        values, fetched = (ctypes.c_void_p * 1)(tensor), (ctypes.c_void_p * 1)()
        self._tf.TF_SessionRun(
            self._session, None, inputs, values, 1, outputs, fetched, 1, None, 0, None, self._status
        )  # fmt: skip
        self._tf.TF_DeleteTensor(tensor)
        self._check()
        result = ctypes.c_void_p(fetched[0])
        sizes = [self._tf.TF_Dim(result, i) for i in range(self._tf.TF_NumDims(result))]
        array = np.empty(sizes, _NAMES[self._tf.TF_TensorType(result)])
        ctypes.memmove(array.ctypes.data, self._tf.TF_TensorData(result), array.nbytes)
        self._tf.TF_DeleteTensor(result)
        return array

    def _place(self, name: str) -> ctypes.Array[_Output]:
        operation, _, index = name.partition(":")
        node = self._tf.TF_GraphOperationByName(self._graph, operation.encode())
        if not node:
            raise ValueError(f"The SavedModel has no operation {operation!r}")
        return (_Output * 1)(_Output(node, int(index or 0)))

    def _check(self) -> None:
        if self._tf.TF_GetCode(self._status) != 0:
            raise ValueError(self._tf.TF_Message(self._status).decode())


def library_files() -> list[Path]:
    """Return the files of the C library in the wheel, in the order to load them, without importing TensorFlow.

    Raises:
        ImportError: If there is no wheel, or none with the library, as on Windows.
    """
    wheel = util.find_spec("tensorflow")
    if wheel is None or wheel.origin is None:
        raise ImportError("The C library ships with TensorFlow: pip install 'keras_twoarg[tensorflow-cpu]'")
    folder = Path(wheel.origin).parent
    for linux_or_mac in _FILES:
        if all((folder / name).exists() for name in linux_or_mac):
            return [folder / name for name in linux_or_mac]
    raise ImportError(f"This TensorFlow wheel has no C library, such as {_FILES[0][-1]}")


def _library() -> ctypes.CDLL:
    for file in library_files():
        library = ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
    pointers = ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "AllocateTensor")
    for name in (*pointers, "TensorData", "GraphOperationByName"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_AllocateTensor.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_Dim.restype = ctypes.c_int64
    return library


if __name__ == "__main__":
    sys.modules.update({"keras": None, "keras_twoarg": None})  # type: ignore[dict-item]  # importing them now fails
    _folder, _given, _found, _input, _output = sys.argv[1:]
    _outputs = Session(_folder).run(_input, np.load(_given)["inputs"], _output)
    if "tensorflow" in sys.modules:
        raise SystemExit("TensorFlow's Python was imported")
    np.savez(_found, outputs=_outputs)
