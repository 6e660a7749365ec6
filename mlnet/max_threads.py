"""maxNumCompThreads: how many threads compute."""

from __future__ import annotations

import numpy as np

from mlnet.errors import OptionError
from mlnet.options import describe
from mlnet.parallel.cores import set_threads, threads


def maxNumCompThreads(N: int | str | None = None) -> int:
    """Return how many threads compute at most, and set their number.

    Parameters
    ----------
    N : positive int or 'automatic', optional
        The number from now on, in this process and for all engines; 'automatic' for the default: OMP_NUM_THREADS,
        or one thread for each physical core that this process may use. Without it nothing changes.

    Returns
    -------
    int
        The number before the call.

    Raises
    ------
    OptionError
        For anything else.

    Notes
    -----
    Small networks use one thread all the same. The last bits of results of the oneDNN engine may depend on the number,
    those of the NumPy engine do not.

    Examples
    --------
    >>> from mlnet import *
    >>> before = maxNumCompThreads(1)
    >>> maxNumCompThreads()
    1
    >>> maxNumCompThreads('automatic')
    1
    """
    before = threads()
    if N is None:
        return before
    if N == "automatic":
        set_threads(None)
    elif isinstance(N, (int, np.integer)) and not isinstance(N, bool) and N > 0:
        set_threads(int(N))
    else:
        raise OptionError(f"maxNumCompThreads: N needs to be a positive integer or 'automatic', but is {describe(N)}.")
    return before
