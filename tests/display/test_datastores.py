"""The blocks of datastores."""

from __future__ import annotations

import numpy as np

from mlnet import (
    arrayDatastore,
    augmentedImageDatastore,
    combine,
    disp,
    fileDatastore,
    imageDatastore,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
    transform,
)


def double(x):
    return [2 * each for each in x]


def files(tmp_path, count=5):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(count):
        np.save(folder / f"{number}.npy", np.zeros((2, 2), np.uint8))
    return folder


def shown(value, folder):
    """Return the printed block, with the folder of the files as /here."""
    return str(value).replace(str(folder), "/here")


def test_image_datastore(tmp_path, monkeypatch):
    folder = files(tmp_path)
    monkeypatch.setattr("mlnet.display.datastores.LONGEST_NAME", 1000)
    imds = imageDatastore(str(folder), LabelSource="foldernames")
    assert shown(imds, folder) == (
        "  ImageDatastore with properties:\n"
        "\n"
        "       Files: {\n"
        "              '/here/0.npy';\n"
        "              '/here/1.npy';\n"
        "              '/here/2.npy'\n"
        "               ... and 2 more\n"
        "              }\n"
        "     Folders: {\n"
        "              '/here'\n"
        "              }\n"
        "      Labels: [images; images; images ... and 2 more categorical]\n"
        "    ReadSize: 1\n"
        "     ReadFcn: @readDatastoreImage"
    )
    imds.Labels = np.arange(5)
    assert "Labels: [0; 1; 2 ... and 2 more int64]" in str(imds)
    assert "Labels: {}" in str(imageDatastore(str(folder)))
    assert "Labels: [x]" in str(imageDatastore(imds.Files[:1], Labels=["x"]))
    assert "<pre" in imds._repr_html_() and "ImageDatastore" in imds._repr_html_()


def test_long_names_are_cut_in_front(tmp_path, monkeypatch):
    folder = files(tmp_path, 1)
    monkeypatch.setattr("mlnet.display.datastores.LONGEST_NAME", 9)
    assert "' ...ges/0.npy'" in str(imageDatastore(str(folder)))


def test_others(tmp_path, monkeypatch, capsys):
    folder = files(tmp_path, 2)
    monkeypatch.setattr("mlnet.display.datastores.LONGEST_NAME", 1000)
    imds, pxds = imageDatastore(str(folder)), pixelLabelDatastore(str(folder), ["a", "b"], [0, 1])
    both = pixelLabelImageDatastore(imds, pxds)
    assert shown(both, folder) == (
        "  pixelLabelImageDatastore with properties:\n"
        "\n"
        "                  Images: {\n"
        "                          '/here/0.npy';\n"
        "                          '/here/1.npy'\n"
        "                          }\n"
        "          PixelLabelData: {\n"
        "                          '/here/0.npy';\n"
        "                          '/here/1.npy'\n"
        "                          }\n"
        "              ClassNames: {'a'  'b'}\n"
        "        DataAugmentation: 'none'\n"
        "      ColorPreprocessing: 'none'\n"
        "              OutputSize: []\n"
        "          OutputSizeMode: 'resize'\n"
        "           MiniBatchSize: 128\n"
        "         NumObservations: 2\n"
        "    DispatchInBackground: 0"
    )
    assert "ClassNames: {'a'  'b'}" in str(pxds)
    disp(combine(imds, augmentedImageDatastore([2, 2], imds)))
    assert capsys.readouterr().out == (
        "  CombinedDatastore with properties:\n\n"
        "    UnderlyingDatastores: {[1x1 ImageDatastore]  [1x1 augmentedImageDatastore]}\n"
    )
    assert str(transform(arrayDatastore([1]), double)) == (
        "  TransformedDatastore with properties:\n\n"
        "    UnderlyingDatastores: {[1x1 ArrayDatastore]}\n"
        "              Transforms: {@double}\n"
        "             IncludeInfo: 0"
    )
    assert "ReadFcn: @load" in str(fileDatastore(str(folder), ReadFcn=np.load))
