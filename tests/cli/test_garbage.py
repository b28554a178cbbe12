"""The search for garbage is short, whatever lives; and cycles are found in the end."""

import gc
import sys
import weakref

import pytest
from dibs.cli.garbage import GENERATIONS, QUEUE, Garbage

by_generations = pytest.mark.skipif(not GENERATIONS, reason="this Python has another collector")
LEAST = 1_000
WINDOW = 20_000  # objects that a search may look at; 11,000 by the thresholds


class Node:
    """What can be in a cycle, and can be seen to be freed."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def begin():
    """A function that begins to search so; all is as it was after the test."""
    thresholds, begun = gc.get_threshold(), []

    def begin(**options):
        begun.append(Garbage(**options))
        begun[-1].begin()
        return begun[-1]

    yield begin
    for garbage in begun:
        garbage.end()
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.fixture
def searched():
    """How many objects each search of the oldest generation looked at."""
    sizes = []

    def note(phase, info):
        if phase == "start" and info["generation"] == 2:
            sizes.append(sum(len(gc.get_objects(generation)) for generation in range(3)))

    gc.callbacks.append(note)
    yield sizes
    gc.callbacks.remove(note)


def aged(kept):
    """Let others be made until what there is now has been searched, and is old."""
    searches = gc.get_stats()[2]["collections"]
    while gc.get_stats()[2]["collections"] == searches:
        kept += [[] for _ in range(100)]


def grown(kept, share):
    """Use this share more memory than now."""
    kept.append([[] for _ in range(int(sys.getallocatedblocks() * share))])


@by_generations
def test_a_search_looks_at_what_is_young_however_much_there_is(begin, searched):
    garbage = begin(least=LEAST)
    kept = [[] for _ in range(400_000)]
    assert len(searched) > 10
    assert max(searched) < WINDOW
    del searched[:]
    grown(kept, 2)
    garbage.look(quiet=True, queues=0)
    assert max(searched) > 400_000
    del searched[:]
    kept += [[] for _ in range(200_000)]
    assert len(searched) > 5
    assert max(searched) < WINDOW


@by_generations
def test_a_young_cycle_is_found_soon(begin):
    begin()
    node = weakref.ref(Node())
    aged([])
    assert node() is None


@by_generations
def test_an_old_cycle_is_found_when_memory_has_grown(begin):
    garbage, kept = begin(least=LEAST), []
    gone, node = Node(), None
    aged(kept)
    node = weakref.ref(gone)
    del gone
    aged(kept)
    assert node() is not None
    garbage.look(quiet=True, queues=0)
    assert node() is not None
    grown(kept, 0.6)
    garbage.look(quiet=False, queues=0)
    assert node() is not None
    garbage.look(quiet=True, queues=0)
    assert node() is None


@by_generations
def test_where_it_is_never_quiet_memory_doubles_at_most(begin):
    garbage, kept = begin(least=LEAST), []
    gone = Node()
    node = weakref.ref(gone)
    aged(kept)
    del gone
    grown(kept, 1.1)
    garbage.look(quiet=False, queues=0)
    assert node() is None


@by_generations
def test_queues_that_were_made_are_no_garbage_and_those_that_have_gone_are(begin):
    garbage, kept = begin(least=LEAST), []
    gone = Node()
    node = weakref.ref(gone)
    aged(kept)
    del gone
    before = sys.getallocatedblocks()
    grown(kept, 1.1)
    made = (sys.getallocatedblocks() - before) // QUEUE
    garbage.look(quiet=True, queues=made)
    assert node() is not None
    garbage.look(quiet=True, queues=0)
    assert node() is None


def test_a_collector_without_generations_is_left_alone(begin):
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    garbage = begin(generations=False, least=0)
    assert gc.isenabled()
    garbage.look(quiet=True, queues=0)
    assert (gc.get_threshold(), gc.callbacks) == (thresholds, callbacks)
    assert gc.get_freeze_count()
