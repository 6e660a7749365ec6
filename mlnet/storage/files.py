"""save and load: variables in MAT-files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from mlnet.errors import DataError, OptionError
from mlnet.options import describe
from mlnet.storage import hdf, hdf_writer, mat, npz
from mlnet.storage.atomic import replace_atomically, write_atomically
from mlnet.storage.networks import custom_classes, decode, encode, structure
from mlnet.structure import Structure

_VERSIONS = {"-v6": False, "-v7": True, "-v7.3": False}
"""The versions of MAT-files that can be written, and whether they are compressed."""


def save(file: Any, /, *args: Any, **variables: Any) -> None:
    """Save variables in a MAT-file, which MATLAB, Octave and SciPy read as well.

    ``save('file.mat', net=net, X=X)``, or ``save('file.mat', 'net', net, 'X', X)``.

    Parameters
    ----------
    file : text or path
        '.mat' is added to a name without an ending.
    *args, **variables
        Names and values: networks, layers, layer arrays and graphs, training options; arrays, numbers, texts, lists,
        dictionaries, structures, categorical arrays, dlarrays. '-v6' before or behind them writes without compression,
        '-v7' with it (the default); '-v7.3' writes variables of any size, with ``pip install 'mlnet[mat73]'``. Into a
        file that ends with '.npz', arrays are written as NumPy does.

    Raises
    ------
    OptionError
        For values that cannot be kept, such as functions: the message names the layer and its option. A function as an
        initializer is left out where its parameter has a value.
    DataError
        Where the file cannot be written; a file of this name stays as it was.
    MissingExtraError
        For '-v7.3', where the package h5py is not installed.

    Notes
    -----
    The file gets its name when it is complete on the disk, so that it is never there in part.

    For MATLAB, lists are cells, dictionaries and objects are structures, vectors are columns. Names of variables and
    fields that MATLAB would not take are replaced and come back with `load`.

    Examples
    --------
    >>> import os, tempfile
    >>> from mlnet import load, save
    >>> file = os.path.join(tempfile.mkdtemp(), 'results.mat')
    >>> save(file, accuracy=0.75, names=['cat', 'dog'])
    >>> load(file).names
    ['cat', 'dog']
    """
    path = path_of(file, "save")
    rest, version, given = list(args), "-v7", {}
    while rest:
        name = rest.pop(0)
        if isinstance(name, str) and name in _VERSIONS:
            version = name
            continue
        if isinstance(name, str) and name.startswith("-"):
            raise OptionError(f"save: there is no option '{name}'. Known options: {', '.join(_VERSIONS)}.")
        if not isinstance(name, str) or not name:
            raise OptionError(f"save: needs names, each followed by its value, but got {describe(name)} as a name.")
        if not rest:
            raise OptionError(f"save: the variable '{name}' has no value. Write save(file, {name}={name}).")
        given[name] = rest.pop(0)
    twice = [name for name in given if name in variables]
    if twice:
        raise OptionError(f"save: the variable '{twice[0]}' is given twice.")
    given |= variables
    if not given:
        raise OptionError("save: needs variables. Write e.g. save('net.mat', net=net).")
    where = f"save: {str(path)!r}"
    plain = {name: encode(value, f"save: {name}") for name, value in given.items()}
    try:
        if version == "-v7.3" and path.suffix != ".npz":
            hdf.h5py_for(where)
            replace_atomically(path, lambda temporary: hdf_writer.fill(temporary, plain, where))
            return
        form = npz if path.suffix == ".npz" else mat
        parts = form.to_bytes(plain, where, is_compressed=_VERSIONS[version])
        write_atomically(path, lambda out: [out.write(part) for part in parts])
    except OSError as error:
        raise DataError(f"{where}: cannot be written: {error.strerror or error}.") from error


def load(file: Any, /, *names: str, Layers: Any = ()) -> Structure:  # noqa: N803
    """Return the variables of a MAT-file as a structure.

    ``load('file.mat').net`` is the network that was saved under this name; ``load('file.mat', 'X', 'Y')`` loads only
    these variables.

    Parameters
    ----------
    file : text or path
        A file of `save`, or of version 6, 7 or 7.3 from MATLAB, Octave or SciPy; '.mat' may be left out. Version 7.3
        needs ``pip install 'mlnet[mat73]'``. Or arrays of NumPy in a file that ends with '.npz'.
    *names : texts
        The variables, by default all.
    Layers : class of a custom layer, or list of them
        The classes of the custom layers in the file. Their constructors do not run: the layers get the properties that
        were saved.

    Returns
    -------
    Structure
        What was saved. Arrays have MATLAB's order in memory, the first dimension fastest. In files of others, arrays
        have the size that MATLAB shows, with their types; numbers that are single are Python's, character vectors
        texts, cells lists (matrices of cells lists of rows), structures structures, arrays of structures lists of them,
        sparse matrices arrays of all elements.

    Raises
    ------
    DataError
        Where the file cannot be read or is damaged, has no such variable, or a variable holds objects that only MATLAB
        can read (networks, tables, string and categorical arrays of MATLAB's own): the message says how exportToMlnet,
        a function for MATLAB in `matlabFolder`, writes them. Or where it has custom layers whose classes are not given.
    MissingExtraError
        For files of version 7.3, where the package h5py is not installed.
    OptionError
        Where Layers are no classes of custom layers.

    Notes
    -----
    Nothing in a file is executed. Damaged files, and files made to do harm, take no more memory than
    `mlnet.storage.mat.from_bytes`, `mlnet.storage.hdf.from_file` and `mlnet.storage.npz.from_file` say.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import *
    >>> file = os.path.join(tempfile.mkdtemp(), 'net.mat')
    >>> net = assembleNetwork([featureInputLayer(1), fullyConnectedLayer(1, Weights=2, Bias=1), regressionLayer()])
    >>> save(file, net=net)
    >>> predict(load(file).net, [[10]])
    array([[21.]], dtype=float32)
    """
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"load: needs names of variables, but got {describe(name)}.")
    path = path_of(file, "load")
    where = f"load: {str(path)!r}"
    with custom_classes(Layers, "load: Layers"):
        return structure({name: decode(value, where) for name, value in read(path, where, names, "F").items()})


def read(path: Path, where: str, names: tuple[str, ...] = (), layout: Literal["C", "F"] = "C") -> dict[str, Any]:
    """Return the variables of a file as plain values, see `mat.from_bytes`.

    Raises
    ------
    DataError
        Where that is impossible.
    """
    try:
        if path.suffix == ".npz":
            with open(path, "rb"):  # for the message where that is impossible
                return dict(npz.from_file(path, where, names))
        with open(path, "rb") as file:
            head = file.read(2 * hdf.BLOCK)
        if hdf.is_hdf(head):
            return hdf.from_file(path, where, names, layout)
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise DataError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return mat.from_bytes(data, where, names, layout)


def path_of(file: Any, function: str) -> Path:
    """Return the path of a file, with '.mat' where it has no ending; raise OptionError where it is none."""
    if not isinstance(file, (str, os.PathLike)) or not os.fspath(file):
        raise OptionError(f"{function}: needs the name of a file, but got {describe(file)}.")
    try:
        path = Path(file)
        if path.suffix or (function == "load" and path.exists()):
            return path
        return path.with_name(f"{path.name}.mat")
    except ValueError as error:
        raise OptionError(f"{function}: needs the name of a file, but got {describe(file)} ({error}).") from None
