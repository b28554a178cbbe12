"""Lives through the story once for every call of the disk, with that call failing, or being the last one.

``python matrix.py MODE``: exit code 0 if every promise stood; each broken one is a line on stdout.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from disk import CHANGES, LOOKS, Plan
from lives import Lives

BATCH = 12
Told = tuple[int, list[str]]
"""How many lives there were, and a sentence for each broken promise."""
Job = Callable[[Path], Told]


@dataclass(frozen=True)
class Mode:
    """What fails (``crash``: nothing, but each call may be the last), where, and every how many calls."""

    plan: Plan
    crash: bool = False
    bulky: bool = False
    work: bool = False
    step: int = 1


MODES: dict[str, Mode] = {
    "crash": Mode(Plan(CHANGES), crash=True),
    "eio": Mode(Plan(CHANGES)),
    "eio-look": Mode(Plan(LOOKS)),
    "eio-shm": Mode(Plan(("shm",))),
    "eio-shm-while": Mode(Plan(("shm",), times=3)),
    "eio-landed": Mode(Plan(("write", "sync", "truncate", "delete"), landed=True), step=2),
    "eio-while": Mode(Plan(CHANGES, times=4), step=2),
    "full": Mode(Plan(("write", "truncate"), error="FULL", torn=True)),
    "full-while": Mode(Plan(("write", "truncate"), error="FULL", times=5), step=2),
    "checkpoint-crash": Mode(Plan(CHANGES), crash=True, bulky=True, step=37),
    "checkpoint-eio": Mode(Plan(CHANGES, times=2), bulky=True, step=31),
    "work-crash": Mode(Plan(CHANGES), crash=True, work=True, step=3),
    "work-eio": Mode(Plan(CHANGES), work=True, step=3),
    "work-eio-while": Mode(Plan(CHANGES, times=4), work=True, step=4),
    "work-full": Mode(Plan(("write", "truncate"), error="FULL", torn=True), work=True, step=3),
    "lying": Mode(Plan(CHANGES, lying=True), crash=True, step=40),  # the control: this has to be found
}


def in_children(jobs: Iterator[Job], at_once: int) -> tuple[int, list[str]]:
    """Run each job in a fork of this process, which has one thread; the sum of their lives and all faults."""
    lives, faults = 0, []
    running: dict[int, Path] = {}
    while True:
        while len(running) < at_once and (job := next(jobs, None)) is not None:
            place = _place()
            running[_fork(job, place)] = place
        if not running:
            return lives, faults
        child, status = os.wait()
        place = running.pop(child)
        try:
            told: Told = json.loads((place / "told").read_text())
        except FileNotFoundError:
            faults.append(
                f"a child ended with {os.waitstatus_to_exitcode(status)}; its last words are on stderr"
            )
        else:
            lives += told[0]
            faults += told[1]
        shutil.rmtree(place)


def _fork(job: Job, place: Path) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        (place / "told").write_text(json.dumps(job(place)))
        code = 0
    except BaseException:
        logging.critical("a job failed", exc_info=True)
    finally:
        os._exit(code)


def _place() -> Path:
    """In memory, if there is some: what the disk does is simulated; a real one adds nothing but time."""
    memory = "/dev/shm"
    return Path(tempfile.mkdtemp(prefix="dibs-", dir=memory if os.access(memory, os.W_OK) else None))


def _lives(mode: Mode, place: Path) -> Lives:
    return Lives(place, bulky=mode.bulky, work=mode.work, shared="shm" in mode.plan.kinds)


def count(mode: Mode) -> Job:
    """A job that tells how many calls one life has."""

    def job(place: Path) -> Told:
        lives = _lives(mode, place)
        return lives.calls(mode.plan), lives.faults

    return job


def live(mode: Mode, batch: range) -> Job:
    """A job that goes through some of the calls."""

    def job(place: Path) -> Told:
        lives = _lives(mode, place)
        if mode.crash:
            return lives.ended_at(mode.plan, batch), lives.faults
        return sum(lives.failed_at(replace(mode.plan, nth=nth)) for nth in batch), lives.faults

    return job


def jobs(mode: Mode, calls: int) -> Iterator[Job]:
    """Every call of one life; a few more, because no two lives are quite the same."""
    numbers = range(1, calls + 5, mode.step)
    return (live(mode, numbers[at : at + BATCH]) for at in range(0, len(numbers), BATCH))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--step", type=int, help="only every so many calls")
    parser.add_argument("--at-once", type=int, default=3, help="processes")
    parser.add_argument("--show", action="store_true", help="the server's log and the notebooks")
    given = parser.parse_args()
    logging.disable(logging.NOTSET if given.show else logging.CRITICAL)
    mode = MODES[given.mode]
    mode = replace(mode, step=given.step or mode.step)
    gc.freeze()  # what is loaded is searched for garbage by no child, so it isn't copied either
    calls, faults = in_children(iter([count(mode)]), 1)
    lives, more = in_children(jobs(mode, calls), given.at_once)
    faults += more
    for fault in faults:
        print(fault)
    print(f"{given.mode}: {calls} calls, {lives} lives, {len(faults)} broken promises")
    enough = calls // mode.step * 4 // 5  # threads take turns as they like: some lives are shorter
    return 1 if faults or lives < enough else 0


if __name__ == "__main__":
    sys.exit(main())
