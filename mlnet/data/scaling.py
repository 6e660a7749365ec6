"""mapminmax, mapstd and rescale: data in another range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.errors import DataError, OptionError, message
from mlnet.options import describe
from mlnet.structure import Structure


def mapminmax(*args: Any, nargout: int = 1) -> Any:
    """Map the rows of a matrix to a range, or back.

    ``y, settings = mapminmax(x, ymin, ymax, nargout=2)`` maps each row from its own range,
    ``y = (ymax - ymin) * (x - xmin) / (xmax - xmin) + ymin``; ``y = mapminmax('apply', x, settings)`` maps other data
    in the same way, and ``x = mapminmax('reverse', y, settings)`` maps back.

    Parameters
    ----------
    x : array (R, Q), or list of such arrays
        Rows are variables, columns are observations. An array of one dimension is one row. The arrays of a list have
        common settings. NaN does not count and stays NaN.
    ymin, ymax : numbers, default -1 and 1
    settings : Structure
        What ``nargout=2`` returned: xmax, xmin, xrange, ymax, ymin, yrange, gain, xoffset, no_change, and more.
    nargout : 1 or 2, default 1

    Returns
    -------
    ndarray, or list
        In the shape of ``x``; single stays single, all else becomes double. Rows of one value, or with Inf, stay as
        they are.
    Structure
        With ``nargout=2``.

    Raises
    ------
    DataError
        Where the data are not real numbers, or have another number of rows than the settings.
    OptionError
        For other arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import mapminmax
    >>> y, settings = mapminmax(np.array([[1, 2, 3], [0, 5, 10]]), nargout=2)
    >>> y
    array([[-1.,  0.,  1.],
           [-1.,  0.,  1.]])
    >>> mapminmax('reverse', [[0.5], [0.5]], settings).ravel()
    array([2.5, 7.5])
    """
    return _mapped("mapminmax", _range_settings, (-1, 1), args, nargout)


def mapstd(*args: Any, nargout: int = 1) -> Any:
    """Map the rows of a matrix to a mean and a standard deviation, or back.

    ``y, settings = mapstd(x, ymean, ystd, nargout=2)`` maps each row by its own mean and standard deviation,
    ``y = (x - xmean) * (ystd / xstd) + ymean``; ``y = mapstd('apply', x, settings)`` maps other data in the same way,
    and ``x = mapstd('reverse', y, settings)`` maps back.

    Parameters
    ----------
    x : array (R, Q), or list of such arrays
        As for `mapminmax`. Standard deviations are divided by the count less one.
    ymean, ystd : numbers, default 0 and 1
    settings : Structure
        What ``nargout=2`` returned: xmean, xstd, ymean, ystd, gain, xoffset, no_change, and more.
    nargout : 1 or 2, default 1

    Returns
    -------
    ndarray, or list
        As for `mapminmax`.
    Structure
        With ``nargout=2``.

    Raises
    ------
    DataError, OptionError
        As for `mapminmax`.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import mapstd
    >>> mapstd(np.array([[1, 2, 3]]))
    array([[-1.,  0.,  1.]])
    """
    return _mapped("mapstd", _deviation_settings, (0, 1), args, nargout)


def rescale(A: Any, *limits: float, InputMin: Any = None, InputMax: Any = None) -> np.ndarray:  # noqa: N803
    """Map all elements of an array to a range.

    Parameters
    ----------
    A : array of real numbers
    l, u : numbers, default 0 and 1
        ``rescale(A, l, u)``: the range of the result.
    InputMin, InputMax : number or array, optional
        The range of the input, by default from the least to the greatest element; elements outside are cut to it.

    Returns
    -------
    ndarray
        In the shape of ``A``; single stays single, all else becomes double. Elements of an empty range become ``l``.

    Raises
    ------
    DataError
        Where ``A`` is not real.
    OptionError
        Where a range has its ends in the wrong order.

    Examples
    --------
    >>> from mlnet import rescale
    >>> rescale([0, 5, 10], -1, 1)
    array([-1.,  0.,  1.])
    """
    x = _real(A, "rescale")
    if len(limits) not in (0, 2) or (limits and not limits[0] <= limits[1]):
        raise OptionError(message("rescale", "the limits l and u, l not above u", describe(list(limits))))
    low, high = limits or (0, 1)
    if not x.size:
        return x.copy()
    least = np.asarray(np.nanmin(x) if InputMin is None else InputMin, x.dtype)
    most = np.asarray(np.nanmax(x) if InputMax is None else InputMax, x.dtype)
    if (least > most).any():
        raise OptionError(
            message("rescale", "InputMin not above InputMax", f"{describe(InputMin)}, {describe(InputMax)}")
        )
    span = np.where(most > least, most - least, 1).astype(x.dtype)
    share: np.ndarray = (np.clip(x, least, most) - least) / span
    return (share * (high - low) + low).astype(x.dtype)


def _range_settings(name: str, x: np.ndarray, ymin: float, ymax: float) -> Structure:
    if not ymin < ymax:
        raise OptionError(message(name, "ymin below ymax", f"{ymin:g} and {ymax:g}"))
    xmin, xmax = np.fmin.reduce(x, axis=1), np.fmax.reduce(x, axis=1)
    with np.errstate(invalid="ignore"):
        xrange = xmax - xmin
    fixed = ~np.isfinite(xrange) | (xrange == 0)
    gain = np.where(fixed, 1, (ymax - ymin) / np.where(fixed, 1, xrange))
    values = {"xmax": xmax, "xmin": xmin, "xrange": xrange}
    return Structure(
        name=name,
        xrows=len(x),
        **{key: value[:, np.newaxis] for key, value in values.items()},
        yrows=len(x),
        ymax=ymax,
        ymin=ymin,
        yrange=ymax - ymin,
        **_affine(gain, xmin, ymin, fixed),
    )


def _deviation_settings(name: str, x: np.ndarray, ymean: float, ystd: float) -> Structure:
    if not ystd > 0:
        raise OptionError(message(name, "ystd above 0", f"{ystd:g}"))
    counted = ~np.isnan(x)
    count = counted.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        xmean = np.where(counted, x, 0).sum(axis=1) / count
        squares = np.where(counted, x - xmean[:, np.newaxis], 0) ** 2
        xstd = np.sqrt(squares.sum(axis=1) / np.maximum(count - 1, 1))
    fixed = ~np.isfinite(xstd) | (xstd == 0)
    gain = np.where(fixed, 1, ystd / np.where(fixed, 1, xstd))
    return Structure(
        name=name,
        xrows=len(x),
        yrows=len(x),
        xmean=xmean[:, np.newaxis],
        xstd=xstd[:, np.newaxis],
        ymean=ymean,
        ystd=ystd,
        **_affine(gain, xmean, ymean, fixed),
    )


def _affine(gain: np.ndarray, offset: np.ndarray, target: float, fixed: np.ndarray) -> dict[str, Any]:
    """Return ``y = (x - xoffset) * gain + yoffset`` as settings; ``fixed`` rows stay as they are."""
    offset, target_of_row = np.where(fixed, 0, offset), np.where(fixed, 0, target)
    columns = {"gain": gain, "xoffset": offset, "yoffset": target_of_row}
    return {**{key: value[:, np.newaxis] for key, value in columns.items()}, "no_change": bool(fixed.all())}


def _mapped(name: str, learn: Callable[..., Structure], defaults: tuple[float, float], args: Any, nargout: int) -> Any:
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"{name}: nargout needs to be 1 or 2, but is {nargout!r}.")
    if args and isinstance(args[0], str):
        if args[0] not in ("apply", "reverse") or len(args) != 3 or nargout != 1:
            form = f"{name}('apply', x, settings) or {name}('reverse', y, settings)"
            raise OptionError(message(name, form, f"{describe(args[0])} with {len(args)} arguments"))
        return _applied(name, args[1], args[2], back=args[0] == "reverse")
    if not 1 <= len(args) <= 3:
        raise OptionError(message(name, f"{name}(x) with at most two limits", f"{len(args)} arguments"))
    targets = [*args[1:], *defaults[len(args) - 1 :]]
    if not all(np.ndim(each) == 0 and np.isrealobj(each) and np.isfinite(each) for each in targets):
        raise OptionError(message(name, "two finite numbers behind x", describe(targets)))
    parts = [_rows(each, name) for each in (args[0] if _is_list(args[0]) else [args[0]])]
    if not parts or len({len(part) for part in parts}) > 1:
        raise DataError(message(name, "arrays with the same number of rows", f"{[len(part) for part in parts]}"))
    settings = learn(name, np.concatenate([part.astype(np.float64) for part in parts], axis=1), *map(float, targets))
    y = _applied(name, args[0], settings, back=False)
    return y if nargout == 1 else (y, settings)


def _applied(name: str, x: Any, settings: Any, *, back: bool) -> Any:
    if not isinstance(settings, Structure) or settings.fields().get("name") != name:
        raise OptionError(message(name, f"the settings that {name} returned", describe(settings)))
    if _is_list(x):
        return [_applied(name, each, settings, back=back) for each in x]
    given = _real(x, name)
    rows = _rows(x, name)
    if len(rows) != settings.xrows:
        fix = " Transpose it: rows are variables." if rows.shape[1] == settings.xrows else ""
        raise DataError(message(name, f"{settings.xrows} rows", f"shape {given.shape}") + fix)
    if back:
        result = (rows - settings.yoffset) / settings.gain + settings.xoffset
    else:
        result = (rows - settings.xoffset) * settings.gain + settings.yoffset
    return result.astype(given.dtype).reshape(given.shape)


def _is_list(x: Any) -> bool:
    """Tell whether ``x`` is a list of matrices and not a matrix written as a list."""
    return (
        isinstance(x, (list, tuple))
        and len(x) > 0
        and all(isinstance(each, np.ndarray) and each.ndim == 2 for each in x)
    )


def _rows(x: Any, where: str) -> np.ndarray:
    array = _real(x, where)
    if array.ndim > 2:
        raise DataError(message(where, "a matrix", f"shape {array.shape}"))
    return array.reshape(1, -1) if array.ndim < 2 else array


def _real(x: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(x)
    except ValueError:
        raise DataError(message(where, "a numeric array", "a list of uneven lists")) from None
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "an array of real numbers", describe(x)))
    return array if array.dtype == np.float32 else array.astype(np.float64)
