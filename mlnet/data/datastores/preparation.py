"""What is done to images between their file and a network: colours, random changes, size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.declared import DeclaredDatastore
from mlnet.data.images.augmentation import Augmented, ImageDataAugmenter, draws_for
from mlnet.data.images.geometry import resized, resized_codes
from mlnet.errors import DataError
from mlnet.labels import categorical, categories
from mlnet.options import Option
from mlnet.rules import Refused, Rule, choice, either, flag, integer

_LUMINANCE = np.array([0.2989, 0.5870, 0.1140])
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def _augmenter(value: Any) -> Any:
    if not isinstance(value, ImageDataAugmenter):
        raise Refused
    return value


OPTIONS = (
    Option("MiniBatchSize", 128, integer(), "Observations that `read` returns; training has its own."),
    Option(
        "DataAugmentation",
        "none",
        either(choice("none"), Rule("an imageDataAugmenter", _augmenter, (1, "some"))),
        "Random changes of each image, before its size changes.",
    ),
    Option(
        "ColorPreprocessing",
        "none",
        choice("none", "gray2rgb", "rgb2gray"),
        "'gray2rgb': images of one channel get three; 'rgb2gray': images of three get one.",
    ),
    Option(
        "OutputSizeMode",
        "resize",
        choice("resize", "centercrop", "randcrop"),
        "Whether images are resized, or cut at the centre or anywhere.",
    ),
    Option("DispatchInBackground", False, flag(), "Whether training reads mini-batches ahead, see `trainingOptions`."),
)


def coloured(image: np.ndarray, how: str) -> np.ndarray:
    """Return an image with the colours that ColorPreprocessing asks for."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if how == "gray2rgb" and channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if how == "rgb2gray" and channels == 3:
        gray = image @ _LUMINANCE
        return np.round(gray).astype(image.dtype) if image.dtype.kind in "iu" else gray.astype(image.dtype)
    return image


class PreparingDatastore(DeclaredDatastore):
    """A datastore with the options of `OPTIONS` and an OutputSize, which may be None for that of the image."""

    def read_size(self) -> int:
        """Return MiniBatchSize."""
        return self._values["MiniBatchSize"]

    @property
    def in_background(self) -> bool:  # type: ignore[override]
        """Whether training shall read in the background."""
        return self._values["DispatchInBackground"]

    def preparations(
        self, numbers: Sequence[int], generator: np.random.Generator | None
    ) -> list[Callable[[Any, str], Any]]:
        """Return for each observation a function of an image, or of labels, and of the name for messages."""
        augmenter = self._values["DataAugmentation"]
        draws = draws_for(augmenter if isinstance(augmenter, ImageDataAugmenter) else None, numbers, generator)
        return [functools.partial(self._prepared, done) for done in draws]

    def output_size(self) -> tuple[int, int] | None:
        """Return height and width of what comes out; None for those of the image."""
        raise NotImplementedError

    def _prepared(self, done: Augmented, image: Any, name: str) -> Any:
        if not isinstance(image, categorical):
            image = np.asarray(image)
            if image.ndim not in (2, 3) or image.dtype.kind not in "fiub":
                raise DataError(f"{name}: needs an image (H, W) or (H, W, C), but got shape {image.shape}.")
            image = coloured(image, self._values["ColorPreprocessing"])
        augmenter = self._values["DataAugmentation"]
        if isinstance(augmenter, ImageDataAugmenter):
            image = augmenter.apply(image, done.transformation)
        size = self.output_size()
        if size is None or image.shape[:2] == size:
            return image
        if self._values["OutputSizeMode"] == "resize":
            if isinstance(image, categorical):
                return categorical.from_codes(resized_codes(image.codes, size), categories(image))
            return resized(image, size)
        spare = [came - needed for came, needed in zip(image.shape[:2], size, strict=True)]
        if min(spare) < 0:
            raise DataError(
                f"{name}: needs an image of at least {size[0]}x{size[1]} to be cut, but got "
                f"{image.shape[0]}x{image.shape[1]}. Set OutputSizeMode='resize'."
            )
        if self._values["OutputSizeMode"] == "randcrop":
            top, left = (int(u * (each + 1)) for u, each in zip(done.crop, spare, strict=True))
        else:
            top, left = (each // 2 for each in spare)
        return image[top : top + size[0], left : left + size[1]]
