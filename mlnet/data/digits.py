"""Built-in sample data: 10,000 handwritten-looking digits, drawn when they are asked for.

The way of a digit: a variant of its class is a few strokes (`_VARIANTS`); each stroke is a smooth curve through jittered
control points; the curve is bent, slanted, scaled, rotated and shifted; a round pen follows it.

The images are the same bit for bit on every machine and with every NumPy. Hence the random numbers come from the raw
words of PCG64, which NumPy keeps stable (NEP 19), not from ``Generator``; and the arithmetic uses only operations that
IEEE 754 rounds exactly (+, -, *, /, square root), each one in a NumPy call or Python expression of its own, so that no
compiler can fuse two of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mlnet.data.categorical import categorical

IMAGE_SIZE = 28  # pixels, height and width
IMAGES_PER_CLASS = 500
LARGEST_ANGLE = 45  # degrees
MARGIN = 1.5  # pixels from the middle of the outermost pixels to the way of the pen, so that no digit is cut off
TRAIN_SEED = 1
TEST_SEED = 2

POINTS_PER_DIGIT = 64  # pen positions; the longest digit then has steps below one pixel
BLOCK = 250  # images drawn at once; their distances (28 x 28 x 250 float32, 0.8 MB) stay in the processor's cache

# Strokes on a grid 8 wide and 12 high, points named as on a chess board: columns a to i from left to right, rows 0 to
# 12 from top to bottom. A small letter pulls the curve towards the point, a capital makes a corner there.
_VARIANTS: dict[int, tuple[str, ...]] = {
    0: (
        "f0 c0 a3 a9 c12 f12 i9 i3 f0 d0",
        "g1 d0 a3 a9 d13 h11 j6 h1 e0 c1",
        "e0 c0 a6 c12 e12 h11 h4 f0 d0",
        "g2 f0 a1 a11 d13 i10 h2 f1",
    ),
    1: ("e0 e6 e12", "d2 E0 e6 e12", "d2 E0 E12, b12 h12", "f0 e5 d12", "c3 d2 F0 e12"),
    2: (
        "a3 b0 g-1 i4 d8 A12 I12",
        "a3 b0 h-1 i4 e9 b13 a11 b9 e11 f12 i12",
        "b2 d0 i-1 h5 c9 a12 e11 i12",
        "a1 e-1 i1 g5 A12 h12",
    ),
    3: (
        "a2 c0 h-1 i5 D6 j5 i13 b12 a10",
        "A0 H0 D5 j4 i13 b12 a10",
        "a1 e-1 i2 d6 j7 h12 c13 a10",
        "a2 d-1 i1 g5 d6 d5 f6 j8 g13 c12 a10",
    ),
    4: (
        "c0 A8 I8, g4 g12",
        "f12 F0 A8 I8",
        "a0 A6 H6, h0 g12",
        "b0 a6 c7 h6, h0 g12",
        "d0 b5 A7 i7, f2 e12",
    ),
    5: (
        "H0 B0 B5 f3 j7 h12 c13 a10",
        "B0 b5 f3 j7 h13 c12 a11, b0 h0",
        "h0 c0 a5 e5 i7 h12 c13 a10",
        "I0 A0 A6 e4 j6 i12 d13 a11",
    ),
    6: (
        "g0 b3 a9 c13 h12 i7 d5 a10",
        "e0 a6 a12 g13 i8 e5 a10",
        "h1 e-1 a3 a10 d13 i12 i6 d6 a10",
        "f0 c4 a10 d13 h11 g7 d7 b10",
    ),
    7: (
        "A0 I0 e6 c12",
        "A0 I0 d12, c6 h6",
        "a2 A0 I0 e6 d12",
        "A1 d1 I0 f5 d12",
        "A1 H0 e5 d12, b7 h5",
    ),
    8: (
        "g1 d-1 a2 c5 h7 i11 e13 a11 b7 g5 i2 g0 d0",
        "e0 c0 b2 b5 d6 f6 h5 h2 g0 e0, e6 c6 a8 a11 c13 f13 i11 i8 g6 e6",
        "e6 a5 a0 h-1 i4 e6 a7 a13 i13 i8 e6 a5",
        "h2 e-1 a1 b6 i6 i13 b13 b8 h5 h1",
    ),
    9: (
        "h3 f0 a-1 a6 e7 h4 H2 h7 g12",
        "h2 e-1 a0 a7 f7 H1 g12",
        "h2 d-1 a3 c8 h6 H2 h9 f13 b12",
        "g3 e-1 a1 b7 f7 g3, h0 g12",
        "i2 e-1 a2 c8 h5 I1 g12",
    ),
}


def digitTrain4DArrayData() -> tuple[np.ndarray, categorical, np.ndarray]:
    """Return the 5000 training digits, 500 of each class, with labels and rotation angles.

    Returns
    -------
    X : ndarray (28, 28, 1, 5000), float64
        White digits on black, height x width x channels x observations, multiples of 1/255 in [0, 1]. In memory each
        image is contiguous.
    Y : categorical (5000,)
        The digits, categories '0' to '9', in mixed order.
    angles : ndarray (5000,), float64
        Rotation of each digit in whole degrees, -45 to 45, positive clockwise as the image is seen. Turning the image
        counterclockwise by its angle sets the digit upright, up to the slant of the handwriting.

    Notes
    -----
    The images are not those of MATLAB: they are drawn by mlnet, the same ones on every machine and in every call.

    Examples
    --------
    >>> X, Y, angles = digitTrain4DArrayData()
    >>> X.shape, Y.shape, angles.shape
    ((28, 28, 1, 5000), (5000,), (5000,))
    >>> int((Y == 3).sum())
    500
    """
    return _as_4d_array_data(TRAIN_SEED)


def digitTest4DArrayData() -> tuple[np.ndarray, categorical, np.ndarray]:
    """Return the 5000 test digits, none of which is among the training digits.

    Returns
    -------
    X : ndarray (28, 28, 1, 5000), float64
        White digits on black, as `digitTrain4DArrayData` returns them.
    Y : categorical (5000,)
        The digits, 500 of each class, in mixed order.
    angles : ndarray (5000,), float64
        Rotation of each digit in whole degrees, -45 to 45, positive clockwise.

    Examples
    --------
    >>> X, Y, angles = digitTest4DArrayData()
    >>> X.shape
    (28, 28, 1, 5000)
    """
    return _as_4d_array_data(TEST_SEED)


def _as_4d_array_data(seed: int) -> tuple[np.ndarray, categorical, np.ndarray]:
    images, labels, angles = draw_digits(seed, IMAGES_PER_CLASS)
    return (images / 255.0).transpose(1, 2, 3, 0), categorical(labels), angles


def draw_digits(seed: int, count_per_class: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw ``count_per_class`` digits of each class in a mixed order that ``seed`` fixes.

    Returns
    -------
    images : ndarray (N, 28, 28, 1), uint8
        White (255) on black (0), N = 10 * ``count_per_class``.
    labels : ndarray (N,), int64
        The digits, 0 to 9.
    angles : ndarray (N,), float64
        Rotation in whole degrees, positive clockwise as the image is seen.
    """
    words = np.random.PCG64(seed)
    shapes = _pen_shapes()
    # Sorting random keys instead of Generator.shuffle, whose use of the words may change between versions of NumPy.
    labels = np.repeat(np.arange(10), count_per_class)
    labels = labels[np.argsort(words.random_raw(labels.size), kind="stable")]
    angles = _integers(words, -LARGEST_ANGLE, LARGEST_ANGLE, labels.size).astype(np.float64)
    images = np.empty((labels.size, IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8)
    for start in range(0, labels.size, BLOCK):
        block = slice(start, start + BLOCK)
        images[block, :, :, 0] = _draw_block(words, shapes, labels[block], angles[block])
    return images, labels, angles


class _PenShapes(NamedTuple):
    """The pen positions of all variants as weighted sums of three control points each.

    V variants, K control points (padded), P pen positions.
    """

    first_variant: np.ndarray  # (11,): the variants of class c are first_variant[c] up to first_variant[c + 1]
    controls: np.ndarray  # (V, K, 2): x and y of the control points, the digit's height being -1 to 1
    indices: np.ndarray  # (V, P, 3): the control points of each pen position
    weights: np.ndarray  # (V, P, 3): their weights


def _pen_shapes() -> _PenShapes:
    """Turn `_VARIANTS` into arrays."""
    variants = [variant for digit in range(10) for variant in _VARIANTS[digit]]
    parsed = [_parse(variant) for variant in variants]
    positions = [_pen_positions(controls, strokes) for controls, strokes in parsed]
    most = max(len(controls) for controls, _ in parsed)
    return _PenShapes(
        np.cumsum([0] + [len(_VARIANTS[digit]) for digit in range(10)]),
        np.array([controls + [(0.0, 0.0)] * (most - len(controls)) for controls, _ in parsed]),
        np.array([[triple for triple, _ in row] for row in positions]),
        np.array([[weights for _, weights in row] for row in positions]),
    )


def _parse(variant: str) -> tuple[list[tuple[float, float]], list[list[int]]]:
    """Return the control points of a variant, and its strokes as lists of their numbers, corners doubled."""
    controls: list[tuple[float, float]] = []
    strokes = []
    for stroke in variant.split(","):
        path: list[int] = []
        for name in stroke.split():
            # A curve of second order passes through a point that it is given twice; so do both ends.
            path += [len(controls)] * (2 if name[0].isupper() else 1)
            controls.append(((ord(name[0].lower()) - ord("e")) / 6.0, int(name[1:]) / 6.0 - 1.0))
        strokes.append([path[0], *path, path[-1]])
    return controls, strokes


def _pen_positions(
    controls: list[tuple[float, float]], strokes: list[list[int]]
) -> list[tuple[tuple[int, int, int], tuple[float, float, float]]]:
    """Return pen positions at even steps along uniform quadratic B-splines: control points and their weights."""
    fine = []  # (way from the start, control points, weights)
    way = 0.0
    for path in strokes:
        before = None
        for triple in zip(path, path[1:], path[2:], strict=False):
            for step in range(17):
                t = step / 16.0
                weights = (0.5 * (1.0 - t) * (1.0 - t), 0.5 + t * (1.0 - t), 0.5 * t * t)
                here = [sum(w * controls[i][axis] for w, i in zip(weights, triple, strict=True)) for axis in (0, 1)]
                if before is not None:
                    across, down = here[0] - before[0], here[1] - before[1]
                    way += math.sqrt(across * across + down * down)
                fine.append((way, triple, weights))
                before = here
    chosen = []
    at = 0
    for number in range(POINTS_PER_DIGIT):
        while at < len(fine) - 1 and fine[at][0] < way * number / (POINTS_PER_DIGIT - 1):
            at += 1
        chosen.append(fine[at][1:])
    return chosen


def _draw_block(words: np.random.PCG64, shapes: _PenShapes, labels: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Draw one digit for each label: (B, 28, 28) uint8."""
    count = labels.size
    first, after = shapes.first_variant[labels], shapes.first_variant[labels + 1]
    variant = first + (words.random_raw(count) % (after - first).astype(np.uint64)).astype(np.int64)

    controls = shapes.controls[variant]  # (B, K, 2)
    controls = controls + _around_zero(words, 0.08, controls.shape)
    indices, weights = shapes.indices[variant], shapes.weights[variant]
    image = np.arange(count)[:, None]
    corners = [controls[image, indices[:, :, i]] * weights[:, :, i, None] for i in range(3)]
    points = corners[0] + corners[1] + corners[2]  # (B, P, 2)
    x, y = _place(words, points[:, :, 0], points[:, :, 1], angles)

    radius = 1.25 + _around_zero(words, 0.45, count)
    fading = np.maximum(_around_zero(words, 0.6, count), 0.0)  # a pen that is lifted towards the end
    return _ink(x, y, radius, fading)


def _place(
    words: np.random.PCG64, x: np.ndarray, y: np.ndarray, angles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bend, slant, scale, rotate and shift the curves (B, P) from [-1, 1] to pixels."""

    def own(middle: float, spread: float) -> np.ndarray:
        """Return one random number for each digit, as a column."""
        return middle + _around_zero(words, spread, (len(x), 1))

    bent_x = x + own(0.0, 0.1) * y * y + own(0.0, 0.1) * x * y
    bent_y = y + own(0.0, 0.1) * x * x + own(0.0, 0.1) * x * y
    half_height = own(9.2, 1.2)
    across = half_height * own(1.04, 0.15) * (bent_x - own(0.08, 0.2) * bent_y)
    down = half_height * bent_y
    sine, cosine = _sine_and_cosine(angles[:, None])
    return (
        _shift(words, cosine * across - sine * down),
        _shift(words, sine * across + cosine * down),
    )


def _shift(words: np.random.PCG64, along: np.ndarray) -> np.ndarray:
    """Shift the curves (B, P) in one direction to near the middle of the image, and back where they leave it."""
    along = along + ((IMAGE_SIZE - 1) / 2.0 + _around_zero(words, 2.4, (len(along), 1)))
    low, high = along.min(axis=1, keepdims=True), along.max(axis=1, keepdims=True)
    return along + (np.maximum(MARGIN - low, 0.0) - np.maximum(high - (IMAGE_SIZE - 1 - MARGIN), 0.0))


def _ink(x: np.ndarray, y: np.ndarray, radius: np.ndarray, fading: np.ndarray) -> np.ndarray:
    """Return the images (B, 28, 28) uint8 of a round pen at the positions (B, P), in pixels.

    The ink of a pixel is ``radius + 1/2 -`` its distance from the nearest pen position, cut to [0, 1]: an edge one
    pixel wide. The pen narrows along the way from ``radius`` to ``sqrt(radius^2 - fading)``.
    """
    pixels = np.arange(IMAGE_SIZE, dtype=np.float32)[:, None]
    # Images along the last axis, so that the inner loops of NumPy are long.
    x, y = x.T.astype(np.float32), y.T.astype(np.float32)
    radius, fading = radius.astype(np.float32), fading.astype(np.float32)
    nearest = np.full((IMAGE_SIZE, IMAGE_SIZE, len(radius)), np.inf, np.float32)
    squares = np.empty_like(nearest)
    for number in range(len(x)):
        share = np.float32(number / (len(x) - 1))
        across, down = pixels - x[number], pixels - y[number]
        np.add((down * down)[:, None], (across * across + fading * share)[None], out=squares)
        np.minimum(nearest, squares, out=nearest)
    ink = np.clip(radius + np.float32(0.5) - np.sqrt(nearest), 0.0, 1.0)
    return np.floor(ink * np.float32(255.0) + np.float32(0.5)).astype(np.uint8).transpose(2, 0, 1)


def _sine_and_cosine(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sine and cosine of angles up to 45 degrees; ``numpy.sin`` differs between machines in the last bit."""
    a = degrees * (math.pi / 180.0)
    square = a * a
    # Taylor's series up to a^9; what is left out is below 2e-9.
    sine = a * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))))
    return sine, np.sqrt(1.0 - sine * sine)


def _uniform(words: np.random.PCG64, shape: int | tuple[int, ...]) -> np.ndarray:
    """Return float64 numbers in [0, 1), multiples of 2^-53."""
    return (words.random_raw(shape) >> np.uint64(11)) * 2.0**-53


def _around_zero(words: np.random.PCG64, spread: float, shape: int | tuple[int, ...]) -> np.ndarray:
    """Return numbers between -``spread`` and ``spread``, small ones being likelier (a triangular distribution)."""
    return spread * (_uniform(words, shape) - _uniform(words, shape))


def _integers(words: np.random.PCG64, low: int, high: int, count: int) -> np.ndarray:
    """Return integers from ``low`` to ``high``, both included."""
    # The remainder favours small numbers by less than 1 in 10^17: too little to be seen.
    return low + (words.random_raw(count) % np.uint64(high - low + 1)).astype(np.int64)
