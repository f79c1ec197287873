"""The transition table, exhaustively: every table, every row, every assignment of roles."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from tcf.core.model import MemberStatus, Role, Status
from tcf.core.transitions import IllegalTransitionError, Row, all_passive, move, with_members
from unit.build import TERM, ids, roles_of, rows, status

A, P, PRO, DEM = Role.ACTIVE, Role.PASSIVE, Role.PROMOTING, Role.DEMOTING

LEGAL: dict[Row, list[tuple[Role, Role]]] = {
    Row.DEMOTE: [(A, DEM)],
    Row.KEEP: [(DEM, A)],
    Row.RETIRE: [(DEM, P)],
    Row.HAND_OVER: [(DEM, P), (P, PRO)],
    Row.PROMOTE: [(P, PRO)],
    Row.COMPLETE: [(PRO, A)],
    Row.YIELD: [(PRO, P)],
    Row.GIVE_BACK: [(PRO, P), (P, A)],
}


def tables(count: int) -> Iterator[Status]:
    """Every table of `count` members with at most two of them engaged."""
    for roles in itertools.product(Role, repeat=count):
        if sum(role.engaged for role in roles) <= 2:
            yield status(" ".join(roles))


def assignments(count: int) -> Iterator[dict[str, Role]]:
    """Every choice of members and of new roles for them."""
    for roles in itertools.product((*Role, None), repeat=count):
        yield {member: role for member, role in zip(ids(count), roles, strict=True) if role}


def engaged(roles: list[Role]) -> int:
    return sum(role.engaged for role in roles)


def test_the_test_knows_every_row() -> None:
    assert set(LEGAL) == set(Row)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("row", Row)
def test_only_what_the_table_says_is_accepted(row: Row, count: int) -> None:
    accepted = 0
    for table, roles in itertools.product(tables(count), assignments(count)):
        before = {m.id: m.role for m in table.clusters}
        after = before | roles
        moves = Counter((before[member], role) for member, role in roles.items())
        legal = (
            moves == Counter(LEGAL[row])
            and engaged([*before.values()]) <= 1
            and engaged([*after.values()]) <= 1
        )
        try:
            result = move(table, row, roles)
        except IllegalTransitionError:
            assert not legal, f"{row} refused {roles} in {roles_of(table)}"
            continue
        accepted += 1
        assert legal, f"{row} accepted {roles} in {roles_of(table)}"
        assert result.term == TERM + 1
        assert {m.id: m.role for m in result.clusters} == after
        assert result.active_cluster == next((m for m, role in after.items() if role is A), "")
    assert accepted >= count


@pytest.mark.parametrize("row", Row)
def test_a_member_that_the_table_lacks_cannot_move(row: Row) -> None:
    for table, role in itertools.product(tables(2), Role):
        with pytest.raises(IllegalTransitionError):
            move(table, row, {"c9": role})


def test_a_stranger_next_to_a_legal_move_is_refused() -> None:
    with pytest.raises(IllegalTransitionError, match="DEMOTE"):
        move(status("active passive"), Row.DEMOTE, {"c1": DEM, "c9": P})


def test_a_move_leaves_everything_else_alone() -> None:
    table = status("active passive", workers=3, live=2, observed_generation=7)
    result = move(table, Row.DEMOTE, {"c1": DEM})
    assert [(m.name, m.workers, m.live_workers) for m in result.clusters] == [
        ("name-c1", 3, 2),
        ("name-c2", 3, 2),
    ]
    assert result.observed_generation == 7


def test_all_passive_raises_the_term() -> None:
    for table in tables(3):
        if engaged([m.role for m in table.clusters]) > 1:
            continue
        result = all_passive(table, TERM + 5)
        assert roles_of(result) == "passive passive passive"
        assert result.term == TERM + 5
        assert result.active_cluster == ""


@pytest.mark.parametrize("term", [0, TERM - 1, TERM])
def test_all_passive_never_lowers_it(term: int) -> None:
    with pytest.raises(IllegalTransitionError):
        all_passive(status("active passive"), term)


def member(name: str, role: Role = P) -> MemberStatus:
    return MemberStatus(name, f"name-{name}", role)


@pytest.mark.parametrize(
    ("members", "raised"),
    [
        pytest.param(rows("active passive"), 0, id="nothing"),
        pytest.param((member("c1", A), MemberStatus("c2", "new name", P)), 0, id="renamed"),
        pytest.param((member("c2"), member("c1", A)), 0, id="reordered"),
        pytest.param((*rows("active passive"), member("c3")), 1, id="joined"),
        pytest.param((member("c1", A),), 1, id="left"),
        pytest.param((member("c1", A), member("c3")), 1, id="replaced"),
    ],
)
def test_with_members_raises_the_term_when_one_joins_or_leaves(
    members: tuple[MemberStatus, ...], raised: int
) -> None:
    result = with_members(status("active passive"), members)
    assert (result.clusters, result.term, result.active_cluster) == (members, TERM + raised, "c1")


@pytest.mark.parametrize("role", [A, PRO, DEM])
def test_with_members_never_changes_a_role(role: Role) -> None:
    table = status(f"{role} passive")
    for wrong in [
        (member("c2"),),  # the engaged one has vanished
        (member("c1"), member("c2")),  # ... or has become passive
        (member("c1", role), member("c2"), member("c3", A)),  # one joins engaged
        (member("c1", role), member("c2", PRO)),
    ]:
        with pytest.raises(IllegalTransitionError, match="when membership changes"):
            with_members(table, wrong)
