"""HTML for notebooks: small, self-contained and escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def preformatted(text: str) -> str:
    """Return ``text`` as monospaced HTML."""
    return f"<pre>{escape(text)}</pre>"


def titled(title: str, *parts: str) -> str:
    """Return HTML parts under a title; ``title`` is escaped, the parts are HTML already."""
    return "\n".join([f"<div>\n<p>{escape(title)}</p>", *parts, "</div>"])


def paragraph(text: str) -> str:
    """Return ``text`` as a paragraph."""
    return f"<p>{escape(text)}</p>"


def html_table(rows: Sequence[Sequence[str]], headers: Sequence[str] = (), align: Sequence[str] = ()) -> str:
    """Return rows of texts as an HTML table.

    Parameters
    ----------
    rows : sequence of sequences of texts
    headers : sequence of texts, optional
    align : sequence of 'left' or 'right', optional
        Alignment of the columns, all left by default.
    """
    from tabulate import tabulate

    return str(tabulate(rows, headers, tablefmt="html", disable_numparse=True, colalign=align or None))
