"""Drawing seldom enough, with a clock that the tests set."""

import pytest

from mlnet.plotting.pace import Pace
from mlnet.plotting.pictures import BoardPicture


def draw_for(pace, clock, seconds):
    with pace.measured():
        clock.now += seconds


def test_two_drawings_a_second_at_most(clock):
    pace = Pace(clock=clock)
    assert pace.is_due()
    draw_for(pace, clock, 0.001)
    clock.now += 0.49
    assert not pace.is_due()
    clock.now += 0.02
    assert pace.is_due()


def test_slow_drawings_are_rarer(clock):
    pace = Pace(clock=clock)
    drawing, start = 0.0, clock.now
    while clock.now < start + 1000:
        if pace.is_due():
            draw_for(pace, clock, 0.1)
            drawing += 0.1
        clock.now += 0.01
    assert 0.008 < drawing / (clock.now - start) <= 0.0102


def test_a_drawing_that_fails_is_followed_by_a_pause(clock):
    pace = Pace(clock=clock)
    with pytest.raises(OSError), pace.measured():
        clock.now += 1
        raise OSError
    assert not pace.is_due()


class Surface:
    """Counts what is asked of it; opening takes five seconds, drawing ``cost`` seconds."""

    def __init__(self, clock, cost=0.0):
        self.clock, self.cost = clock, cost
        self.opened, self.times, self.polls, self.is_closed = 0, [], [], False

    def open(self):
        self.clock.now += 5
        self.opened += 1

    def draw(self):
        assert self.opened == 1
        self.clock.now += self.cost
        self.times.append(self.clock.now)

    def poll(self):
        assert self.opened == 1
        self.polls.append(self.clock.now)
        return True

    def close(self):
        self.is_closed = True


def run(picture, clock, iterations, seconds):
    for _ in range(iterations):
        clock.now += seconds
        picture.update()


def test_a_picture_opens_at_once_and_is_drawn_twice_a_second(clock):
    surface = Surface(clock)
    picture = BoardPicture(surface, clock)
    picture.update()
    assert len(surface.times) == 1
    run(picture, clock, 1000, 0.01)
    pauses = [later - earlier for earlier, later in zip(surface.times, surface.times[1:], strict=False)]
    assert len(surface.times) == pytest.approx(20, abs=2) and min(pauses) >= 0.5
    assert len(surface.polls) == pytest.approx(100, rel=0.15), "buttons are looked at ten times a second"


def test_drawing_takes_less_than_two_percent(clock):
    surface = Surface(clock, cost=0.05)
    picture = BoardPicture(surface, clock)
    start = clock.now
    run(picture, clock, 5000, 0.02)
    assert 0.008 < 0.05 * len(surface.times) / (clock.now - start) < 0.015


def test_the_end_is_drawn_once(clock):
    surface = Surface(clock)
    picture = BoardPicture(surface, clock)
    run(picture, clock, 4, 0.1)
    assert len(surface.times) == 1
    picture.close()
    assert len(surface.times) == 2 and surface.is_closed
    picture.flush()
    assert len(surface.times) == 2, "nothing is new"


def test_what_was_never_drawn_is_drawn_at_the_end(clock):
    surface = Surface(clock)
    BoardPicture(surface, clock).close()
    assert len(surface.times) == surface.opened == 1 and not surface.polls
