"""Whole switchovers, interrupted after every write, and with two coordinators at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tcf.core.model import Federation, HistoryEntry, Isolation, Switchover, Trigger
from unit.build import bootstrap, entry, federation, request, roles_of
from unit.play import Coordinator, Worker, World

Begin = Callable[[Federation], Federation]


def asks(asked: Switchover, *past: HistoryEntry) -> Begin:
    def begin(about: Federation) -> Federation:
        assert about.status
        return replace(about, status=replace(about.status, switchover=asked, history=past))

    return begin


def edits(wants: str) -> Begin:
    return lambda about: replace(about, spec=replace(about.spec, active_cluster=wants), generation=2)


def nothing_new(about: Federation) -> Federation:
    return about


@dataclass(frozen=True)
class Story:
    """What begins, with which workers stalled or dead by then; the roles and outcomes at the end."""

    name: str
    roles: str | None
    begins: Begin
    then: str
    outcomes: str
    stalled: str = ""
    dead: str = ""
    isolation: Isolation = Isolation.FENCE
    interleaved: bool = False

    def world(self) -> World:
        """Everything has been running for a while, then the story begins."""
        rules = {"lease_duration": 2, "switchover_timeout": 4, "isolation": self.isolation}
        about = federation(self.roles, wants="c1", **rules)
        workers = [Worker(member.id) for member in about.spec.clusters]
        world = World(about, workers)
        for _ in range(5):  # an odd number: whoever stalls has read, and not yet written
            world.work()
        for worker in workers:
            worker.stalled, worker.dead = worker.cluster in self.stalled, worker.cluster in self.dead
        assert world.hub.federation
        world.hub.federation = self.begins(world.hub.federation)
        return world

    def check(self, world: World) -> None:
        """It has ended as told. Then the stalled go on where they were, and nothing changes."""
        self._check(world)
        for worker in world.workers:
            worker.stalled = False
        for _ in range(8):
            world.work()
        self._check(world)

    def _check(self, world: World) -> None:
        assert roles_of(world.status) == self.then
        assert world.status.switchover is None
        assert ", ".join(past.outcome for past in reversed(world.status.history)) == self.outcomes


TAKE_OVER, STOP, FROM_NOBODY = request("c1", "c2"), request("c1", ""), request("", "c2")
FORCED = replace(TAKE_OVER, force=True)
KEEP = Isolation.KEEP_ROLE
STORIES = [
    Story("switchover", "active passive", asks(TAKE_OVER), "passive active", "Succeeded", interleaved=True),
    Story("three", "active passive passive", asks(TAKE_OVER), "passive active passive", "Succeeded"),
    Story("demote", "active passive", asks(STOP), "passive passive", "Succeeded", interleaved=True),
    Story("promote", "passive passive", asks(FROM_NOBODY), "passive active", "Succeeded"),
    Story("spec", "active passive", edits("c2"), "passive active", "Succeeded"),
    Story(
        "stalled",
        "active passive",
        asks(TAKE_OVER),
        "passive active",
        "Succeeded",
        stalled="c1",
        interleaved=True,
    ),
    Story("dead", "active passive", asks(TAKE_OVER), "passive active", "Succeeded", dead="c1"),
    Story("stalled, demote", "active passive", asks(STOP), "passive passive", "Succeeded", stalled="c1"),
    Story("target stalls", "active passive", asks(TAKE_OVER), "active passive", "RolledBack", stalled="c2"),
    Story(
        "keeper stalls",
        "active passive",
        asks(TAKE_OVER),
        "active passive",
        "RolledBack",
        stalled="c1",
        isolation=KEEP,
    ),
    Story("forced", "active passive", asks(FORCED), "passive active", "Succeeded", dead="c1", isolation=KEEP),
    Story("bootstrap", None, nothing_new, "active passive", "Succeeded", interleaved=True),
    Story("bootstrap, one stalls", None, nothing_new, "active passive", "Succeeded", stalled="c2"),
    Story("bootstrap goes on", "promoting passive", asks(bootstrap()), "active passive", "Succeeded"),
    Story(
        "bootstrap yields",
        "promoting passive",
        asks(FROM_NOBODY),
        "passive active",
        "Succeeded",
        interleaved=True,
    ),
    Story(
        "bootstrap again",
        "passive passive",
        asks(FROM_NOBODY, entry("bootstrap-99", trigger=Trigger.BOOTSTRAP, outcome="Superseded")),
        "active passive",
        "Superseded, RolledBack, Succeeded",
        dead="c2",
    ),
    Story("repair", "demoting passive", nothing_new, "active passive", ""),
]
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


@each_story
def test_it_ends_as_told(story: Story) -> None:
    world = story.world()
    world.finish(Coordinator())
    story.check(world)


@each_story
def test_interrupted_after_every_write(story: Story) -> None:
    """One coordinator stops after n writes; another, which remembers nothing, goes on."""
    for writes in itertools.count():
        world, first = story.world(), Coordinator()
        if not world.until(first, writes):
            assert writes > 1
            return
        world.finish(Coordinator())
        story.check(world)


@each_story
def test_a_new_coordinator_after_every_write(story: Story) -> None:
    """None of them lives long enough to make a second write."""
    world = story.world()
    while world.until(Coordinator(), 1):
        pass
    story.check(world)


@each_story
def test_two_in_lock_step(story: Story) -> None:
    """Both look at the same, then both write."""
    world = story.world()
    world.finish(Coordinator(), Coordinator())
    story.check(world)


@pytest.mark.parametrize(
    "story", [story for story in STORIES if story.interleaved], ids=lambda story: story.name
)
def test_two_interleaved(story: Story) -> None:
    """Every order of the first turns of two coordinators and the workers."""
    for order in itertools.product("ABw", repeat=5):
        world, players = story.world(), {"A": Coordinator(), "B": Coordinator()}
        for player in order:
            if player == "w":
                world.work()
            else:
                world.turn(players[player])
        world.finish(*players.values())
        story.check(world)


@each_story
def test_a_plan_that_is_carried_out_late(story: Story) -> None:
    """One coordinator stalls between its look and its write, at every write, until all is over."""
    for writes in itertools.count():
        world, slow = story.world(), Coordinator()
        if not world.until(slow, writes, planned=True):
            return
        world.finish(Coordinator())
        while slow.plan:
            world.turn(slow)
        world.finish(slow)
        story.check(world)
