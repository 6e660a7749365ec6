"""Layers that change height and width: resizing, and blocks of pixels from and to channels."""

from __future__ import annotations

import math

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, need_images, ports, spaced
from mlnet.layers.crop import ReferenceLayer
from mlnet.layers.shape import lengths_with_gap
from mlnet.options import Argument, Group, Option, Table, constructs
from mlnet.rules import EMPTY, choice, either, empty, flag, integer, number, row

_WAYS = ("Scale", "OutputSize", "EnableReferenceInput")
_WAYS_TEXT = "Scale, OutputSize and EnableReferenceInput"


def resize_table(method: str, *names: str) -> Table:
    """Return the table of resizing the dimensions ``names``; ``method`` is the one that interpolates."""
    count, listed = len(names), f"{', '.join(names[:-1])} and {names[-1]}"
    return layer_table(
        *ports("input"),
        Option(
            "Scale",
            EMPTY,
            either(empty(), row(number(0, above=True), count)),
            f"Factors of {listed}; one number stands for {'both' if count == 2 else 'all'}.",
            Group.HYPERPARAMETERS,
        ),
        Option(
            "OutputSize",
            EMPTY,
            either(empty(), lengths_with_gap(*names, gaps=count - 1)),
            f"{listed.capitalize()} of the output; what is NaN follows from the shape of the input.",
            Group.HYPERPARAMETERS,
        ),
        Option(
            "EnableReferenceInput",
            False,
            flag(),
            f"Have a second input, 'ref', and resize to its {listed}.",
            Group.HYPERPARAMETERS,
        ),
        Option("Method", "nearest", choice("nearest", method), "How pixels are interpolated.", Group.HYPERPARAMETERS),
        Option(
            "GeometricTransformMode",
            "half-pixel",
            choice("half-pixel", "asymmetric"),
            "Where a pixel lies: half a pixel from the edge, or with the first pixels on one another.",
            Group.HYPERPARAMETERS,
        ),
        Option(
            "NearestRoundingMode",
            "round",
            choice("round", "floor", "onnx-10"),
            "Which pixel is the nearest: halves up, the one before, or as in ONNX's operator set 10.",
            Group.HYPERPARAMETERS,
        ),
    )


