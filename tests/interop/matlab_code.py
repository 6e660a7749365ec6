"""A reader of the part of MATLAB's language that exported code is written in, which makes mlnet's layers of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

import mlnet

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\n]|'')*') | (?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|Inf|NaN)(?![\w.]))
      | (?P<handle>@[a-z]\w*|@\([\w,]*\)[^,\s)]*(?:\([\w,]*\))?) | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
      | (?P<sign>[][(){},;=]) | (?P<line>\n) | (?P<space>[ \t]+)""",
    re.VERBOSE,
)
HANDLES = {"@tanh": np.tanh, "@sqrt": np.sqrt, "@abs": np.absolute, "@exp": np.exp, "@(X)X.^2": np.square}


def network_of(folder: Path, name: str = "trainedNetwork") -> Any:
    """Return the network that a written function makes, with constructors of mlnet in the places of MATLAB's."""
    lines = (folder / f"{name}.m").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"function net = {name}()" and lines[-1] == "end"
    code = "\n".join(line for line in lines[1:-1] if not line.startswith("%")) + "\n"
    reader = Reader(code, folder)
    reader.run()
    return reader.variables["net"]


class Reader:
    """Runs statements of the form ``name = expression;``."""

    def __init__(self, code: str, folder: Path) -> None:
        self.tokens = list(self._tokens(code))
        self.at = 0
        self.folder = folder
        self.variables: dict[str, Any] = {}

    def _tokens(self, code: str) -> Any:
        place = 0
        while place < len(code):
            found = _TOKEN.match(code, place)
            assert found, f"what is {code[place : place + 40]!r}?"
            yield found.lastgroup, found.group()
            place = found.end()

    def run(self) -> None:
        while self.skip("space", "line"):
            _, name = self.tokens[self.at]
            self.at += 1
            self.skip("space")
            self.need("=")
            self.variables[name] = self.expression()
            self.need(";")

    def skip(self, *kinds: str) -> bool:
        while self.at < len(self.tokens) and self.tokens[self.at][0] in kinds:
            self.at += 1
        return self.at < len(self.tokens)

    def need(self, sign: str) -> None:
        assert self.tokens[self.at][1] == sign, (sign, self.tokens[self.at : self.at + 5])
        self.at += 1

    def is_at(self, *signs: str) -> bool:
        return self.tokens[self.at][1] in signs

    def expression(self) -> Any:
        self.skip("space")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if re.search("[.eIN]", text) else int(text)
        if kind == "handle":
            return HANDLES[text]
        if text == "[":
            return matrix(self.rows("]"))
        if text == "{":
            (cells,) = self.rows("}")
            return cells
        assert kind == "name", text
        if self.at < len(self.tokens) and self.is_at("("):
            self.at += 1
            return self.call(text, list(self.arguments()))
        if text in ("true", "false"):
            return text == "true"
        first, *fields = text.split(".")
        value = self.variables[first]
        for field in fields:
            value = value[field][0, 0] if isinstance(value, np.ndarray) else value[field]
        return value

    def arguments(self) -> Any:
        while not self.is_at(")"):
            yield self.expression()
            self.skip("space")
            if self.is_at(","):
                self.at += 1
        self.at += 1

    def rows(self, end: str) -> list[list[Any]]:
        rows: list[list[Any]] = [[]]
        while True:
            self.skip("space")
            if self.is_at(end):
                self.at += 1
                return [row for row in rows if row] or [[]]
            if self.is_at(";", "\n"):
                self.at += 1
                rows.append([])
            elif self.is_at(","):
                self.at += 1
            else:
                rows[-1].append(self.expression())

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name in ("fullfile", "mfilename"):
            return arguments[-1]
        if name == "fileparts":
            return str(self.folder)
        if name == "load":
            found = scipy.io.loadmat(self.folder / arguments[0])
            return {key: value[0, 0] for key, value in found.items() if not key.startswith("__")}
        if name == "reshape":
            return np.reshape(arguments[0], [int(n) for n in arguments[1]], order="F")
        if name == "char":
            return np.asarray(arguments[0], "<u2").tobytes().decode("utf-16-le", "surrogatepass")
        return getattr(mlnet, name)(*arguments)


def matrix(rows: list[list[Any]]) -> Any:
    """Return what brackets make: a column of layers, or numbers."""
    if any(isinstance(each, mlnet.layers.base.Layer) for row in rows for each in row):
        return [each for row in rows for each in row]
    return np.array(rows[0] if len(rows) == 1 else rows)
