"""Well-known text of coordinate reference systems, as far as names, codes and units go.

The grammar is that of OGC 01-009 (WKT 1) and ISO 19162 (WKT 2): ``KEYWORD[argument, ...]`` with quoted
strings, numbers and nested nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([A-Za-z_]\w*)\s*[\[(]|([\])])|(,)|([^,\[\]()"\s]+))')

Argument: TypeAlias = "str | WktNode"


@dataclass(frozen=True, slots=True)
class WktNode:
    """One node of a well-known text.

    Parameters
    ----------
    keyword : str
        In capitals, for example ``"PROJCS"``.
    arguments : list of str or WktNode
        Strings without their quotes, numbers as written, nodes.
    """

    keyword: str
    arguments: list[Argument] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        """First argument, where it is a text."""
        first = self.arguments[0] if self.arguments else None
        return first if isinstance(first, str) else None

    def children(self, *keywords: str) -> Iterator[WktNode]:
        """Yield the nodes directly below this one that have one of the keywords."""
        for argument in self.arguments:
            if isinstance(argument, WktNode) and argument.keyword in keywords:
                yield argument

    def child(self, *keywords: str) -> WktNode | None:
        """Return the first node directly below that has one of the keywords."""
        return next(self.children(*keywords), None)


def parse_wkt(text: str) -> WktNode | None:
    """Parse a well-known text; None where it is not one."""
    outermost = WktNode("")
    open_nodes = [outermost]
    place, end = 0, len(text.rstrip("\x00 \t\r\n"))
    while place < end:
        token = _TOKEN.match(text, place, end)
        if token is None:
            return None
        place = token.end()
        quoted, keyword, closing, _, plain = token.groups()
        if keyword is not None:
            node = WktNode(keyword.upper())
            open_nodes[-1].arguments.append(node)
            open_nodes.append(node)
        elif closing is not None:
            if len(open_nodes) == 1:
                return None
            open_nodes.pop()
        elif quoted is not None or plain is not None:
            open_nodes[-1].arguments.append(quoted.replace('""', '"') if quoted is not None else plain)
    first = outermost.arguments[0] if outermost.arguments else None
    return first if len(open_nodes) == 1 and isinstance(first, WktNode) else None
