"""One timer for many: who is done is never told, who is late is told once."""

from app.queue.watch import Watch


class Loop:
    """Time and timers by hand."""

    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, seconds, callback):
        self.timers.append((self.now + seconds, callback))

    def pass_(self, seconds):
        until = self.now + seconds
        while due := sorted(
            (timer for timer in self.timers if timer[0] <= until), key=lambda timer: timer[0]
        ):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = until


class One:
    until = 0.0
    over = False

    def __init__(self):
        self.told = []

    def late(self):
        self.told.append("late")


def watched(count, seconds=5.0):
    loop = Loop()
    watch = Watch(loop, seconds)
    return loop, watch, [One() for _ in range(count)]


def test_who_is_late_is_told_once():
    loop, watch, (one,) = watched(1)
    watch.add(one)
    loop.pass_(4.9)
    assert one.told == []
    loop.pass_(0.2)
    loop.pass_(100)
    assert one.told == ["late"]
    assert loop.timers == []


def test_who_is_done_is_not_told_and_leaves_no_timer():
    loop, watch, (one,) = watched(1)
    watch.add(one)
    one.over = True
    loop.pass_(100)
    assert (one.told, loop.timers) == ([], [])


def test_many_share_a_timer_and_each_has_its_own_time():
    loop, watch, ones = watched(4)
    for one in ones:
        watch.add(one)
        loop.pass_(1)
    ones[1].over = True
    assert len(loop.timers) == 1
    loop.pass_(1.5)  # 5.5 s after the first
    assert [one.told for one in ones] == [["late"], [], [], []]
    loop.pass_(2)
    assert [one.told for one in ones] == [["late"], [], ["late"], []]
    ones[3].over = True
    loop.pass_(10)
    assert ones[3].told == []


def test_a_million_that_are_done_in_time_pile_up_nowhere():
    loop, watch, _ = watched(0)
    for _ in range(10_000):
        one = One()
        watch.add(one)
        one.over = True
    assert len(watch._watched) <= 2
    assert len(loop.timers) == 1
