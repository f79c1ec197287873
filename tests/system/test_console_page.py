"""What the page shows and does while its server (a stub) is slow, silent, or changes its mind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.chromium import chromium
from support.stub_console import PLAN, Json, StubConsole, past, selected, summary

SHOP = "/#/prod/shop"
SECONDS = 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    expect.set_options(timeout=10 * SECONDS)
    with contextlib.closing(browser.new_context(locale="en-GB", timezone_id="UTC")) as context:
        context.set_default_timeout(10 * SECONDS)
        yield context


@pytest.fixture
def stub() -> Iterator[StubConsole]:
    with StubConsole() as stub:
        yield stub


@pytest.fixture
def page(context: BrowserContext, stub: StubConsole) -> Page:
    page = context.new_page()
    page.goto(stub.url + SHOP)
    expect(page.locator(".headline")).to_contain_text("cluster_1 is active")
    return page


def hide(page: Page) -> None:
    """As if the user looked at another tab: a headless browser shows all of them."""
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def show(page: Page) -> None:
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_seven_tabs_are_not_one_too_many(context: BrowserContext, stub: StubConsole) -> None:
    """A browser opens six connections to an HTTP/1.1 server, and each tab's stream holds one."""
    pages = []
    for _ in range(7):
        pages.append(context.new_page())
        pages[-1].goto(stub.url + SHOP)
        expect(pages[-1].locator(".headline")).to_contain_text("cluster_1 is active")
        if len(pages) < 7:
            hide(pages[-1])
    hide(pages[-1])
    show(pages[0])
    pages[0].get_by_role("button", name="Toggle", exact=True).click()
    expect(pages[0].locator(".verdict")).to_be_visible()


def test_a_connection_without_any_event_shows_nothing_new(page: Page, stub: StubConsole) -> None:
    """The head of an answer says nothing about federations: what is shown is still the old state."""
    stub.broken = True
    stub.cut()
    expect(page.get_by_role("alert")).to_contain_text("may be wrong by now")
    before = len(stub.tokens)
    stub.streaming.clear()
    stub.broken = False
    toggle = page.get_by_role("button", name="Toggle", exact=True)
    while len(stub.tokens) == before:
        page.wait_for_timeout(100)
    page.wait_for_timeout(1 * SECONDS)
    shown = page.locator(".banner").count(), toggle.is_disabled()
    assert shown == (1, True), "old data is shown as if it were live"


def test_it_says_since_when_it_knows_nothing_new(
    page: Page, context: BrowserContext, stub: StubConsole
) -> None:
    context.set_offline(True)
    page.evaluate("location.hash = '#/prod/other'")
    expect(page.get_by_role("alert")).to_contain_text("may be wrong by now")
    expect(page.get_by_role("alert")).not_to_contain_text("1970")


def test_the_title_claims_nothing_while_the_connection_is_lost(
    page: Page, context: BrowserContext, stub: StubConsole
) -> None:
    """Not even until the browser draws the next frame."""
    expect(page).to_have_title("cluster_1 is active: shop")
    page.evaluate(
        "window.titles = [];"
        "new MutationObserver(() => document.querySelector('[role=alert]') && titles.push(document.title))"
        ".observe(document.body, {childList: true, subtree: true})"
    )
    context.set_offline(True)
    stub.cut()
    expect(page.get_by_role("alert")).to_be_visible()
    titles = page.evaluate("titles")
    assert set(titles) == {"Cluster federations"}


def test_who_has_signed_out_sees_nothing_more(page: Page, context: BrowserContext, stub: StubConsole) -> None:
    stub.user = "ada"
    page.reload()
    expect(page.locator(".user")).to_have_text("ada")
    context.set_offline(True)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_timeout(1 * SECONDS)
    expect(page.get_by_text("cluster_1 is active")).to_have_count(0)
    expect(page.locator(".user")).to_have_count(0)


