"""Drawing seldom enough, with a clock that the tests set."""

import pytest

from mlnet.plotting.pace import Pace
from mlnet.plotting.pictures import BoardPicture
from mlnet.training.board import Board, Curve, Panel


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
    """Counts what is asked of it; presenting takes ``cost`` seconds."""

    with_button = False

    def __init__(self, clock, *, is_live, cost=0.0):
        self.clock, self.is_live, self.cost = clock, is_live, cost
        self.times, self.polls, self.is_closed = [], [], False

    def open(self, size):
        from mlnet.figures import new_figure

        return new_figure(size)

    def present(self, figure):
        self.clock.now += self.cost
        self.times.append(self.clock.now)

    def poll(self, figure):
        self.polls.append(self.clock.now)
        return True

    def close(self):
        self.is_closed = True


def board():
    return Board("Training", "Iteration", [Panel("Loss", [Curve("TrainingLoss", "training")])])


def run(picture, progress, clock, iterations, seconds):
    for iteration in range(1, iterations + 1):
        clock.now += seconds
        progress.panels[0].curves[0].add(iteration, 1.0)
        picture.update()


def test_a_live_picture_opens_at_once_and_is_drawn_twice_a_second(clock):
    progress, surface = board(), Surface(clock, is_live=True)
    picture = BoardPicture(progress, surface, clock)
    picture.update()
    assert len(surface.times) == 1
    run(picture, progress, clock, 1000, 0.01)
    pauses = [later - earlier for earlier, later in zip(surface.times, surface.times[1:], strict=False)]
    assert len(surface.times) == pytest.approx(20, abs=2) and min(pauses) >= 0.5
    assert len(surface.polls) == pytest.approx(100, rel=0.15), "buttons are looked at ten times a second"


def test_drawing_takes_less_than_two_percent(clock):
    progress, surface = board(), Surface(clock, is_live=True, cost=0.05)
    picture = BoardPicture(progress, surface, clock)
    start = clock.now
    run(picture, progress, clock, 5000, 0.02)
    assert 0.008 < 0.05 * len(surface.times) / (clock.now - start) < 0.015


def test_a_file_waits_and_is_drawn_at_the_end(clock):
    progress, surface = board(), Surface(clock, is_live=False)
    picture = BoardPicture(progress, surface, clock)
    run(picture, progress, clock, 10, 0.1)
    assert not surface.times, "a short training draws only its end"
    picture.close()
    assert len(surface.times) == 1 and surface.is_closed
    run(picture, progress, clock, 1, 0.1)
    picture.flush()
    assert len(surface.times) == 2
    picture.flush()
    assert len(surface.times) == 2, "nothing is new"


def test_a_file_of_a_long_training_is_drawn_meanwhile(clock):
    progress, surface = board(), Surface(clock, is_live=False)
    picture = BoardPicture(progress, surface, clock)
    run(picture, progress, clock, 900, 0.1)
    assert len(surface.times) > 10
