"""The text of a function: the source of a lambda, or a name."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from types import CodeType
from typing import Any


def function_text(function: Callable[..., Any]) -> str:
    """Return ``lambda X: X / (1 + abs(X))`` for a lambda whose source can be found, ``@name`` otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet.layers.function_text import function_text
    >>> function_text(np.tanh)
    '@tanh'
    """
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(function, "__code__", None)
    source = _lambda_source(code) if name == "<lambda>" and isinstance(code, CodeType) else ""
    return source or f"@{name}"


def _lambda_source(code: CodeType) -> str:
    """Return the source of the lambda with this code on one line, '' where it cannot be found for certain."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return ""
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno and _names(node) == names
    }
    if len(found) > 1:
        found = {text for text in found if _same(code, text)}
    return found.pop() if len(found) == 1 else ""


def _names(node: ast.Lambda) -> tuple[str, ...]:
    given = node.args
    return tuple(each.arg for each in [*given.posonlyargs, *given.args, *given.kwonlyargs])


def _same(code: CodeType, text: str) -> bool:
    """Tell whether a source compiles to the same instructions."""
    other = next(each for each in compile(text, "", "eval").co_consts if isinstance(each, CodeType))
    return (code.co_code, code.co_consts, code.co_names) == (other.co_code, other.co_consts, other.co_names)
