"""A promotion of Tarantool that goes on after its script was killed does not outlast `on-passive`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.patience import eventually
from rig.tarantool_site import TarantoolPasswords, TarantoolSite, tarantool

_CALLS = """
local net_box, fiber = require('net.box'), require('fiber')
local promoting, demoting = net_box.connect(os.getenv('SWITCH')), net_box.connect(os.getenv('SWITCH'))
local writable = 0
local function on_passive(term)
    if demoting:call('tcf.make_passive', { term }) ~= nil then
        demoting:call('tcf.settle') -- the other site has it all
    end
end
on_passive(1)
for n = 1, 200 do
    local late = fiber.new(function() pcall(promoting.call, promoting, 'tcf.make_active', { 2 * n }) end)
    late:set_joinable(true)
    fiber.sleep(n % 10 / 10000)
    on_passive(2 * n + 1)
    late:join()
    fiber.sleep(0.01)
    writable = writable + (demoting:call('tcf.state').ro and 0 or 1)
    on_passive(2 * n + 1)
end
demoting:call('tcf.make_active', { 1000 })
assert(not demoting:call('tcf.state').ro, 'a newer call counts')
print(writable)
os.exit(0)
"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TarantoolSite, str]]:
    """One site, and how to connect to it as the user `switch`."""
    tmp_path: Path = tmp_path_factory.mktemp("late-calls")
    passwords = TarantoolPasswords()
    address, peer = (f"127.0.0.1:{free_port()}" for _ in range(2))
    users = {"cluster_1": "app_1", "cluster_2": "app_2"}
    database = TarantoolSite(
        "cluster_1", address, peer, folder=tmp_path, passwords=passwords, users=users, begins=True
    )
    database.start()
    try:
        yield database, f"switch:{passwords.switch}@{address}"
    finally:
        database.close()


def test_a_site_is_read_only_when_on_passive_has_succeeded(site: tuple[TarantoolSite, str]) -> None:
    """The server may carry out a call of a killed script at any time: TCF_TERM tells which call is old."""
    database, switch = site
    environment = database.client_environment | {"SWITCH": switch}

    def answers() -> bool:
        # The right to call this one is the last thing that is created.
        ask = "require('net.box').connect(os.getenv('SWITCH')):call('tcf.state') os.exit(0)"
        return not subprocess.run([tarantool(), "-e", ask], check=False, env=environment).returncode

    eventually(answers, what="Tarantool answers")
    done = subprocess.run(
        [tarantool(), "-e", _CALLS], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.stdout.strip() == "0", done.stderr
