"""The demo of authentication: a person without a token, one without rights, and a grant."""

from __future__ import annotations

import json
import time

from rig.asking import Answer

from demo.demo_federation import DemoFederation
from demo.demo_home import FEDERATION, NAMESPACE, PATIENCE, DemoError, say
from demo.demo_hub import DemoHub

AUDIENCE = "tcf.dev"
_SHOWN = 16
_SWITCH = {"apiGroups": ["tcf.dev"], "resources": ["clusterfederations/switchover"], "verbs": ["create"]}


def auth_session(hub: DemoHub, federation: DemoFederation) -> None:
    """Play the session; raise DemoError at the first answer that is not as expected."""
    session = AuthSession(hub, federation)
    session.ask_without_token()
    session.ask_without_right()
    session.grant_and_ask()
    session.show_the_record()
    say("Every answer was as expected.")


class AuthSession:
    """Answers of the worker of cluster_2, which has `--auth kubernetes`."""

    def __init__(self, hub: DemoHub, federation: DemoFederation) -> None:
        self._hub = hub
        self._federation = federation
        self._token = ""

    def ask_without_token(self) -> None:
        say("\nA probe needs no token. A request to move the role needs one:")
        self._expect("GET", "/tcf/is_active", 418)
        self._expect("POST", "/tcf/promote", 401)

    def ask_without_right(self) -> None:
        say("\nAlice has an account, and gets a token for this program only:")
        say(f"  kubectl -n {NAMESPACE} create serviceaccount alice")
        say(f"  kubectl -n {NAMESPACE} create token alice --audience {AUDIENCE}")
        self._token = self._hub.new_account("alice", audience=AUDIENCE)
        say(f"  {self._token[:_SHOWN]}...")
        say("The worker has the hub review it. Alice is known, but she has no rights yet:")
        self._expect("POST", "/tcf/promote", 403)

    def grant_and_ask(self) -> None:
        say("\nSomebody grants her the right:")
        say(f"  kubectl -n {NAMESPACE} create role switcher --verb=create \\")
        say("    --resource=clusterfederations.tcf.dev/switchover")
        say(f"  kubectl -n {NAMESPACE} create rolebinding alice --role=switcher \\")
        say(f"    --serviceaccount={NAMESPACE}:alice")
        self._hub.grant("alice", "switcher", _SWITCH)
        say("That counts within two seconds:")
        deadline = time.monotonic() + PATIENCE
        while self._status("POST", "/tcf/promote") != 200 and time.monotonic() < deadline:  # noqa: PLR2004
            time.sleep(1)
        self._expect("POST", "/tcf/promote", 200)
        self._expect("GET", "/tcf/is_active", 200)
        say("It does not cover force, which takes a right of its own:")
        self._expect("POST", "/tcf/promote?force=true", 403)

    def show_the_record(self) -> None:
        say(f"\nThe history of {FEDERATION} says who it was:")
        past = self._hub.latest_in_history()
        say(f"  {past['outcome']}: to {past['to']}, requested by {past['requestedBy']}, id {past['id']}")
        say("So does the audit log of the worker, which also has the refusals:")
        for entry in map(json.loads, self._federation.audit("cluster_2").splitlines()):
            user, code = entry["user"]["username"], entry["responseStatus"]["code"]
            outcome = entry["annotations"].get("tcf.dev/outcome", "")
            say(f"  {code} {outcome:15} {entry['requestURI']}  {user}")

    def _expect(self, method: str, path: str, status: int) -> None:
        answer = self._federation.ask(method, "cluster_2", path, token=self._token)
        found = answer if isinstance(answer, str) else f"{answer.status} {answer.body.decode()}"
        say(f"  {method:4} {path:24} -> {found}")
        if not isinstance(answer, Answer) or answer.status != status:
            raise DemoError(f"expected {status}")

    def _status(self, method: str, path: str) -> int:
        answer = self._federation.ask(method, "cluster_2", path, token=self._token)
        return answer.status if isinstance(answer, Answer) else 0
