"""fileDatastore and signalDatastore."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from mlnet import DataError, OptionError, fileDatastore, hasdata, read, readall, signalDatastore, subset


def test_files_by_a_function(tmp_path):
    for number in range(3):
        np.savetxt(tmp_path / f"{number}.txt", [number, number + 1])
    (tmp_path / "other.csv").write_text("1,2")
    fds = fileDatastore(str(tmp_path), ReadFcn=np.loadtxt, FileExtensions=".txt")
    assert len(fds) == 3
    data, info = read(fds, nargout=2)
    assert data.tolist() == [0, 1] and info.Filename.endswith("0.txt") and info.FileSize > 0
    assert [each.tolist() for each in readall(fds)] == [[0, 1], [1, 2], [2, 3]]
    fds.UniformRead = True
    assert readall(fds).tolist() == [0, 1, 1, 2, 2, 3]
    assert subset(fds, [3]).read().tolist() == [2, 3]
    pairs = fileDatastore(str(tmp_path), ReadFcn=lambda name: (np.loadtxt(name), "a"), FileExtensions=".txt")
    assert pairs.rows([1])[0][1] == "a" and read(pairs)[1] == "a"
    assert len(fileDatastore(str(tmp_path), ReadFcn=len)) == 4, "all files count"


def test_unreadable_files(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "b.txt").write_text("one")
    fds = fileDatastore(str(tmp_path), ReadFcn=np.loadtxt)
    read(fds)
    with pytest.raises(DataError, match="b.txt: the ReadFcn raised ValueError: .*UnreadableFiles='skip'"):
        read(fds)
    with pytest.warns(UserWarning, match="fileDatastore: left out 1 of 2 files, which cannot be read: b.txt"):
        assert len(fileDatastore(str(tmp_path), ReadFcn=np.loadtxt, UnreadableFiles="skip")) == 1
    with pytest.raises(DataError, match="fileDatastore: needs a ReadFcn"):
        fileDatastore(str(tmp_path))
    with pytest.raises(OptionError, match="ReadFcn: needs a function"):
        fileDatastore(str(tmp_path), ReadFcn="load")


def test_signals(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.arange(3.0), "y": np.arange(4.0)})
    (tmp_path / "b.csv").write_text('"x",y\n1,2\n3,\n\n')
    (tmp_path / "c.csv").write_text("1,2,3\n4,5,6\n")
    np.save(tmp_path / "d.npy", np.eye(2))
    both = signalDatastore([str(tmp_path / "a.mat"), str(tmp_path / "b.csv")], SignalVariableNames=["y", "x"])
    y, x = read(both)
    assert y.ravel().tolist() == [0, 1, 2, 3] and x.ravel().tolist() == [0, 1, 2]
    assert len(both.rows([0])[0]) == 2
    y, x = read(both)
    np.testing.assert_array_equal(y, [2, np.nan])
    assert x.tolist() == [1, 3] and not hasdata(both)
    assert read(signalDatastore(str(tmp_path / "c.csv"))).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read(signalDatastore(str(tmp_path / "d.npy"))).tolist() == [[1, 0], [0, 1]]
    several = signalDatastore(str(tmp_path), FileExtensions=[".csv", ".npy"], ReadSize=2)
    assert [part.shape for part in read(several)] == [(2, 2), (2, 3)] and len(signalDatastore(str(tmp_path))) == 4
    own = signalDatastore(str(tmp_path), ReadFcn=lambda name: name[-5:])
    assert read(own) == "a.mat"


def test_what_is_wrong_is_named(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.arange(3.0), "y": np.arange(4.0)})
    (tmp_path / "b.csv").write_text("1,2\n3\n")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "e.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="a.mat: the file needs one numeric variable, but has 2"):
        signalDatastore(str(tmp_path / "a.mat")).read()
    with pytest.raises(DataError, match="a.mat: the file has no variable 'z'"):
        signalDatastore(str(tmp_path / "a.mat"), SignalVariableNames="z").read()
    with pytest.raises(DataError, match="b.csv: line 2 needs 2 numbers, but is '3'"):
        signalDatastore(str(tmp_path / "b.csv")).read()
    with pytest.raises(DataError, match="c.csv: the file is empty"):
        signalDatastore(str(tmp_path / "c.csv")).read()
    with pytest.raises(DataError, match="e.csv: there is no column 'z'; the columns are x, y"):
        signalDatastore(str(tmp_path / "e.csv"), SignalVariableNames="z").read()
