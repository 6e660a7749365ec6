"""Threads that work together run on cores of their own, and may run where they could before afterwards."""

from __future__ import annotations

import os
import threading

import pytest

from mlnet.parallel import places

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)


def test_a_thread_is_held_and_let_go():
    allowed = os.sched_getaffinity(0)
    with places.held():
        assert os.sched_getaffinity(0) == {places.core()}
        with places.held():  # once is enough
            assert os.sched_getaffinity(0) == {places.core()}
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == allowed


def test_a_thread_is_let_go_after_an_error():
    allowed = os.sched_getaffinity(0)
    with pytest.raises(KeyError), places.held():
        raise KeyError
    assert os.sched_getaffinity(0) == allowed


def test_another_thread_is_kept_away():
    allowed, stop = os.sched_getaffinity(0), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with places.held():
            core = places.core()
            assert places.keep_away(thread.native_id, core)
            assert os.sched_getaffinity(thread.native_id) == allowed - {core}
    finally:
        stop.set()
        thread.join()


def test_a_thread_that_is_gone_is_told(monkeypatch):
    def refuse(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert not places.keep_away(threading.get_native_id(), places.core())


def test_where_it_is_forbidden_everything_stays(monkeypatch):
    def refuse(*_):
        raise PermissionError

    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with places.held():
        assert os.sched_getaffinity(0) == allowed
        assert places.keep_away(threading.get_native_id(), places.core())
