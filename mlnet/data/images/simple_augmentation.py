"""The augmentations of an image input layer: random crops and reflections of the images of a mini-batch."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np


def augmented(
    x: np.ndarray, names: Collection[str], spatial: tuple[int, ...], generator: np.random.Generator | None
) -> np.ndarray:
    """Return images (N, height, width, C) cut to the size ``spatial`` and mirrored, each at random.

    'randcrop' takes the crop at a random place, 'randfliplr' mirrors every second image left to right. Without a
    generator, outside of training, the crop is that of the centre and nothing is mirrored.
    """
    if "randcrop" in names:
        x = _cropped(x, spatial, generator)
    if "randfliplr" in names and generator is not None:
        mirrored = generator.random(len(x)) < 0.5
        x = np.where(mirrored[:, None, None, None], x[:, :, ::-1], x)
    return x


def _cropped(x: np.ndarray, spatial: tuple[int, ...], generator: np.random.Generator | None) -> np.ndarray:
    spare = np.array([length - wanted for length, wanted in zip(x.shape[1:3], spatial, strict=True)])
    if not spare.any():
        return x
    if generator is None:
        starts = np.broadcast_to(spare // 2, (len(x), 2))
    else:
        starts = generator.integers(0, spare + 1, (len(x), 2))
    height, width = spatial
    return np.stack([image[i : i + height, j : j + width] for image, (i, j) in zip(x, starts.tolist(), strict=True)])
