"""The functions initialize and forward of dlnetworks; predict is with those of all networks."""

from __future__ import annotations

from typing import Any

from mlnet.errors import OptionError, message
from mlnet.network.dlnetwork import dlnetwork
from mlnet.options import describe


def initialize(net: dlnetwork, *X: Any) -> dlnetwork:
    """Return a network whose learnables have their first values; those that are set already stay as they are.

    Parameters
    ----------
    net : dlnetwork
    *X : dlarray or networkDataLayout
        Examples or layouts of formatted inputs, one for each input, where there is no input layer.

    Raises
    ------
    DataError
        Where there is not one example for each input, or one is no formatted dlarray.
    NetworkError
        Where the layers do not fit together.
    """
    return _checked(net, "initialize").initialize(*X)


def forward(net: dlnetwork, *X: Any, **options: Any) -> Any:
    """Return what a network puts out in training: normalization by the mini-batch, and dropout.

    Parameters
    ----------
    net : dlnetwork
    *X : dlarray, or array
        Formatted data, one array for each input in the order of InputNames, e.g. 'SSCB' for images and 'CB' for
        features. They take the type of the learnables. Arrays without labels have the format of InputDataFormats.
    Outputs : text or list of texts, optional
        Layers, or 'layer/output', whose outputs are wanted in place of OutputNames.
    InputDataFormats : text or list of texts, default 'auto'
        The format of data without labels, for several inputs a list. 'auto' takes NumPy arrays as 'BC' for features,
        'SCB', 'SSCB' or 'SSSCB' for images. Where the first input has no labels, results have none either, with their
        dimensions in the same order, and are NumPy arrays where it is one, unless the parameters are traced.
    nargout : int, optional
        Number of results; one more than there are outputs returns the state too, ``Y, state = forward(net, X,
        nargout=2)``, to be assigned to ``net.State``.

    Returns
    -------
    dlarray or ndarray, or tuple of them
        Formatted for formatted data, traced inside `dlfeval`; then a table with the columns Layer, Parameter and Value.

    Raises
    ------
    DataError
        Where an input is missing, has no format or another size than its layer takes.
    NetworkError
        Where the network is not initialized.
    UnknownNameError
        Where Outputs names no layer.
    """
    return _checked(net, "forward").forward(*X, **options)


def _checked(net: Any, where: str) -> dlnetwork:
    if not isinstance(net, dlnetwork):
        raise OptionError(message(where, "a dlnetwork", describe(net)))
    return net
