"""Where the layers of a network lie in its picture: ranks from top to bottom, columns from left to right.

The steps are those of layered drawings (Sugiyama, Tagawa and Toda, 1981): ranks by the longest path, few crossings by
the mean place of the neighbours, then columns that keep chains straight.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Wire = tuple[int, int]
Point = tuple[float, float]

_SWEEPS = 8
_STRAIGHT, _BENT = 4, 1
"""Weights of wires between two layers, or within a long wire, and of the ends of long wires."""
_LAYER, _PASSING = 1.0, 0.001
"""How much layers, and the points where wires pass a rank, insist on their place."""


@dataclass(frozen=True)
class Layout:
    """``points`` are column and rank of each layer, from 0; ``paths`` the points that each wire passes."""

    points: tuple[Point, ...]
    paths: tuple[tuple[Point, ...], ...]


def layout_of(count: int, wires: Sequence[Wire]) -> Layout:
    """Return the layout of ``count`` layers with ``wires`` (source, destination); cycles are drawn as well."""
    downward = _downward(count, wires)
    ranks = _ranks(count, downward)
    chains = _chains(count, downward, ranks)
    links = [(chain[0], chain[1], _BENT if len(chain) > 2 else _STRAIGHT) for chain in chains]
    for chain in chains:
        links += [(a, b, _BENT if b == chain[-1] else _STRAIGHT) for a, b in pairwise(chain[1:])]
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node, rank in enumerate(ranks):
        rows[rank].append(node)
    above, below = _neighbours(links)
    rows = _few_crossings(rows, above, below)
    columns = _columns(rows, above, below, count)
    points = tuple((columns[node], float(ranks[node])) for node in range(count))
    paths = []
    for (source, destination), chain in zip(wires, chains, strict=True):
        path = [(columns[node], float(ranks[node])) for node in chain]
        if source == destination:
            (x, y) = points[source]
            path = [(x, y), (x - 0.3, y - 0.3), (x - 0.3, y + 0.3), (x, y)]
        paths.append(tuple(path if chain[0] == source else reversed(path)))
    return Layout(points, tuple(paths))


def _downward(count: int, wires: Sequence[Wire]) -> list[Wire]:
    """Return the wires with those that close a cycle turned round."""
    after = defaultdict(list)
    for source, destination in wires:
        after[source].append(destination)
    state = [0] * count  # 0 not seen, 1 on the way down, 2 done
    closing = set()
    for start in range(count):
        way = [(start, iter(after[start]))] if not state[start] else []
        while way:
            node, rest = way[-1]
            state[node] = 1
            following = next(rest, None)
            if following is None:
                state[node] = 2
                way.pop()
            elif state[following] == 1:
                closing.add((node, following))
            elif not state[following]:
                way.append((following, iter(after[following])))
    return [(b, a) if (a, b) in closing else (a, b) for a, b in wires]


def _ranks(count: int, wires: Sequence[Wire]) -> list[int]:
    """Return the longest path to each layer; layers without inputs stand right above what they feed."""
    after, waiting = defaultdict(list), [0] * count
    for source, destination in wires:
        if source != destination:
            after[source].append(destination)
            waiting[destination] += 1
    first = [node for node in range(count) if not waiting[node]]
    ranks, ready = [0] * count, list(first)
    while ready:
        node = ready.pop()
        for following in after[node]:
            ranks[following] = max(ranks[following], ranks[node] + 1)
            waiting[following] -= 1
            if not waiting[following]:
                ready.append(following)
    for node in first:
        ranks[node] = min((ranks[following] for following in after[node]), default=1) - 1
    return ranks


def _chains(count: int, wires: Sequence[Wire], ranks: list[int]) -> list[list[int]]:
    """Return the nodes that each wire passes; ``ranks`` grows by one node for each rank between its ends."""
    chains = []
    for source, destination in wires:
        chain = [source]
        for rank in range(ranks[source] + 1, ranks[destination]):
            chain.append(len(ranks))
            ranks.append(rank)
        chains.append([*chain, destination])
    return chains


_Neighbours = dict[int, list[tuple[int, int]]]


def _neighbours(links: Sequence[tuple[int, int, int]]) -> tuple[_Neighbours, _Neighbours]:
    """Return (node, weight) of the neighbours above and below each node."""
    above, below = defaultdict(list), defaultdict(list)
    for upper, lower, weight in links:
        if upper != lower:
            above[lower].append((upper, weight))
            below[upper].append((lower, weight))
    return above, below


def _few_crossings(rows: list[list[int]], above: _Neighbours, below: _Neighbours) -> list[list[int]]:
    """Return the rows in an order with few crossings."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        order, seen = (rows, above) if sweep % 2 == 0 else (rows[::-1], below)
        place = {node: float(number) for row in rows for number, node in enumerate(row)}
        new = []
        for row in order:
            row = sorted(row, key=lambda node: _mean(place, seen[node], place[node]))
            place.update((node, float(number)) for number, node in enumerate(row))
            new.append(row)
        rows = new if sweep % 2 == 0 else new[::-1]
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _mean(place: dict[int, float], neighbours: list[tuple[int, int]], alone: float) -> float:
    return sum(place[node] for node, _ in neighbours) / len(neighbours) if neighbours else alone


def _crossings(rows: list[list[int]], below: _Neighbours) -> int:
    """Return how many pairs of wires cross."""
    place = {node: number for row in rows for number, node in enumerate(row)}
    count = 0
    for row in rows:
        ends: list[int] = []
        for node in row:
            mine = sorted(place[other] for other, _ in below[node])
            count += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return count


def _columns(rows: list[list[int]], above: _Neighbours, below: _Neighbours, count: int) -> list[float]:
    """Return the column of each node: where its neighbours are, at least one from the next node of its row.

    The first ``count`` nodes are layers.
    """
    column = {node: float(number) for row in rows for number, node in enumerate(row)}
    for sweep in range(_SWEEPS + 1):
        order, seen = (rows, above) if sweep % 2 == 0 else (rows[::-1], below)
        for row in order:
            wanted = [(_median(column, seen[node], column[node]), _LAYER if node < count else _PASSING) for node in row]
            column.update(zip(row, _apart(wanted), strict=True))
    left = min(column.values(), default=0.0)
    return [column[node] - left for node in range(len(column))]


def _median(column: dict[int, float], neighbours: list[tuple[int, int]], alone: float) -> float:
    """Return the weighted median of the neighbours' columns; the mean of two where the weights are even."""
    if not neighbours:
        return alone
    ranked = sorted((column[node], weight) for node, weight in neighbours)
    half, passed = sum(weight for _, weight in ranked) / 2, 0
    for number, (place, weight) in enumerate(ranked):
        passed += weight
        if passed > half:
            return place
        if passed == half:
            return (place + ranked[number + 1][0]) / 2
    raise AssertionError


def _apart(wanted: list[tuple[float, float]]) -> list[float]:
    """Return the places that keep the order and a distance of at least 1, nearest to ``wanted`` (place, weight).

    Neighbours that are too near are pooled until they fit, as in isotonic regression.
    """
    blocks: list[tuple[float, float, int]] = []  # the mean of place - number, its weight, and how many
    for number, (place, weight) in enumerate(wanted):
        mean, size = place - number, 1
        while blocks and blocks[-1][0] > mean:
            other, heavier, count = blocks.pop()
            mean = (mean * weight + other * heavier) / (weight + heavier)
            weight, size = weight + heavier, size + count
        blocks.append((mean, weight, size))
    shifts = [mean for mean, _, size in blocks for _ in range(size)]
    return [shift + number for number, shift in enumerate(shifts)]
