"""Affine changes, resizing and cropping of single images (H, W) or (H, W, C)."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np


class Transformation(NamedTuple):
    """Where a point goes, measured from the centre in pixels: (x, y) -> A (x, y) + b, y downwards."""

    a: tuple[tuple[float, float], tuple[float, float]]
    b: tuple[float, float]


_TOLERANCE = 1e-9
"""Pixels by which a point may lie outside of an image."""
NOTHING = Transformation(((1.0, 0.0), (0.0, 1.0)), (0.0, 0.0))


def affine(
    x_reflection: bool,
    y_reflection: bool,
    rotation: float,
    x_scale: float,
    y_scale: float,
    x_shear: float,
    y_shear: float,
    x_translation: float,
    y_translation: float,
) -> Transformation:
    """Return reflection, then scaling, shear along x, shear along y, rotation (degrees clockwise) and translation."""
    reflection = np.diag([-1.0 if x_reflection else 1.0, -1.0 if y_reflection else 1.0])
    shear_x = np.array([[1, math.tan(math.radians(x_shear))], [0, 1]])
    shear_y = np.array([[1, 0], [math.tan(math.radians(y_shear)), 1]])
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.round(turn @ shear_y @ shear_x @ np.diag([x_scale, y_scale]) @ reflection, 14)  # right angles are exact
    (a, b), (c, d) = matrix.tolist()
    return Transformation(((a + 0.0, b + 0.0), (c + 0.0, d + 0.0)), (x_translation + 0.0, y_translation + 0.0))


def warped(image: np.ndarray, transformation: Transformation, fill: np.ndarray) -> np.ndarray:
    """Return an image of the same size and type, bilinear.

    ``fill`` stands where nothing comes from: one value, or one for each channel; of other images the first counts.
    """
    planes = image[..., np.newaxis] if image.ndim == 2 else image
    count = planes.shape[2]
    values = fill if len(fill) == count else np.repeat(fill[:1], count)
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        values = np.clip(np.round(values), limits.min, limits.max)
    return _resampled(planes, transformation, 1, values).reshape(image.shape)


def warped_codes(codes: np.ndarray, transformation: Transformation) -> np.ndarray:
    """Return numbers of classes after a transformation, each the nearest one; -1 where nothing comes from."""
    planes = codes[..., np.newaxis] if codes.ndim == 2 else codes
    return _resampled(planes, transformation, 0, np.full(planes.shape[2], -1)).reshape(codes.shape)


def _resampled(planes: np.ndarray, transformation: Transformation, order: int, fill: np.ndarray) -> np.ndarray:
    from scipy.ndimage import affine_transform

    matrix, offset = _backwards(transformation, planes.shape[:2])
    outside = _outside(matrix, offset, planes.shape[:2])
    kind = planes.dtype
    is_native = (kind.kind in "iu" and kind.itemsize < 8) or kind in (np.float32, np.float64)
    result = np.empty_like(planes)
    for channel in range(planes.shape[2]):
        plane = planes[..., channel] if is_native else planes[..., channel].astype(float)
        found = affine_transform(plane, matrix, offset, order=order, mode="nearest")
        if kind.kind == "b":
            found = found >= 0.5
        elif kind.kind in "iu":
            found = np.round(found)
        result[..., channel] = found
        result[..., channel][outside] = fill[channel]
    return result


def _backwards(transformation: Transformation, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and offset that take rows and columns of the result to those of the image."""
    centre = (np.array(size) - 1) / 2
    inverse = np.linalg.inv(np.array(transformation.a))[::-1, ::-1]  # rows come first
    return inverse, centre - inverse @ (centre + np.array(transformation.b[::-1]))


def _outside(matrix: np.ndarray, offset: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return where the result comes from beyond the middle of the outermost pixels, apart from rounding errors."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    found = np.zeros(size, bool)
    for axis in range(2):
        place = matrix[axis, 0] * rows + matrix[axis, 1] * columns + offset[axis]
        found |= (place < -_TOLERANCE) | (place > size[axis] - 1 + _TOLERANCE)
    return found


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image of another height and width, bilinear, with averaging where it gets smaller; the type stays.

    The weight of a pixel falls linearly with its distance to where the new pixel lies; where the image shrinks, the
    triangle gets as much wider.
    """
    if image.shape[:2] == size:
        return image
    kind = image.dtype
    work = np.float64 if kind == np.float64 or (kind.kind in "iu" and kind.itemsize > 2) else np.float32
    rows, columns = (_weights(*pair, work) for pair in zip(image.shape[:2], size, strict=True))
    planes = np.moveaxis(image.reshape(*image.shape[:2], -1), -1, 0).astype(work)
    found = np.moveaxis(rows @ planes @ columns.T, 0, -1).reshape(*size, *image.shape[2:])
    if kind.kind == "b":
        return found >= 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        found = np.clip(np.round(found), limits.min, limits.max)
    return np.ascontiguousarray(found, kind)


def resized_codes(codes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return numbers of classes for another height and width, each the nearest one."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(codes.shape[:2], size, strict=True)
    )
    return codes[rows][:, columns]


@functools.lru_cache(maxsize=256)
def _weights(old: int, new: int, dtype: type) -> np.ndarray:
    scale = new / old
    width = max(1.0, 1 / scale)
    places = (np.arange(new) + 0.5) / scale - 0.5
    reach = math.ceil(width) + 1
    neighbours = np.floor(places)[:, np.newaxis].astype(int) + np.arange(-reach, reach + 1)
    weights = np.maximum(0, 1 - np.abs(places[:, np.newaxis] - neighbours) / width)
    result = np.zeros((new, old))
    inside = np.clip(neighbours, 0, old - 1)  # beyond the border the image goes on with its last pixel
    np.add.at(result, (np.arange(new)[:, np.newaxis], inside), weights / weights.sum(axis=1, keepdims=True))
    return result.astype(dtype)
