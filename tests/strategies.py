"""What hypothesis draws: windows over images, categorical data."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st

settings.register_profile("mlnet", derandomize=True, deadline=None)
settings.load_profile("mlnet")


@dataclass(frozen=True)
class Window:
    """The geometry of a convolution or pooling over an image (height, width, channels)."""

    image: tuple[int, int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: int | tuple[int, ...] | str


def _pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def windows(draw: st.DrawFn, *, pooling: bool = False) -> Window:
    """Draw a window of every form of padding; pooling is not dilated and is padded by less than its size."""
    size = draw(_pair(1, 4))
    most = min(size) - 1 if pooling else 3
    amount = st.integers(0, most)
    padding = draw(
        st.one_of(st.just("same"), amount, st.tuples(amount, amount), st.tuples(amount, amount, amount, amount))
    )
    dilation = (1, 1) if pooling else draw(_pair(1, 3))
    return Window(
        draw(st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 3))), size, draw(_pair(1, 4)), dilation, padding
    )


LABELS = st.one_of(
    st.lists(st.text(max_size=4)),
    st.lists(st.integers(-3, 3)),
    st.lists(st.booleans()),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-2, 2))),
    st.lists(st.one_of(st.none(), st.integers(0, 2), st.text("ab1", max_size=2), st.booleans())),
)
"""Lists that can be labels, also mixed and undefined ones."""
