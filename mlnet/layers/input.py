"""Input layers: the size of the data and how they are normalized."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from mlnet.layers.base import Call, Layer, Size, SizeError, dims, layer_table, without_ones
from mlnet.layers.categorical_inputs import CATEGORICAL_INPUTS
from mlnet.layers.input_whitening import (
    WHITENINGS,
    check_whitening,
    is_whitening,
    whitening_call,
    whitening_mistakes,
    whitening_options,
)
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import EMPTY, Refused, Rule, array, choice, either, flag, function, integer, read_only, row

NORMALIZATIONS = {
    "zerocenter": ("Mean",),
    "zscore": ("Mean", "StandardDeviation"),
    "rescale-symmetric": ("Max", "Min"),
    "rescale-zero-one": ("Max", "Min"),
    **WHITENINGS,
    "none": (),
}
"""The normalizations and the statistics that each uses, in the order of the display."""


def normalization_options(default: str, dimensions: tuple[str, ...]) -> tuple[Option, ...]:
    """Return Normalization, what it is taken over (``dimensions``) and the statistics that it uses."""
    hyper = Group.HYPERPARAMETERS
    statistics = (("Mean", "Mean"), ("StandardDeviation", "Standard deviation"), ("Max", "Maximum"), ("Min", "Minimum"))
    return (
        Option(
            "Normalization",
            default,
            either(choice(*NORMALIZATIONS), function()),
            "How the data are normalized; a function takes and returns a mini-batch (H x W x C x N or N x C, single).",
            hyper,
        ),
        Option(
            "NormalizationDimension",
            "auto",
            choice("auto", *dimensions),
            "Over what the statistics are taken; 'auto' is that of the given statistics, otherwise 'channel'.",
            hyper,
        ),
        *(
            Option(
                name,
                EMPTY,
                array(low=0) if name == "StandardDeviation" else array(),
                f"{text} of the training data; computed when training if [].",
                hyper,
                shown=lambda layer, name=name: name in layer.statistics(),  # type: ignore[misc]
            )
            for name, text in statistics
        ),
        *whitening_options(),
    )


SPLIT_COMPLEX = Option(
    "SplitComplexInputs", False, flag(), "Split complex data into real and imaginary channels.", Group.PLAIN
)
"""The option of all input layers."""


class InputLayer(Layer):
    """Base of the input layers."""

    inputs = ()
    channel_axes: ClassVar[str] = "C"
    """The end of the format of the data, after the spatial dimensions."""

    def check(self) -> None:
        """Refuse options of a whitening that do not go together."""
        if is_whitening(self):
            check_whitening(self)

    def normalized_text(self, data: str) -> str:
        """Return the description of ``data``, e.g. "2 features with 'zscore' normalization"."""
        if self.Normalization == "none":
            return data
        name = f"'{self.Normalization}'" if isinstance(self.Normalization, str) else "custom"
        return f"{data} with {name} normalization"

    def statistics(self) -> tuple[str, ...]:
        """Return the names of the statistics that the normalization uses."""
        return NORMALIZATIONS[self.Normalization] if isinstance(self.Normalization, str) else ()

    def augmentation(self) -> tuple[str, ...]:
        """Return the names of what changes data at random while training."""
        return ()

    def size(self) -> Size:
        """Return the size of one observation, or time step, with twice the channels for split complex data."""
        *spatial, channels = np.ravel(self.InputSize).tolist()
        channels *= 2 if self.SplitComplexInputs else 1
        return Size("S" * len(spatial) + self.channel_axes, (*spatial, channels))

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield given statistics that do not fit one observation, and observations too large to be whitened."""
        if is_whitening(self):
            yield from whitening_mistakes(self, size)
        for name in self.statistics():
            value = getattr(self, name)
            if name != "WhiteningMatrix" and value.size and not self._fits(value, size):
                needed = f"{name} of size {dims(size.dims)}, one value per channel or a scalar"
                yield SizeError(needed, f"{name} of size {dims(value.shape)}")

    def statistic(self, name: str, size: Size) -> np.ndarray:
        """Return a statistic in a shape that broadcasts to one observation."""
        value = getattr(self, name)
        return value.reshape(size.dims if value.size == size.count else -1)

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the normalization as ``(x - shift) / scale`` or ``W (x - mean)``; None where there is none to compute.

        None also stands for a function, which the data have gone through.
        """
        if not self.statistics():
            return None
        if is_whitening(self):
            return whitening_call(self, size)
        first, *others = (self.statistic(name, size) for name in self.statistics())
        shift, scale = first, None
        if self.Normalization == "zscore":
            scale = others[0]
        elif others:
            highest, lowest = first, others[0]
            shift, scale = lowest, highest - lowest
            if self.Normalization == "rescale-symmetric":
                shift, scale = (highest + lowest) / 2, scale / 2
        if scale is not None:
            scale = np.where(scale == 0, 1, scale)  # a constant element has nothing to be scaled by
        return Call("normalize_input", (), {"shift": shift, "scale": scale})

    @staticmethod
    def _fits(value: np.ndarray, size: Size) -> bool:
        return without_ones(value.shape) in ((), without_ones((size.channels,)), without_ones(size.dims))


def image_size(axes: str, bad: tuple[Any, ...]) -> Option:
    """Return the option InputSize of images with ``axes``, e.g. 'height width', and optional channels."""
    count = len(axes.split())

    def convert(value: Any) -> np.ndarray:
        if np.size(value) not in (count, count + 1):
            raise Refused
        dims = row(integer(), int(np.size(value)), expand=False).convert(value)
        return read_only(np.append(dims, 1)[: count + 1])

    rule = Rule(f"[{axes} channels] or [{axes}]", convert, bad)
    doc = f"Size of one image; [{axes}] means one channel."
    return Option("InputSize", None, rule, doc, Group.PLAIN, Argument.REQUIRED)


class ImagesLayer(InputLayer):
    """Base of the layers that take images of two or three dimensions."""

    def description(self) -> str:
        """Return e.g. "28x28x1 images with 'zerocenter' normalization"."""
        return self.normalized_text(f"{'x'.join(str(n) for n in self.InputSize)} images")


def _augmentations(value: Any) -> list[str] | str:
    """Return the names of two different augmentations; that of a list of one by itself."""
    if not isinstance(value, (list, tuple)) or not value:
        raise Refused
    names = [choice("randcrop", "randfliplr").convert(each) for each in value]
    if len(set(names)) < len(names):
        raise Refused
    return names if len(names) > 1 else str(names[0])


_AUGMENTATION = either(
    choice("none", "randcrop", "randfliplr"),
    Rule("a list of both", _augmentations, (1, [], ["none"], ["randcrop", "randcrop"], None)),
)


class ImageInputLayer(ImagesLayer):
    """Takes 2-D images."""

    type_name = "Image Input"
    base_name = "imageinput"
    table = layer_table(
        image_size(
            "height width",
            (28, [28], [28, 28, 1, 5], [0, 28, 1], [28, 28.5, 1], [28, np.nan], [True, True], "28", "ab", None),
        ),
        SPLIT_COMPLEX,
        CATEGORICAL_INPUTS,
        Option(
            "DataAugmentation",
            "none",
            _AUGMENTATION,
            "Changes while training: 'randfliplr' mirrors images left to right, with a probability of 0.5; 'randcrop' "
            "cuts out a random part of InputSize. `augmentedImageDatastore` does more.",
            Group.HYPERPARAMETERS,
        ),
        *normalization_options("zerocenter", ("channel", "element", "all")),
    )

    def augmentation(self) -> tuple[str, ...]:
        """Return the names of the changes of images while training."""
        given = self.DataAugmentation
        return tuple(given) if isinstance(given, list) else () if given == "none" else (given,)

    def description(self) -> str:
        """Return e.g. "28x28x1 images with 'zerocenter' normalization and 'randfliplr' augmentations"."""
        names = " and ".join(f"'{name}'" for name in self.augmentation())
        if not names:
            return super().description()
        joint = "with" if self.Normalization == "none" else "and"
        return f"{super().description()} {joint} {names} augmentations"


@constructs(ImageInputLayer)
def imageInputLayer() -> None:
    """Create a layer that takes 2-D images and normalizes them.

    'zerocenter' subtracts Mean; 'zscore' also divides by StandardDeviation; 'rescale-symmetric' and
    'rescale-zero-one' map Min ... Max to [-1, 1] and [0, 1]; 'none' does nothing. Statistics are 1 x 1 x C per
    channel, H x W x C per element, or one number for 'all'; a range or deviation of 0 divides by 1.

    'zca-whitening' and 'pca-whitening' compute ``WhiteningMatrix * (x - Mean)``, so that the training data have
    covariance 0 between elements and variance 1: of the channels of each pixel ('channel'), or of whole images
    ('element', up to 4096 elements, ``x(:)`` in MATLAB's order). With the covariance ``D * diag(lambda) * D'`` (divided
    by the count) and ``e = WhiteningEpsilon * mean(lambda)``, the matrix is ``diag((lambda + e) ** (-1/2)) * D'``,
    largest lambda first, for PCA, and ``D * diag((lambda + e) ** (-1/2)) * D'`` for ZCA, which changes images least.
    MATLAB has no whitening here.

    With 'randcrop' images may be larger than InputSize; outside of training their centre is taken. What is random
    depends on `rng` alone, and is drawn anew in every epoch.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Whitening: LeCun, Bottou, Orr and Mueller, "Efficient BackProp", 1998; ZCA: Bell and Sejnowski, "The 'independent
    components' of natural scenes are edge filters", 1997; of whole images: Krizhevsky, "Learning Multiple Layers of
    Features from Tiny Images", 2009. Directions in which the training data hardly vary are amplified by up to
    ``1 / sqrt(e)``; for whole images a WhiteningEpsilon of 0.01 to 0.1 keeps noise small.

    Examples
    --------
    >>> from mlnet import imageInputLayer
    >>> imageInputLayer([28, 28, 1])
      ImageInputLayer with properties:
    <BLANKLINE>
                          Name: ''
                     InputSize: [28 28 1]
            SplitComplexInputs: 0
    <BLANKLINE>
       Hyperparameters
              DataAugmentation: 'none'
                 Normalization: 'zerocenter'
        NormalizationDimension: 'auto'
                          Mean: []
    """


class FeatureInputLayer(InputLayer):
    """Takes vectors of features."""

    type_name = "Feature Input"
    base_name = "input"
    table = layer_table(
        Option("InputSize", None, integer(), "Number of features.", Group.PLAIN, Argument.REQUIRED),
        SPLIT_COMPLEX,
        CATEGORICAL_INPUTS,
        *normalization_options("none", ("channel", "all")),
    )

    def description(self) -> str:
        """Return e.g. "2 features with 'zscore' normalization"."""
        return self.normalized_text(f"{self.InputSize} features")


@constructs(FeatureInputLayer)
def featureInputLayer() -> None:
    """Create a layer that takes observations x features and normalizes them.

    The normalizations are those of `imageInputLayer`; statistics are C x 1 per feature or one number for 'all'.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import featureInputLayer
    >>> featureInputLayer(4, Normalization='zscore')
      FeatureInputLayer with properties:
    <BLANKLINE>
                          Name: ''
                     InputSize: 4
            SplitComplexInputs: 0
    <BLANKLINE>
       Hyperparameters
                 Normalization: 'zscore'
        NormalizationDimension: 'auto'
                          Mean: []
             StandardDeviation: []
    """


def _sequence_size(value: Any) -> Any:
    if np.size(value) == 1:
        return integer().convert(value)
    if np.size(value) not in (2, 3, 4):
        raise Refused
    return row(integer(), int(np.size(value)), expand=False).convert(value)


class SequenceInputLayer(InputLayer):
    """Takes sequences."""

    type_name = "Sequence Input"
    base_name = "sequenceinput"
    channel_axes = "CT"
    table = layer_table(
        Option(
            "InputSize",
            None,
            Rule(
                "a number of features, [height channels], [height width channels] or [height width depth channels]",
                _sequence_size,
                (0, 1.5, [2, 0], [28, 28, 0], [9] * 5, "x", None),
            ),
            "Size of one time step.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        Option("MinLength", 1, integer(), "Fewest time steps that a sequence may have.", Group.PLAIN),
        SPLIT_COMPLEX,
        CATEGORICAL_INPUTS,
        *normalization_options("none", ("channel", "element", "all")),
    )

    def description(self) -> str:
        """Return e.g. "Sequence input with 12 dimensions"."""
        return f"Sequence input with {'x'.join(str(n) for n in np.ravel(self.InputSize))} dimensions"


@constructs(SequenceInputLayer)
def sequenceInputLayer() -> None:
    """Create a layer that takes sequences of vectors or images and normalizes them.

    Data are lists of arrays, features x time steps or (height x) width x channels x time steps, of any lengths. The
    normalizations are those of `imageInputLayer`; statistics are taken over all time steps of all sequences.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import sequenceInputLayer
    >>> sequenceInputLayer(4, Normalization='rescale-symmetric')
      SequenceInputLayer with properties:
    <BLANKLINE>
                          Name: ''
                     InputSize: 4
                     MinLength: 1
            SplitComplexInputs: 0
    <BLANKLINE>
       Hyperparameters
                 Normalization: 'rescale-symmetric'
        NormalizationDimension: 'auto'
                           Max: []
                           Min: []
    """
