"""Reads image files: the one place that knows Pillow, and arrays in .npy and .mat files without it."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from typing import Any

import numpy as np

from mlnet.errors import DataError, MissingExtraError

EXTENSIONS = (
    *(".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".npy", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".ras"),
    *(".tif", ".tiff", ".webp"),
)
"""Files that count as images where nothing else is said."""
_FORMATS = {".png": ("PNG",), ".jpg": ("JPEG",), ".jpeg": ("JPEG",), ".bmp": ("BMP",)}
"""Formats that are tried first: asking all of them takes longer than reading a small image."""


def readDatastoreImage(filename: str) -> np.ndarray:
    """Return an image from a file, the first one where there are several.

    Parameters
    ----------
    filename : text
        An image file, or an array in a .npy file or as the only numeric variable of a .mat file.

    Returns
    -------
    ndarray (H, W), (H, W, 3) or, for CMYK, (H, W, 4)
        In the type of the file: uint8, uint16, bool, ... Transparency is left out, colours from a palette are RGB.

    Raises
    ------
    DataError
        Where the file does not exist, is damaged or incomplete.
    MissingExtraError
        Where Pillow is not installed and the file is no .npy or .mat.
    """
    return _read(filename, by_palette=False)


def read_indices(filename: str) -> np.ndarray:
    """Return an image whose values mean something, such as labels: numbers into a palette stay numbers."""
    return _read(filename, by_palette=True)


def _read(filename: str, *, by_palette: bool) -> np.ndarray:
    extension = os.path.splitext(filename)[1].lower()
    try:
        if extension == ".npy":
            return np.load(filename, allow_pickle=False)
        if extension == ".mat":
            return only_variable(filename)
        return _image(filename, extension, by_palette=by_palette)
    except (DataError, MissingExtraError):
        raise
    except FileNotFoundError:
        raise DataError("the file does not exist") from None
    except Exception as error:
        text = str(error).replace(repr(filename), "").strip().rstrip(".") or type(error).__name__
        more = "" if " object at 0x" in text else f" ({text})"
        raise DataError(f"the file is no image, or damaged or incomplete{more}") from error


def _image(filename: str, extension: str, *, by_palette: bool) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("Reading image files needs Pillow: pip install pillow") from None

    with open(filename, "rb", buffering=0) as file:
        data = io.BytesIO(file.read())  # at once: Pillow reads in small pieces
    try:
        image: Any = Image.open(data, formats=_FORMATS.get(extension))
    except UnidentifiedImageError:
        data.seek(0)
        image = Image.open(data)  # the name of the file may not tell its format
    if image.mode in ("P", "PA"):
        if by_palette:
            return np.array(image)
        image = image.convert("RGB")
    elif image.mode in ("YCbCr", "LAB", "HSV", "RGBX", "RGBa"):
        image = image.convert("RGB")
    array = np.array(image)
    if image.mode in ("RGBA", "LA", "La"):
        array = array[..., :3] if image.mode == "RGBA" else array[..., 0]
    if image.mode == "I" and image.format == "PNG":
        array = array.astype(np.uint16)  # older versions of Pillow widen 16 bits
    return array


def write_image(filename: str, image: np.ndarray, **options: Any) -> None:
    """Write an image into a file that is there as a whole or not at all; its extension tells the format.

    Parameters
    ----------
    filename : text
        Ending with .npy, or with an extension that Pillow writes.
    image : (H, W) or (H, W, C), uint8, uint16 or bool; in .npy any array
    **options
        Of Pillow, such as ``quality``.

    Raises
    ------
    DataError
        Where the image does not go into such a file.
    MissingExtraError
        Where Pillow is not installed and the file is no .npy.
    OSError
        Where the file cannot be written.
    """
    buffer = io.BytesIO()
    extension = os.path.splitext(filename)[1].lower()
    if extension == ".npy":
        np.save(buffer, image, allow_pickle=False)
    else:
        try:
            from PIL import Image
        except ImportError:
            raise MissingExtraError("Writing image files needs Pillow: pip install pillow") from None
        array = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        kinds = Image.registered_extensions()
        try:
            if array.dtype.kind == "f" or extension not in kinds:
                raise TypeError(f"{array.dtype} in {extension or 'no extension'}")
            Image.fromarray(array).save(buffer, format=kinds[extension], **options)
        except (TypeError, ValueError, KeyError, OSError) as error:
            needed = "an image of 8 or 16 bits (H, W) or (H, W, 3), or .npy"
            raise DataError(f"{filename!r}: needs {needed}, but got {image.shape} {image.dtype} ({error}).") from None
    folder, name = os.path.split(os.path.abspath(filename))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(buffer.getvalue())
        os.replace(temporary, filename)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def variables(filename: str, names: list[str] | None = None) -> dict[str, Any]:
    """Return variables of a .mat file (not of version 7.3) by name, all where ``names`` is None.

    Raises
    ------
    DataError
        Where there is no such variable, or the file is of version 7.3.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(filename, variable_names=names)
    except NotImplementedError:
        raise DataError("the .mat file is of version 7.3; save it with '-v7', or give a ReadFcn") from None
    found = {name: value for name, value in found.items() if not name.startswith("__")}
    missing = [name for name in names or [] if name not in found]
    if missing:
        raise DataError(f"the file has no variable '{missing[0]}'")
    return found


def only_variable(filename: str) -> np.ndarray:
    """Return the only numeric variable of a .mat file.

    Raises
    ------
    DataError
        Where there are several or none.
    """
    found = {name: value for name, value in variables(filename).items() if value.dtype.kind in "fiubc"}
    if len(found) != 1:
        raise DataError(f"the file needs one numeric variable, but has {len(found)}; give a ReadFcn")
    return next(iter(found.values()))
