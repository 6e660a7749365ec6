"""The numbers of the MAT-file format, level 5 (MathWorks, MAT-File Format), and what plain values are.

Plain values are None, booleans, numbers, texts, numeric and logical arrays, lists and dictionaries of plain values, and
`Tagged` ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

MATRIX, COMPRESSED = 14, 15
INT8, INT32, UINT32, UTF8, UTF16 = 1, 5, 6, 16, 17
"""Types of data elements."""

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of elements that hold numbers, with NumPy's."""

TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Types of elements that hold texts, with their encodings."""

CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
"""Classes of numeric arrays, with NumPy's types."""
COMPLEX_FLAG, LOGICAL_FLAG = 0x08, 0x02

HEADER = 128
SIGN = "MATLAB 5.0 MAT-file, Platform: mlnet"
"""Beginning of the files that mlnet writes; the CRC-32 of what follows the header comes next."""

NOTES = "mlnet_format"
"""The variable with what the format does not say: the version, original names, sizes of vectors."""
TAG = "mlnet_class"
"""The field that tells what a structure stands for."""
RESERVED = "mlnet_"
VERSION = 1

SCRIPTS = Path(__file__).parent.parent / "interop" / "matlab" / "scripts"
"""The folder with the functions for MATLAB's side."""

DEPTH = 100
"""Structures and cells in one another."""


class Tagged(NamedTuple):
    """Fields that stand for an object of the class ``kind``."""

    kind: str
    fields: dict[str, Any]
