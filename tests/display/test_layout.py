"""Where layers lie in the picture of a network."""

import itertools

import numpy as np
import pytest

from mlnet.display.layout import layout_of

CHAIN = [(0, 1), (1, 2), (2, 3)]
RESIDUAL = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (4, 5), (5, 6), (3, 6)]
INCEPTION = [(0, k) for k in (1, 2, 3, 4)] + [(k, 5) for k in (1, 2, 3, 4)]


def random_graph(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(2, 30))
    pairs = [(a, b) for a, b in itertools.combinations(range(count), 2) if generator.random() < 2.5 / count]
    order = generator.permutation(count)
    return count, [(int(order[a]), int(order[b])) for a, b in pairs]


def crossings(layout):
    """Count pairs of segments between two ranks that cross, by comparing all of them."""
    segments = [pair for path in layout.paths for pair in itertools.pairwise(path)]
    return sum(
        a[0][1] == b[0][1] and (a[0][0] - b[0][0]) * (a[1][0] - b[1][0]) < 0
        for a, b in itertools.combinations(segments, 2)
    )


@pytest.mark.parametrize("seed", range(12))
def test_wires_lead_down_rank_by_rank_and_nodes_keep_their_distance(seed):
    count, wires = random_graph(seed)
    layout = layout_of(count, wires)
    assert len(layout.points) == count
    for (source, destination), path in zip(wires, layout.paths, strict=True):
        assert path[0] == layout.points[source] and path[-1] == layout.points[destination]
        assert all(b[1] - a[1] == 1 for a, b in itertools.pairwise(path))
    inner = {point for path in layout.paths for point in path[1:-1]}
    places = [*layout.points, *inner]
    assert len(set(layout.points)) == count and not inner & set(layout.points)
    for a, b in itertools.combinations(places, 2):
        assert a[1] != b[1] or abs(a[0] - b[0]) > 1 - 1e-9
    assert min(x for x, _ in places) == 0 and min(y for _, y in places) == 0


def test_ranks_are_longest_paths():
    assert [y for _, y in layout_of(7, RESIDUAL).points] == [0, 1, 2, 3, 4, 5, 6]
    # a second input stands right above what it feeds
    assert [y for _, y in layout_of(5, [*CHAIN, (4, 3)]).points] == [0, 1, 2, 3, 2]


def test_the_main_chain_stays_straight_beside_its_shortcuts():
    layout = layout_of(7, RESIDUAL)
    assert np.ptp([x for x, _ in layout.points]) < 0.05
    assert all(max(x for x, _ in layout.paths[wire]) > 0.9 for wire in (3, 7))


def test_branches_are_symmetric_and_do_not_cross():
    layout = layout_of(6, INCEPTION)
    assert sorted(x for x, _ in layout.points[1:5]) == [0, 1, 2, 3]
    assert layout.points[0][0] == layout.points[5][0] == 1.5
    assert crossings(layout) == 0


def test_crossings_that_the_order_of_the_layers_would_make_are_undone():
    assert crossings(layout_of(6, [(0, 5), (1, 4), (2, 3)])) == 0
    assert crossings(layout_of(4, [(0, 2), (0, 3), (1, 2), (1, 3)])) == 1  # cannot be drawn without


def test_cycles_loops_and_nothing():
    layout = layout_of(4, [*CHAIN, (3, 1), (2, 2)])
    assert [y for _, y in layout.points] == [0, 1, 2, 3]
    back, loop = layout.paths[3], layout.paths[4]
    assert back[0] == layout.points[3] and back[-1] == layout.points[1] and len(back) == 3
    assert loop[0] == loop[-1] == layout.points[2] and len(set(loop)) == 3
    assert layout_of(0, []).points == ()
    assert layout_of(2, []).points == ((0, 0), (1, 0))


def test_long_chains_are_quick():
    count = 3000
    layout = layout_of(count, [(i, i + 1) for i in range(count - 1)])
    assert {x for x, _ in layout.points} == {0}
