"""A federation as its users see it: bootstrap, switchovers, and what a request comes to."""

from __future__ import annotations

from support.api import Hub, eventually
from support.programs import Programs

ONE_ACTIVE = (
    b'[{"status":"active","name":"cluster1","id":"cluster_1"},'
    b'{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)
TWO_ACTIVE = (
    b'[{"status":"passive","name":"cluster1","id":"cluster_1"},'
    b'{"status":"active","name":"cluster2","id":"cluster_2"}]'
)


def test_a_toggle_swaps_the_roles(hub: Hub, programs: Programs) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()

    answer = two.post("/tcf/toggle")

    assert (answer.status, answer.body) == (200, TWO_ACTIVE)
    assert two.is_active().status == 200
    assert one.is_active().status == 418
    assert two.get("/tcf/clusters").body == TWO_ACTIVE
    eventually(lambda: hub.roles() == {"cluster_1": "passive", "cluster_2": "active"}, what="roles")
