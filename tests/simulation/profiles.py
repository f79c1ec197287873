"""The kinds of schedules there are: one with everything in it, and some that look for one thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulation.network import Rates
from simulation.schedule import Profile

GENERAL = Profile(
    "general",
    faults={
        "stop": 2.0,
        "crash": 1.5,
        "restart": 0.7,
        "cut": 1.5,
        "cut member": 0.5,
        "refuse": 0.5,
        "kill member": 0.5,
        "slow": 0.7,
        "watch break": 0.7,
        "hub down": 0.3,
        "ask": 4.0,
        "edit": 2.4,
        "lose status": 0.1,
        "recreate": 0.2,
        "restore": 0.1,
        # third parties
        "touch lease": 0.6,
        "rob lease": 0.15,
        "robbed": 0.1,
        "foreign lease": 0.25,
        "touch status": 0.2,
        "rewrite roles": 0.1,
        "remove crd": 0.07,
        # what has to come together for a broken rule to show, each now and then
        "stalled": 0.3,
        "stalled slowly": 2.0,
        "frozen": 0.3,
        "renewed": 0.3,
        "unheard": 0.1,
        "unanswered": 0.1,
        "answered late": 0.1,
        "cut and switch": 0.3,
        "shorter": 0.2,
        "stricter": 0.2,
        "faded": 0.2,
        "slow operator": 0.2,
        "crowd": 0.5,
        "place": 0.3,
        "dead": 0.3,
        "ill": 1.5,
        "ill active": 0.5,
        "flapping": 0.2,
        "ill and stuck": 0.1,
        "forced though ill": 0.1,
        "dead and paused": 0.1,
        "recreated": 0.1,
        "recreated once active": 0.1,
        "expelled": 0.1,
        "set back": 0.15,
        "set back without lease": 0.1,
        "outrun": 0.03,
        "late first": 0.1,
        "asked again": 0.2,
        "crash while concluding": 0.1,
        "restart while concluding": 0.1,
        "stop while concluding": 0.1,
        "cut while concluding": 0.1,
        "rob while concluding": 0.05,
        "recreate while concluding": 0.05,
        "pause holder": 1.0,
        "crash holder": 0.3,
    },
    rates=Rates(
        refused=0.05,
        lost=0.05,
        unanswered=0.05,
        late=0.1,
        twice=0.05,
        failed=0.05,
        failed_after=0.03,
        lied=0.03,
        event_lost=0.02,
        event_late=0.1,
    ),
    stops=0.01,
    walls_wrong=0.15,
    longest_conclusion=9.0,
    holders=(0, 0, 1, 2),
    holder_rates=Rates(lost=0.05, late=0.1, twice=0.05),
    following=0.4,
)

_BARE: dict[str, Any] = {"rates_vary": False, "keep_role": 0.0, "automatic": 0.0, "workers": (1,)}

STALLS = Profile(
    "stalls",  # workers that stop between a read and the renewal it is for, while the role moves
    faults={"stalled": 4.0},
    rates=Rates(deaf=1.0),
    periods=24.0,
    **_BARE,
)
STALLS_SLOWLY = Profile(
    "stalls slowly",  # the same, with operators that get their answers late
    faults={"stalled slowly": 4.0},
    rates=Rates(deaf=1.0),
    durations=(5,),
    periods=24.0,
    **_BARE,
)
FROZEN = Profile("frozen", faults={"frozen": 4.0}, periods=24.0, **_BARE)
NEWCOMERS = Profile(
    "newcomers",  # workers that come unseen by coordinators that do not hear of Leases
    faults={"renewed": 4.0},
    periods=24.0,
    **_BARE,
)
RECREATED = Profile(
    "recreated",  # a federation that is deleted and comes back as another one, for somebody else
    faults={"recreated": 5.0},
    rates=Rates(late=0.3, longest=0.6),
    periods=24.0,
    **_BARE,
)
RECREATED_ONCE_ACTIVE = Profile(
    "recreated once active",  # the same at the worst moment, and with wall clocks that say nothing
    faults={"recreated once active": 8.0},
    periods=24.0,
    wall_runs=False,
    **_BARE,
)
EXPELLED = Profile("expelled", faults={"expelled": 3.0}, periods=24.0, members=(3,), **_BARE)
SET_BACK = Profile(
    "set back",  # a hub that loses its latest tables, and wall clocks that say nothing
    faults={"set back": 1.0},
    periods=8.0,
    durations=(5,),
    members=(2,),
    operators=(1,),
    wall_runs=False,
    **_BARE,
)
SET_BACK_WITHOUT_LEASE = replace(
    SET_BACK, name="set back without lease", faults={"set back without lease": 1.0}
)
SET_BACK_AND_RECREATED = replace(
    SET_BACK, name="set back and recreated", faults={"set back and recreated": 1.0}
)
SET_BACK_AND_SEEN = replace(
    SET_BACK, name="set back and seen", faults={"set back and seen": 1.0}, durations=(2,), operators=(2,)
)
OUTRUN = Profile("outrun", faults={"outrun": 2.0}, members=(2,), periods=20.0, **_BARE)
ROBBED = Profile("robbed", faults={"robbed": 4.0}, periods=24.0, **_BARE)
FORGED = Profile("forged", faults={"absurd": 2.0}, **_BARE)
LIES = Profile("lies", faults={"ask": 10.0}, rates=Rates(lied=0.3), **_BARE)
BEGINNINGS = Profile(
    "beginnings",  # the member that is to become active first has no worker
    faults={"late first": 3.0},
    periods=30.0,
    **_BARE | {"automatic": 1.0},
)
UNHEARD = Profile("unheard", faults={"unheard": 5.0}, periods=24.0, **_BARE)
UNANSWERED = Profile("unanswered", faults={"unanswered": 5.0}, periods=24.0, **_BARE)
ANSWERED_LATE = Profile("answered late", faults={"answered late": 6.0}, durations=(5,), periods=24.0, **_BARE)
SHORTER = Profile(
    "shorter",  # the lease duration is cut as the active worker is cut off
    faults={"shorter": 3.0},
    durations=(5,),
    periods=24.0,
    **_BARE,
)
STRICTER = Profile(
    "stricter",  # so is isolation
    faults={"stricter": 2.0},
    periods=24.0,
    **_BARE | {"keep_role": 1.0},
)
SLEWED = Profile(
    "slewed",  # clocks as far apart as they may be
    faults={"cut and switch": 4.0},
    durations=(5,),
    periods=24.0,
    **_BARE,
)
FADED = Profile("faded", faults={"faded": 4.0}, durations=(5,), periods=24.0, **_BARE)
SLOW_LISTS = Profile(
    "slow lists",  # a coordinator that has nothing but lists, and those come late
    faults={"slow operator": 5.0},
    durations=(2,),
    operators=(1,),
    periods=30.0,
    **_BARE,
)
RACES = Profile(
    "races",  # coordinators and clients that write at the same time
    faults={"ask": 15.0, "stop": 4.0, "crash": 1.0},
    rates=Rates(late=0.1),
    stops=0.01,
    operators=(2, 3),
    **_BARE,
)
OUTAGES = Profile(
    "outages",  # everybody loses the hub, or a coordinator is stopped: nobody is dead
    faults={"hub down": 3.0, "operator stop": 3.0, "operator crash": 1.0, "watch break": 2.0},
    periods=30.0,
    **_BARE | {"automatic": 1.0},
)

FAILOVERS = Profile(
    "failovers",  # active members that die, while what the spec says of failovers changes
    faults={"dead": 3.0, "dead and paused": 2.0, "operator crash": 1.0},
    periods=30.0,
    **_BARE | {"automatic": 1.0},
)

OVERLOAD = Profile(
    "overload",  # operators whose turns come late by seconds, and a hub that throttles them; nothing else
    faults={"overloaded": 1.0},
    durations=(5,),
    periods=40.0,
    operators=(1, 2),
    **_BARE,
)
OVERLOADED_FAILOVERS = Profile(
    "overloaded failovers",  # the same while an active member is replaced
    faults={"overloaded failover": 1.0},
    durations=(2, 3),
    periods=24.0,
    operators=(1, 2),
    **_BARE | {"automatic": 1.0},
)
ONE_LEFT = Profile(
    "one left",  # of several operators, who share the work
    faults={"one left": 1.0},
    durations=(3,),
    periods=24.0,
    operators=(2, 3),
    **_BARE,
)

_FOLLOWING = _BARE | {"automatic": 1.0, "following": 1.0}
ILLNESSES = Profile(
    "illnesses",  # applications that are ill, for a moment or for long, and roles that follow them
    faults={"ill active": 3.0, "flapping": 1.0, "ill": 3.0, "ask": 3.0, "dead": 0.5, "operator crash": 1.0},
    periods=30.0,
    **_FOLLOWING | {"workers": (1, 1, 2)},
)
STUCK = Profile(
    "stuck",  # failovers from ill applications that cannot succeed
    faults={"ill and stuck": 1.0},
    periods=30.0,
    members=(2,),
    **_FOLLOWING,
)
FORCED = Profile("forced", faults={"forced though ill": 3.0}, periods=30.0, members=(2,), **_FOLLOWING)
OUTAGES_OF_THE_HEALTHY = replace(
    OUTAGES, name="outages of the healthy", following=1.0
)  # nobody is ill either

CONCLUSIONS = Profile(
    "conclusions",  # roles that take longer to end than a Lease without renewals lasts; nothing else happens
    faults={"ask": 10.0},
    durations=(2,),
    periods=40.0,
    longest_conclusion=6.0,
    **_BARE,
)
GIVEN_BACK = Profile(
    "given back",  # roles that take so long to end that requests time out meanwhile
    faults={"asked again": 3.0},
    durations=(2,),
    periods=40.0,
    longest_conclusion=14.0,
    **_BARE,
)
_WHILE_CONCLUDING = {
    "crash while concluding": 1.5,
    "restart while concluding": 1.5,
    "stop while concluding": 1.0,
    "cut while concluding": 1.0,
    "rob while concluding": 0.7,
    "recreate while concluding": 0.7,
}
INTERRUPTED = Profile(
    "interrupted",  # something happens to a worker while it concludes
    faults=_WHILE_CONCLUDING,
    periods=24.0,
    longest_conclusion=6.0,
    **_BARE,
)
INTERRUPTED_IN_TROUBLE = Profile(
    "interrupted in trouble",  # the same with two workers each, and much else
    faults={
        **_WHILE_CONCLUDING,
        "asked again": 0.5,
        "ask": 4.0,
        "edit": 1.0,
        "kill member": 0.3,
        "hub down": 0.3,
    },
    rates=Rates(lost=0.02, unanswered=0.02, late=0.05),
    stops=0.003,
    periods=24.0,
    longest_conclusion=9.0,
    **_BARE | {"workers": (1, 2), "automatic": 0.5},
)

HOLDS = Profile(
    "holds",  # holders of all habits, while roles move and the lease duration changes
    faults={"ask": 8.0, "shorter": 1.0, "cut": 1.0, "crash": 0.5, "restart": 1.0, "pause holder": 2.0},
    periods=24.0,
    holders=(1, 2),
    holder_rates=Rates(lost=0.05, late=0.1, twice=0.05),
    **_BARE,
)
SLOW_HOLDERS = Profile(
    "slow holders",  # requests of holders that come late or twice, and many switchovers
    faults={"ask": 30.0},
    periods=40.0,
    holders=(2,),
    holder_rates=Rates(late=0.4, twice=0.2, longest=1.5),
    **_BARE,
)
SHORTER_WHILE_DRAINING = Profile(
    "shorter while draining",  # a write that makes the Lease shorter, and nobody knows whether it succeeded
    faults={"shorter while draining": 4.0},
    durations=(5,),
    periods=24.0,
    holders=(2,),
    habits=("drains",),
    **_BARE,
)
DRAINERS = Profile(
    "drainers",  # holders that always ask for more time; nothing else happens
    faults={"ask": 8.0},
    periods=24.0,
    holders=(1, 2),
    habits=("drains",),
    **_BARE,
)
INTERRUPTED_DRAINERS = Profile(
    "interrupted drainers",  # the same, and their worker stops or is cut off meanwhile
    faults={"cut while concluding": 3.0, "restart while concluding": 3.0},
    periods=24.0,
    holders=(1, 2),
    habits=("drains",),
    **_BARE,
)
PROFILES = {
    profile.name: profile
    for profile in (
        GENERAL,
        STALLS,
        STALLS_SLOWLY,
        FROZEN,
        NEWCOMERS,
        RECREATED,
        RECREATED_ONCE_ACTIVE,
        EXPELLED,
        SET_BACK,
        SET_BACK_WITHOUT_LEASE,
        SET_BACK_AND_RECREATED,
        SET_BACK_AND_SEEN,
        OUTRUN,
        ROBBED,
        FORGED,
        LIES,
        BEGINNINGS,
        UNHEARD,
        UNANSWERED,
        ANSWERED_LATE,
        SHORTER,
        STRICTER,
        SLEWED,
        FADED,
        SLOW_LISTS,
        RACES,
        OUTAGES,
        FAILOVERS,
        OVERLOAD,
        OVERLOADED_FAILOVERS,
        ONE_LEFT,
        ILLNESSES,
        STUCK,
        FORCED,
        OUTAGES_OF_THE_HEALTHY,
        CONCLUSIONS,
        GIVEN_BACK,
        INTERRUPTED,
        INTERRUPTED_IN_TROUBLE,
        HOLDS,
        SLOW_HOLDERS,
        DRAINERS,
        INTERRUPTED_DRAINERS,
        SHORTER_WHILE_DRAINING,
    )
}
