"""The console in a real browser: sign in, see, switch, and lose the operator."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support import rights
from support.chromium import chromium

PHONE = {"width": 360, "height": 740}
EXPECTED = re.compile(r"Failed to load resource: (net::|the server responded with a status of 4)")
"""Chromium logs each answer that is no success, and each broken connection."""
WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`));
"""
SCREENSHOTS = os.environ.get("TCF_SCREENSHOTS")
"""Where to write the pictures of the docs; unset: nowhere."""

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens pages as if by different people. In none of them may anything go wrong."""
    expect.set_options(timeout=PATIENCE * 1000)
    wrong: list[str] = []
    with contextlib.ExitStack() as stack:

        def new(url: str, **options: Any) -> Page:
            context = stack.enter_context(browser.new_context(locale="en-GB", **options))
            context.set_default_timeout(PATIENCE * 1000)
            context.add_init_script(WATCH_POLICY)
            page = context.new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on(
                "console", lambda message: wrong.append(message.text) if message.type == "error" else None
            )
            page.goto(url)
            return page

        yield new
    assert [each for each in wrong if not EXPECTED.match(each)] == []


class Place:
    """A federation, its workers, and two operators: one takes tokens, the other is for this machine only."""

    def __init__(self, hub: HubNamespace, programs: TcfProcesses) -> None:
        hub.apply()
        self.hub = hub
        self.open = _url(programs.operator("--console", "127.0.0.1:0"))
        self.guarded = _url(programs.operator("--console", "127.0.0.1:0", "--auth", "kubernetes"))
        self.workers = dict(zip(("cluster_1", "cluster_2"), programs.pair(), strict=True))
        self.workers["cluster_1"].await_active()

    def shop(self, url: str) -> str:
        return f"{url}/#/{self.hub.namespace}/shop"

    def active_now(self) -> str:
        """The member whose worker answers 200; "" for none."""
        found = [name for name, worker in self.workers.items() if worker.is_active().status == 200]
        assert len(found) < 2
        return found[0] if found else ""

    @property
    def active(self) -> str:
        """The member whose worker answers 200. The console may learn of a promotion before that worker."""
        return eventually(self.active_now, what="a worker answers 200")

    @property
    def passive(self) -> str:
        (found,) = self.workers.keys() - {self.active}
        return found


def _url(operator: TcfProcess) -> str:
    operator.await_ready()
    return f"http://127.0.0.1:{operator.port_for('console')}"


@pytest.fixture(scope="module")
def place(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    programs = TcfProcesses(hub, tmp_path_factory.mktemp("console"))
    try:
        yield Place(hub, programs)
    finally:
        programs.close()


def member(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=f"Member {name}")


def says_active(page: Page, name: str) -> None:
    expect(page.locator(".headline")).to_contain_text(f"{name} is active")
    expect(member(page, name).locator(".role")).to_have_text("active")


def ask_for(page: Page, button: str) -> Locator:
    """Press the button of the page; returns the dialog, with what would happen."""
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".verdict")).to_be_visible()
    return dialog


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def test_a_newcomer_toggles(place: Place, new_page: NewPage) -> None:
    page = new_page(place.open)
    before, after = place.active, place.passive
    says_active(page, before)
    dialog = ask_for(page, "Toggle")
    expect(dialog).to_contain_text(f"then {after} becomes active")
    dialog.get_by_label("Reason").fill("exercise")
    picture(page, "console-dialog")
    dialog.get_by_role("button", name="Toggle shop").click()
    expect(dialog.locator(".done")).to_contain_text(f"{after} is active")
    expect(dialog.get_by_role("log")).to_contain_text("requested by 127.0.0.1 via console")
    assert place.active == after
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    says_active(page, after)
    expect(page.locator("table.history tbody tr").first).to_contain_text("exercise")


def test_promote_and_demote(place: Place, new_page: NewPage) -> None:
    page = new_page(place.shop(place.open))
    before = place.active
    dialog = ask_for(page, f"Demote {before}")
    dialog.get_by_role("button", name=f"Demote {before}").click()
    expect(dialog.locator(".done")).to_contain_text("nobody is active")
    assert place.active_now() == ""
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".headline")).to_contain_text("Nobody is active")
    dialog = ask_for(page, f"Promote {before}")
    dialog.get_by_role("button", name=f"Promote {before}").click()
    expect(dialog.locator(".done")).to_contain_text(f"{before} is active")
    assert place.active == before


def test_it_shows_what_others_do(place: Place, new_page: NewPage) -> None:
    page = new_page(place.shop(place.open))
    says_active(page, place.active)
    after = place.passive
    assert place.workers[after].post("/tcf/promote?reason=by%20curl").status == 200
    says_active(page, after)
    expect(page.locator("table.history tbody tr").first).to_contain_text("by curl")
    expect(page.locator(".heard")).to_contain_text("Succeeded")
    expect(page).to_have_title(re.compile(after))


def test_two_people_at_once(place: Place, new_page: NewPage) -> None:
    one, two = (new_page(place.shop(place.open)) for _ in range(2))
    after = place.passive
    dialogs = [ask_for(page, "Toggle") for page in (one, two)]
    buttons = [dialog.get_by_role("button", name="Toggle shop") for dialog in dialogs]
    buttons[0].click()
    expect(dialogs[0].locator(".done")).to_contain_text(f"{after} is active")
    expect(dialogs[1].get_by_role("alert")).to_contain_text("The roles have changed since you opened this")
    expect(buttons[1]).to_be_disabled()
    assert place.active == after
    dialogs[1].get_by_role("button", name="Check again").click()
    expect(dialogs[1]).to_contain_text(f"then {place.passive} becomes active")
    expect(buttons[1]).to_be_enabled()


def test_with_the_keyboard_alone(place: Place, new_page: NewPage) -> None:
    page = new_page(place.shop(place.open))
    after = place.passive
    button = page.get_by_role("button", name="Toggle", exact=True)
    expect(button).to_be_enabled()
    for _ in range(20):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    page.keyboard.press("Enter")
    reason = page.get_by_label("Reason")
    expect(reason).to_be_visible()
    while not reason.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text(f"{after} is active")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_a_refusal_is_said_before_and_force_asks_for_the_name(
    place: Place, new_page: NewPage, tmp_path: Path
) -> None:
    programs = TcfProcesses(place.hub, tmp_path)
    try:
        place.hub.apply("lonely")
        programs.worker("cluster_1", federation="lonely").await_active()
        page = new_page(f"{place.open}/#/{place.hub.namespace}/lonely")
        dialog = ask_for(page, "Promote cluster_2")
        expect(dialog.get_by_role("alert")).to_contain_text("no worker of cluster_2 is alive")
        button = dialog.get_by_role("button", name="Promote cluster_2")
        expect(button).to_be_disabled()
        dialog.get_by_label("Force the promotion").check()
        typed = dialog.get_by_label("Type cluster_2")
        expect(button).to_be_disabled()
        typed.fill("cluster_1")
        expect(button).to_be_disabled()
        typed.fill("cluster_2")
        expect(button).to_be_enabled()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_have_count(0)
        assert place.hub.status("lonely")["activeCluster"] == "cluster_1"
    finally:
        place.hub.kubectl("delete", "cfed", "lonely", "--wait=false")
        programs.close()


def test_when_the_connection_is_cut_it_says_so(place: Place, new_page: NewPage) -> None:
    with Gate(place.open) as gate:
        gate.open()
        page = new_page(place.shop(gate.server))
        before, after = place.active, place.passive
        says_active(page, before)
        toggle = page.get_by_role("button", name="Toggle", exact=True)
        for cut in (gate.close, gate.silence):
            cut()
            banner = page.get_by_role("alert")
            expect(banner).to_contain_text("may be wrong by now", timeout=2 * PATIENCE * 1000)
            picture(page, "console-not-connected")
            expect(toggle).to_be_disabled()
            assert place.workers[after].post("/tcf/promote").status == 200
            says_active(page, before)  # the page cannot know
            gate.close()
            gate.open()
            expect(banner).to_have_count(0)
            says_active(page, after)
            expect(toggle).to_be_enabled()
            before, after = after, before


def test_sign_in(place: Place, new_page: NewPage) -> None:
    hub = place.hub
    for person in ("stranger", "viewer", "switcher"):
        granted = rights.grant(rights.account(hub, person), *rights.PEOPLE[person])
        rights.create(hub, rights.new_account(person), *granted if rights.PEOPLE[person] else [])
    page = new_page(place.shop(place.guarded))
    expect(page.get_by_label("Token")).to_be_visible()
    sign_in(page, "junk")
    expect(page.get_by_role("alert")).to_contain_text("the token is not valid")

    sign_in(page, rights.token(hub, "stranger"))
    expect(page.get_by_text("There are no federations that you are allowed to see.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    sign_in(page, rights.token(hub, "viewer"))
    says_active(page, place.active)
    expect(page.get_by_role("button", name="Toggle", exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Promote|Demote"))).to_have_count(0)
    page.reload()
    expect(page.locator(".user")).to_contain_text(":viewer")
    page.get_by_role("button", name="Sign out").click()

    after = place.passive
    sign_in(page, rights.token(hub, "switcher"))
    dialog = ask_for(page, "Toggle")
    dialog.get_by_role("button", name="Toggle shop").click()
    expect(dialog.locator(".done")).to_contain_text(f"{after} is active")
    assert place.active == after
    assert hub.status()["history"][0]["requestedBy"].endswith(":switcher via console")


def test_many_federations_can_be_found(place: Place, new_page: NewPage) -> None:
    names = [f"queue-{number}" for number in range(12)]
    page = new_page(place.open)
    expect(page.get_by_role("link", name="shop")).to_be_visible()
    for name in names:
        place.hub.apply(name, activeCluster=None)
    expect(page.get_by_role("link", name="queue-")).to_have_count(len(names))
    page.get_by_label("Filter by name").fill("queue-11")
    expect(page.locator(".list tbody tr")).to_have_count(1)
    page.get_by_label("Filter by name").fill("")
    page.get_by_role("button", name="1 Ready").click()
    expect(page.locator(".list tbody tr")).to_have_count(1)
    place.hub.kubectl("delete", "cfed", *names, "--wait=false")
    expect(page.get_by_role("link", name="queue-")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [None, PHONE], ids=["desk", "phone"])
def test_everybody_can_use_it(
    place: Place, new_page: NewPage, scheme: str, size: dict[str, int] | None
) -> None:
    options = {"color_scheme": scheme, **({"viewport": size} if size else {})}
    signing_in = new_page(place.guarded, **options)
    expect(signing_in.get_by_label("Token")).to_be_visible()
    page = new_page(place.shop(place.open), **options)
    says_active(page, place.active)
    if (size is None) == (scheme == "light"):
        picture(page, f"console-{'phone' if size else 'desk'}-{scheme}")
    found = {"sign in": _found(signing_in), "federation": _found(page)}
    ask_for(page, "Toggle")
    found["dialog"] = _found(page)
    page.keyboard.press("Escape")
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, "the page must not scroll sideways"
    if size:
        page.get_by_role("link", name="All federations").click()
        found["list"] = _found(page)
    assert found == {view: [] for view in found}


def _found(page: Page) -> list[str]:
    """What axe-core objects to."""
    violations = Axe().run(page).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['help']}" for each in violations]


def test_an_operator_that_starts_again_is_found(place: Place, new_page: NewPage, tmp_path: Path) -> None:
    programs = TcfProcesses(place.hub, tmp_path)
    try:
        operator = programs.operator("--console", "127.0.0.1:0")
        address = _url(operator).removeprefix("http://")
        page = new_page(place.shop(_url(operator)))
        says_active(page, place.active)
        assert operator.stop() == 0
        expect(page.get_by_role("alert")).to_be_visible()
        programs.operator("--console", address)
        expect(page.get_by_role("alert")).to_have_count(0)
        says_active(page, place.active)
    finally:
        programs.close()
