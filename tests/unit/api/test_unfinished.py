from dibs.api.lane.budget import Budget


class Keeper:
    def __init__(self, unfinished):
        self.unfinished = unfinished
        self.given_up = 0

    def keep(self, size):
        self.unfinished.set(self, size)

    def give_up(self):
        self.given_up += 1
        self.keep(0)


def test_the_newest_is_given_up():
    unfinished = Budget(100)
    old, middle, new = keepers = [Keeper(unfinished) for _ in range(3)]
    for keeper in keepers:
        keeper.keep(30)
    old.keep(40)
    assert unfinished.total == 100
    old.keep(41)
    assert ([keeper.given_up for keeper in keepers], unfinished.total) == ([0, 0, 1], 71)
    old.keep(0)
    old.keep(200)  # it began anew, and is the newest
    assert ([keeper.given_up for keeper in keepers], unfinished.total) == ([1, 0, 1], 30)
    middle.keep(0)
    assert (unfinished.total, new.given_up) == (0, 1)


def test_what_is_held_is_not_given_up():
    unfinished = Budget(100)
    old, new = Keeper(unfinished), Keeper(unfinished)
    old.keep(30)
    new.keep(30)
    assert unfinished.hold(60)
    assert (old.given_up, new.given_up, unfinished.total) == (0, 1, 90)
    assert not unfinished.hold(41)
    assert (old.given_up, unfinished.total) == (1, 60)
    unfinished.let_go(60)
    assert unfinished.total == 0
