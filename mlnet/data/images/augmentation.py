"""imageDataAugmenter: random reflection, rotation, scaling, shear and translation of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.images.geometry import NOTHING, Transformation, affine, warped, warped_codes
from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical, categories
from mlnet.options import Declared, Group, Option, Table, constructs, describe
from mlnet.randomness import data_generator
from mlnet.rules import Refused, Rule, either, flag, function, read_only

_DRAWS = 9
"""Random numbers of one image. All are drawn whatever the options are, so that an option changes nothing of others."""


def _range(low: float, high: float, needed: str, bad: tuple[Any, ...]) -> Rule:
    def convert(value: Any) -> np.ndarray:
        pair = np.asarray(value, float).ravel()
        if np.asarray(value).dtype.kind not in "fiu" or pair.size != 2 or not np.isfinite(pair).all():
            raise Refused
        if pair[0] > pair[1] or not (pair > low).all() or not (pair < high).all():
            raise Refused
        return read_only(pair)

    return either(Rule(f"a range [low high] {needed}".strip(), convert, ("x", [1], [2, 1], 1, *bad)), function())


def _fill(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim > 1 or array.size not in (1, 3) or not np.isfinite(array).all():
        raise Refused
    return read_only(array.ravel(), float)


_ANY = _range(-math.inf, math.inf, "of numbers", ())
_SCALE = _range(0, math.inf, "of numbers above 0", ([0, 1],))
_SHEAR = _range(-90, 90, "of degrees between -90 and 90", ([-90, 0],))


def _option(name: str, default: Any, rule: Rule, doc: str) -> Option:
    stored = read_only(np.array(default, float)) if isinstance(default, list) else default
    return Option(name, stored, rule, doc, Group.PLAIN)


class ImageDataAugmenter(Declared):
    """The object that `imageDataAugmenter` makes."""

    table = Table(
        _option("FillValue", [0], Rule("a number, or three for RGB", _fill, ("x", [1, 2], None)), "Where nothing is."),
        _option("RandXReflection", False, flag(), "Whether half of the images are mirrored left to right."),
        _option("RandYReflection", False, flag(), "Whether half of the images are mirrored top to bottom."),
        _option("RandRotation", [0, 0], _ANY, "Degrees clockwise, or a function that returns them."),
        _option("RandScale", [1, 1], _SCALE, "Factor of both directions; RandXScale and RandYScale then do not count."),
        _option("RandXScale", [1, 1], _SCALE, "Factor of the width."),
        _option("RandYScale", [1, 1], _SCALE, "Factor of the height."),
        _option("RandXShear", [0, 0], _SHEAR, "Degrees by which columns lean."),
        _option("RandYShear", [0, 0], _SHEAR, "Degrees by which rows lean."),
        _option("RandXTranslation", [0, 0], _ANY, "Pixels to the right."),
        _option("RandYTranslation", [0, 0], _ANY, "Pixels down."),
    )

    def title(self) -> str:
        """Return the name of the class as MATLAB prints it."""
        return "imageDataAugmenter"

    def draw(self, generator: np.random.Generator) -> Transformation:
        """Return a random transformation; always the same number of random numbers is drawn."""
        u = generator.random(_DRAWS).tolist()
        x_scale, y_scale = self._drawn("RandXScale", u[3], 0), self._drawn("RandYScale", u[4], 0)
        both = self.RandScale
        if callable(both) or tuple(both) != (1.0, 1.0):
            x_scale = y_scale = self._drawn("RandScale", u[3], 0)
        parameters = (
            self.RandXReflection and u[0] < 0.5,
            self.RandYReflection and u[1] < 0.5,
            self._drawn("RandRotation", u[2]),
            x_scale,
            y_scale,
            self._drawn("RandXShear", u[5]),
            self._drawn("RandYShear", u[6]),
            self._drawn("RandXTranslation", u[7]),
            self._drawn("RandYTranslation", u[8]),
        )
        return affine(*parameters)

    def apply(self, image: Any, transformation: Transformation) -> Any:
        """Return a transformed image; labels are moved without mixing them, and undefined where nothing is."""
        if transformation == NOTHING:
            return image
        if isinstance(image, categorical):
            return categorical.from_codes(warped_codes(image.codes, transformation), categories(image))
        return warped(np.asarray(image), transformation, self.FillValue)

    def _drawn(self, name: str, u: float, low: float = -math.inf) -> float:
        value = getattr(self, name)
        if not callable(value):
            return float(value[0] + u * (value[1] - value[0]))
        found = value()
        if np.size(found) != 1 or np.asarray(found).dtype.kind not in "fiu" or not math.isfinite(float(found)):
            raise DataError(
                f"imageDataAugmenter: {name}: the function needs to return a number, but {describe(found)}."
            )
        number = float(np.asarray(found).reshape(-1)[0])
        if number <= low or ("Shear" in name and abs(number) >= 90):
            raise DataError(f"imageDataAugmenter: {name}: the function returned {number:g}, which is out of range.")
        return number


class Augmented(NamedTuple):
    """What is done to one observation: the transformation, and where a random crop lies (0 to 1)."""

    transformation: Transformation
    crop: tuple[float, float]


def draws_for(
    augmenter: ImageDataAugmenter | None, numbers: Sequence[int], generator: np.random.Generator | None
) -> list[Augmented]:
    """Return what is done to the observations; without a generator always the same to each."""
    found = []
    for number in numbers:
        own = np.random.default_rng([0, number]) if generator is None else generator
        transformation = NOTHING if augmenter is None else augmenter.draw(own)
        row, column = own.random(2).tolist()
        found.append(Augmented(transformation, (row, column)))
    return found


@constructs(ImageDataAugmenter)
def imageDataAugmenter() -> None:
    """Create a set of random changes of images, for `augmentedImageDatastore` and `augment`.

    Numbers are drawn uniformly from the ranges for each image; a function in place of a range takes nothing and
    returns one. An image is reflected, scaled, sheared (along x, then y), rotated and moved, all about its centre and
    in one resampling: bilinear for images, nearest for labels. Its size stays.

    {parameters}

    Raises
    ------
    OptionError
        Where an option has a value that it cannot have.

    Notes
    -----
    The order of the changes is not documented by MATLAB. `rng` makes the numbers repeatable, but not those of functions
    that have generators of their own.

    Examples
    --------
    >>> from mlnet import imageDataAugmenter
    >>> imageDataAugmenter(RandXReflection=True, RandXTranslation=[-10, 10])
      imageDataAugmenter with properties:
    <BLANKLINE>
               FillValue: 0
         RandXReflection: 1
         RandYReflection: 0
            RandRotation: [0 0]
               RandScale: [1 1]
              RandXScale: [1 1]
              RandYScale: [1 1]
              RandXShear: [0 0]
              RandYShear: [0 0]
        RandXTranslation: [-10 10]
        RandYTranslation: [0 0]
    """


def augment(augmenter: ImageDataAugmenter, images: Any) -> Any:
    """Return an image, or a list of images, after random changes.

    Parameters
    ----------
    augmenter : result of `imageDataAugmenter`
    images : array (H, W) or (H, W, C), categorical (H, W), or a list of them
        Each image of a list is changed by numbers of its own.

    Returns
    -------
    array, categorical or list
        Of the same size and type.

    Raises
    ------
    OptionError
        Where ``augmenter`` is none, or an image has another number of dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import augment, imageDataAugmenter
    >>> augment(imageDataAugmenter(RandXTranslation=[1, 1]), np.array([[1, 2], [3, 4]]))
    array([[0, 1],
           [0, 3]])
    """
    if not isinstance(augmenter, ImageDataAugmenter):
        raise OptionError(f"augment: needs an imageDataAugmenter, but got {describe(augmenter)}.")
    if isinstance(images, (list, tuple)):
        return [augment(augmenter, image) for image in images]
    if len(getattr(images, "shape", ())) not in (2, 3):
        raise OptionError(f"augment: needs an image (H, W) or (H, W, C), but got {describe(images)}.")
    return augmenter.apply(images, augmenter.draw(data_generator()))