def test_a_link_that_is_damaged_shows_the_list(context: BrowserContext, stub: StubConsole) -> None:
    page = context.new_page()
    page.goto(stub.url + "/#/%")
    expect(page.get_by_role("link", name="shop")).to_be_visible()


def test_after_a_suspend_nothing_old_is_shown_as_live(
    page: Page, context: BrowserContext, stub: StubConsole
) -> None:
    """While a laptop sleeps, its timers stand still. When it wakes, only the clock has moved on."""
    stub.streaming.clear()
    page.evaluate("() => { const now = Date.now.bind(Date); Date.now = () => now() + 3600e3; }")
    expect(page.locator(".banner")).to_have_count(1, timeout=5 * SECONDS)  # silence alone takes 12 s
    expect(page.get_by_role("button", name="Toggle", exact=True)).to_be_disabled()


def test_a_dialog_does_not_open_by_itself(page: Page, stub: StubConsole) -> None:
    """Somebody deletes the federation while the dialog is open, and creates another one with its name."""
    page.get_by_role("button", name="Toggle", exact=True).click()
    expect(page.locator(".verdict")).to_be_visible()
    stub.send("selected", None)
    expect(page.get_by_text("There is no federation prod/shop")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    stub.send("selected", selected(active="cluster_2"))
    expect(page.locator(".headline")).to_contain_text("cluster_2 is active")
    page.wait_for_timeout(500)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_verdict_is_about_what_will_be_done(page: Page, stub: StubConsole) -> None:
    """A late answer to an earlier question must not replace the answer to the latest."""
    objection = {"reason": "CannotFence", "message": "silent workers"}
    plain = {**PLAN, "lines": ["plain"], "objection": objection}
    forced = {**PLAN, "lines": ["force: you vouch that these workers are dead"]}
    late = threading.Event()

    def post(wish: Json) -> tuple[int, Json]:
        if wish.get("force"):
            late.wait(20)
            return 200, forced
        return 200, plain

    stub.post = post
    page.get_by_role("button", name="Promote cluster_2").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Force the promotion").check()
    dialog.get_by_label("Force the promotion").click()  # no, rather not
    expect(dialog).to_contain_text("silent workers")
    late.set()
    page.wait_for_timeout(1 * SECONDS)
    expect(dialog).not_to_contain_text("you vouch")
    expect(dialog.get_by_role("button", name="Promote cluster_2")).to_be_disabled()


@pytest.mark.parametrize(
    ("status", "heading"),
    [(500, "It is not known whether this was carried out."), (503, "Refused.")],
    ids=["a bug in the operator", "the hub was not reached"],
)
def test_what_is_not_known_is_not_called_refused(
    page: Page, stub: StubConsole, status: int, heading: str
) -> None:
    stub.post = lambda wish: (200, PLAN) if wish.get("dry_run") else (status, {"error": "something"})
    page.get_by_role("button", name="Toggle", exact=True).click()
    page.get_by_role("button", name="Toggle shop").click()
    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("something")
    if status == 500:
        expect(alert).to_contain_text(heading)
    else:
        expect(alert).not_to_contain_text(heading)  # nobody has refused anything


def test_a_dialog_does_not_wait_for_ever(page: Page, stub: StubConsole) -> None:
    never = threading.Event()
    stub.post = lambda _: (never.wait(60), (200, PLAN))[1]
    page.get_by_role("button", name="Toggle", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible(timeout=25 * SECONDS)
    never.set()


def test_the_focus_is_not_lost_when_the_request_is_sent(page: Page, stub: StubConsole) -> None:
    later = threading.Event()
    stub.post = lambda wish: (
        (200, PLAN) if wish.get("dry_run") else (later.wait(5), (200, {"active": "cluster_2"}))[1]
    )
    page.get_by_role("button", name="Toggle", exact=True).click()
    expect(page.locator(".verdict")).to_be_visible()
    page.get_by_label("Reason").fill("exercise")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("In progress")
    try:
        assert page.evaluate("document.activeElement.closest('dialog') !== null")
    finally:
        later.set()


def spans(page: Page, shown: Json, now: int) -> list[Json]:
    """What the timeline shows at that second."""
    found: list[Json] = page.evaluate(
        "async ([shown, now]) => (await import('/timeline.js')).spans(shown, now)", [shown, now + 1795780800]
    )
    return found


def test_the_timeline_ends_when_a_switchover_begins(page: Page) -> None:
    """The active member gives up its role at once; it may take long until another one has it."""
    running = {"from": "cluster_1", "to": "cluster_2", "requestedAt": "2026-11-27T12:00:05Z"}
    shown = selected(active=None, switchover=running)
    (last,) = spans(page, shown, 50)
    assert last["end"] - 1795780800 <= 5, "nobody has been active since, but a bar is drawn up to now"


def test_the_timeline_shows_the_gap_of_a_switchover_that_was_rolled_back(page: Page) -> None:
    gap = past(40, "cluster_1", "cluster_2", "RolledBack", startedAt="2026-11-27T12:00:10Z")
    shown = selected(history=[gap, past(1, None, "cluster_1")])
    found = spans(page, shown, 50)
    covered = [each for each in found if each["begin"] < 1795780825 < each["end"]]
    assert covered == [], "cluster_1 was not active while cluster_2 was to take over"


def test_since_when_a_member_is_active_after_a_rollback(page: Page, stub: StubConsole) -> None:
    gap = past(40, "cluster_1", "cluster_2", "RolledBack", startedAt="2026-11-27T12:00:10Z")
    stub.send("selected", selected(history=[gap, past(1, None, "cluster_1")]))
    expect(page.locator(".history tbody tr")).to_have_count(2)
    expect(page.locator(".headline")).not_to_contain_text("12:00:01")


def test_the_timeline_shows_members_that_have_left(page: Page, stub: StubConsole) -> None:
    """They were active, so the time in which they were must not look as if nobody was."""
    shown = selected(history=[past(5, "cluster_0", "cluster_1"), past(1, None, "cluster_0")])
    stub.send("selected", shown)
    expect(page.locator(".history tbody tr")).to_have_count(2)
    expect(page.locator(".timeline .lane-name")).to_have_text(["cluster_1", "cluster_2", "cluster_0"])


def test_the_same_token_can_be_tried_again(context: BrowserContext, stub: StubConsole) -> None:
    stub.denied = True
    page = context.new_page()
    page.goto(stub.url + SHOP)
    page.get_by_label("Token").fill("abc")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    while len(stub.tokens) < 2:
        page.wait_for_timeout(100)
    page.wait_for_timeout(1 * SECONDS)
    stub.denied = False
    page.get_by_label("Token").fill("abc")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".headline")).to_be_visible()


def test_the_keyboard_reaches_a_federation_without_passing_all_others(
    context: BrowserContext, stub: StubConsole
) -> None:
    stub.federations = [summary(f"queue-{number}") for number in range(100)] + [summary()]
    page = context.new_page()
    page.goto(stub.url + SHOP)
    button = page.get_by_role("button", name="Toggle", exact=True)
    expect(button).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.startsWith('Skip')"):
            page.keyboard.press("Enter")
        if button.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError("Tab has not reached the button after 20 steps")


def test_the_history_can_be_read_on_a_phone(browser: Browser, stub: StubConsole) -> None:
    phone = {"width": 360, "height": 740}
    with contextlib.closing(browser.new_context(locale="en-GB", viewport=phone)) as context:
        page = context.new_page()
        page.goto(stub.url + SHOP)
        outcome = page.get_by_role("cell", name="Succeeded")
        expect(outcome).to_be_visible()
        box = outcome.bounding_box()
        assert box
        assert box["height"] < 60, "a word is broken into pieces"
