"""The values in an ONNX file, and in files beside it, as arrays: nothing outside the folder of the model is read."""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Any

import numpy as np


class Values:
    """Turns tensors of the package onnx into arrays; ``folder`` is that of the model.

    Bytes of other files are read once: two tensors cannot share them, so that all arrays together take no more memory
    than the files.
    """

    def __init__(self, onnx: Any, folder: Path | None) -> None:
        self._onnx, self._folder = onnx, folder
        self._read: dict[Path, int] = {}

    def array(self, tensor: Any) -> np.ndarray:
        """Return a tensor as an array; raise ValueError where it is not whole, or in a place that is not read."""
        kinds = self._onnx.TensorProto
        if tensor.data_type in (kinds.STRING, kinds.UNDEFINED):
            raise ValueError(f"the values of '{tensor.name}' are no numbers")
        if tensor.data_location == kinds.EXTERNAL:
            return self._external(tensor)
        count = math.prod(tensor.dims)
        if min(tensor.dims, default=0) < 0 or count > 8 * max(1, tensor.ByteSize()):
            raise ValueError(f"'{tensor.name}' has fewer values than its shape says")
        found: np.ndarray = self._onnx.numpy_helper.to_array(tensor)
        return found

    def _external(self, tensor: Any) -> np.ndarray:
        given = {each.key: each.value for each in tensor.external_data}
        path = self._path(tensor.name, given.get("location", ""))
        kind = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        count = math.prod(tensor.dims)
        offset, size = int(given.get("offset", 0)), path.stat().st_size
        length = int(given.get("length", count * kind.itemsize))
        if min(tensor.dims, default=0) < 0 or length != count * kind.itemsize:
            raise ValueError(f"'{tensor.name}' has {length} bytes in '{path.name}', which do not fit its shape")
        if offset < 0 or offset + length > size:
            raise ValueError(f"'{path.name}' ends before the values of '{tensor.name}' do")
        self._read[path] = self._read.get(path, 0) + length
        if self._read[path] > size:
            raise ValueError(f"several values are the same bytes of '{path.name}'")
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        return np.frombuffer(content, kind.newbyteorder("<")).astype(kind, copy=False).reshape(tuple(tensor.dims))

    def _path(self, name: str, location: str) -> Path:
        """Return the path of a file in the folder of the model."""
        refused = ValueError(f"the values of '{name}' are in '{location}', which is no file in the folder of the model")
        if self._folder is None or not location or "\0" in location or "\\" in location or ":" in location:
            raise refused
        parts = Path(location)
        if parts.is_absolute() or ".." in parts.parts:
            raise refused
        folder = self._folder.resolve()
        path = (folder / parts).resolve()
        if not path.is_relative_to(folder):
            raise refused
        if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"the values of '{name}' are in '{location}', which is not in the folder of the model")
        return path