class ResizeLayer(ReferenceLayer):
    """Resizes images of two or three dimensions."""

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return ("in", "ref") if self.EnableReferenceInput else ("in",)

    def check(self) -> None:
        """Refuse more than one way to tell the size."""
        if len(self._given()) > 1:
            raise OptionError(f"{self.where()}: needs one of {_WAYS_TEXT}, but got {' and '.join(self._given())}.")

    def description(self) -> str:
        """Return e.g. "nearest resize with scale [2  2]"."""
        if self.EnableReferenceInput:
            return f"{self.Method} resize to the size of the reference input"
        how, lengths = ("with scale", self.Scale) if self.Scale.size else ("to size", self.OutputSize)
        numbers = "  ".join("NaN" if math.isnan(n) else f"{n:g}" for n in lengths.ravel())
        return f"{self.Method} resize {how} [{numbers}]"

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the resizing."""
        attributes = {
            "size": self.new_size(*sizes),
            "scale": tuple(map(float, self.Scale)) if self.Scale.size else None,
            "method": self.Method,
            "transform": self.GeometricTransformMode,
            "rounding": self.NearestRoundingMode,
        }
        return Call("resize", (), attributes)

    def new_size(self, *sizes: Size) -> tuple[int, ...]:
        """Return the height and width (and depth) that the options tell."""
        if not self._given():
            raise SizeError(f"one of {_WAYS_TEXT}", "none of them")
        spatial = sizes[0].spatial
        if self.EnableReferenceInput:
            new = sizes[1].spatial
        elif self.Scale.size:
            new = tuple(math.floor(n * scale) for n, scale in zip(spatial, self.Scale, strict=True))
        else:
            new = _with_ratio(spatial, self.OutputSize.tolist())
        if min(new) < 1:
            raise SizeError("at least one pixel left after resizing", f"{'x'.join(map(str, new))} from {sizes[0]}")
        return new

    def _given(self) -> list[str]:
        """Return the options that tell the size."""
        return [name for name in _WAYS if np.any(getattr(self, name))]


def _with_ratio(spatial: tuple[int, ...], lengths: list[float]) -> tuple[int, ...]:
    """Return ``lengths`` with what is NaN filled in, so that the shape of ``spatial`` stays as far as possible."""
    known = next(index for index, length in enumerate(lengths) if not math.isnan(length))
    return tuple(
        math.floor(n * lengths[known] / spatial[known] + 0.5) if math.isnan(length) else int(length)
        for n, length in zip(spatial, lengths, strict=True)
    )


class Resize2DLayer(ResizeLayer):
    """Resizes images."""

    type_name = "Resize"
    base_name = "resize"
    table = resize_table("bilinear", "height", "width")


@constructs(Resize2DLayer)
def resize2dLayer() -> None:
    """Create a layer that resizes images.

    One of Scale, OutputSize and EnableReferenceInput tells the height and width of the output; with Scale they are
    ``floor(Scale .* size)``. The output is a weighted mean of input pixels, without smoothing where images get smaller.

    The pixel ``i = 0, 1, ...`` of the output lies at ``(i + 1/2) / s - 1/2`` of the input for GeometricTransformMode
    'half-pixel' and at ``i / s`` for 'asymmetric', with s the Scale, or the ratio of the sizes where there is none.
    Beyond the edges the edge counts. NearestRoundingMode matters for the Method 'nearest' only; 'onnx-10' rounds up
    where the image gets smaller, otherwise down.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt, or more than one of the three options is given.

    Examples
    --------
    >>> from mlnet import resize2dLayer
    >>> resize2dLayer(Scale=2, Method='bilinear', Name='up1')
      Resize2DLayer with properties:
    <BLANKLINE>
                          Name: 'up1'
                     NumInputs: 1
                    InputNames: {'in'}
    <BLANKLINE>
       Hyperparameters
                         Scale: [2 2]
                    OutputSize: []
          EnableReferenceInput: 0
                        Method: 'bilinear'
        GeometricTransformMode: 'half-pixel'
           NearestRoundingMode: 'round'
    """


_BLOCK_SIZE = Option(
    "BlockSize",
    None,
    row(integer(), 2),
    "Height and width of a block; one number stands for both.",
    Group.HYPERPARAMETERS,
    Argument.REQUIRED,
)


class _BlockLayer(Layer):
    """A layer with the option BlockSize."""

    def description(self) -> str:
        """Return e.g. "Depth to space with block size [2  2]"."""
        return f"{self.type_name.capitalize()} with block size {spaced(self.BlockSize)}"

    def _block(self) -> tuple[int, int]:
        return int(self.BlockSize[0]), int(self.BlockSize[1])


class DepthToSpace2DLayer(_BlockLayer):
    """Arranges channels as blocks of pixels."""

    type_name = "Depth to Space"
    base_name = "depthToSpace"
    table = layer_table(
        _BLOCK_SIZE,
        Option(
            "Mode",
            "dcr",
            choice("dcr", "crd"),
            "Order of the input's channels: depth, column, row (depth fastest) or column, row, depth.",
            Group.HYPERPARAMETERS,
        ),
    )

    def output_size(self, size: Size) -> Size:
        """Return height and width times the block, channels divided by its pixels."""
        need_images(size)
        height, width = self._block()
        if size.channels % (height * width):
            needed = f"a multiple of {height * width} channels ({height} x {width} for BlockSize)"
            raise SizeError(needed, f"{size.channels} channels")
        rows, columns = size.spatial
        return Size(size.format, (rows * height, columns * width, size.channels // (height * width)))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the rearrangement."""
        return Call("depth_to_space", (), {"block": self._block(), "mode": self.Mode})


@constructs(DepthToSpace2DLayer)
def depthToSpace2dLayer() -> None:
    """Create a layer that arranges channels as blocks of pixels, e.g. for sub-pixel upsampling.

    An image of ``[H W C*h*w]`` becomes one of ``[H*h W*w C]`` for blocks of ``[h w]``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import depthToSpace2dLayer
    >>> depthToSpace2dLayer(2, Name='d2s')
      DepthToSpace2DLayer with properties:
    <BLANKLINE>
             Name: 'd2s'
    <BLANKLINE>
       Hyperparameters
        BlockSize: [2 2]
             Mode: 'dcr'
    """


class SpaceToDepthLayer(_BlockLayer):
    """Arranges blocks of pixels as channels."""

    type_name = "Space to Depth"
    base_name = "spaceToDepth"
    table = layer_table(_BLOCK_SIZE)

    def output_size(self, size: Size) -> Size:
        """Return height and width divided by the block, rounded down, and channels times its pixels."""
        need_images(size)
        height, width = self._block()
        rows, columns = size.spatial[0] // height, size.spatial[1] // width
        if not rows or not columns:
            raise SizeError(f"images of at least {height}x{width} (BlockSize)", str(size))
        return Size(size.format, (rows, columns, size.channels * height * width))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the rearrangement."""
        return Call("space_to_depth", (), {"block": self._block()})


@constructs(SpaceToDepthLayer)
def spaceToDepthLayer() -> None:
    """Create a layer that arranges blocks of pixels as channels: the reverse of depthToSpace2dLayer, mode 'dcr'.

    An image of ``[H W C]`` becomes one of ``[floor(H/h) floor(W/w) C*h*w]`` for blocks of ``[h w]``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import spaceToDepthLayer
    >>> spaceToDepthLayer([2, 1], Name='s2d')
      SpaceToDepthLayer with properties:
    <BLANKLINE>
             Name: 's2d'
    <BLANKLINE>
       Hyperparameters
        BlockSize: [2 1]
    """
