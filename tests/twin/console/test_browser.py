"""The page in a real browser: what is seen, keyboard, colours, and what becomes of a lost twin.

`make test-console` runs this; it needs Chromium, which the environment does not bring.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.console import MadeUpTwin, serving

ALONE = "EVERTILL_TEST_CONSOLE"
pytestmark = pytest.mark.skipif(
    not os.environ.get(ALONE), reason="`make test-console` drives a browser"
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "`make test-console` needs Chromium, and none of chromium, chromium-browser and google-chrome "
    "is on the path: install it (Debian, Ubuntu: apt-get install chromium) and run it again."
)
SHOTS = Path(__file__).parents[3] / "build" / "console"
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
STATUS_EVERY_S = 0.1
TIMEOUT_MS = 10_000
TABS_MAX = 40
CONTRAST_MIN = 4.5
TARGET_MIN_PX = 24
# Of a twin that is gone or refuses, browsers tell on their own account.
TOLERATED = ("net::ERR_", "status of 409")
CONTRASTS = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.exit(MISSING, returncode=1)
    api = import_module("playwright.sync_api")
    with api.sync_playwright() as driver:
        # A container's root has no user namespaces to build Chromium's sandbox from.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def twin() -> MadeUpTwin:
    return MadeUpTwin(STATUS_EVERY_S)


@pytest.fixture
def url(twin: MadeUpTwin) -> Iterator[str]:
    with serving(twin) as url:
        yield url


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Any]:
    """Open the page, and fail at the end if it complained to the browser's console."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(viewport: dict[str, int] = WIDE, **options: Any) -> Any:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else 0,
        )
        page.goto(url)
        page.wait_for_selector("#connection[data-state=live]")
        page.wait_for_selector("#page:not([hidden])")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [] == [said for said in complaints if not any(text in said for text in TOLERATED)]


def sentence(page: Any) -> str:
    return " ".join(page.inner_text("#sentence-text").split())


def says(page: Any, text: str) -> None:
    page.wait_for_function(
        "text => document.getElementById('sentence-text').textContent.includes(text)", arg=text
    )


def focused(page: Any, attribute: str) -> str | None:
    found: str | None = page.evaluate(
        "name => document.activeElement?.getAttribute(name)", attribute
    )
    return found


def tab_to(page: Any, selector: str, key: str = "Tab") -> None:
    """Reach an element by the Tab key alone, as who has no mouse must."""
    for _ in range(TABS_MAX):
        if page.evaluate("one => document.activeElement?.matches(one)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{selector} is not reached by {TABS_MAX} presses of Tab")


def test_who_opens_the_page_reads_what_runs_where(open_page: Any) -> None:
    page = open_page()
    assert sentence(page).startswith("us-east-1 takes payments. us-east-2 follows 0.")
    assert "us-east-1" in page.inner_text("#clients")
    assert 2 == page.locator(".region").count()
    assert 6 == page.locator("[data-zone]").count()
    assert 4 == page.locator("[data-task]").count()
    assert 4 == page.locator("[data-instance]").count()
    assert 1 == page.locator("[data-wire='clients>us-east-1'][data-tone=ok] .tip").count()
    assert 4 == page.locator("[data-chart]").count()


def test_a_zone_is_lost_by_two_presses_and_comes_back_by_one(open_page: Any) -> None:
    page = open_page()
    page.click("[data-zone=us-east-1b] button")
    page.click("#dialog button[data-fault-kind=lose-zone]")
    says(page, "us-east-1b is lost")
    assert "1 alarm: ecs-low-task-count-dev" in sentence(page)
    assert "us-east-1b is lost" in page.inner_text("#announcement")
    assert "bad" == page.get_attribute("#sentence", "data-tone")
    assert 2 == page.locator("[data-region=us-east-1] [data-task]").count()
    page.wait_for_selector("[data-alarm='us-east-1/ecs-low-task-count-dev'][data-state=ALARM]")
    page.wait_for_selector("[data-kind='fault.set']")
    page.click("[data-fault] button")
    page.wait_for_selector("#active", state="hidden")
    says(page, "us-east-1 takes payments")


def test_a_mail_is_read_as_text(open_page: Any, twin: MadeUpTwin) -> None:
    page = open_page()
    twin.set({"fault": "lose-zone", "zone": "us-east-1b"})
    page.click("[data-mail] button")
    assert "<b>is</b> ALARM" in page.inner_text("[data-mail-body]")


def test_markup_in_an_event_stays_text(open_page: Any, twin: MadeUpTwin) -> None:
    page = open_page()
    twin.tell("us-east-1", "task.started", "<img src=x onerror=alert(1)><b>x</b>")
    page.wait_for_selector("[data-kind='task.started']")
    assert "<img src=x" in page.inner_text("[data-kind='task.started']")
    assert 0 == page.locator("#timeline img").count()


def test_what_cannot_be_done_here_is_said_where_it_was_asked(open_page: Any) -> None:
    page = open_page()
    page.click("#faults [data-fault-kind=fill-disk]")
    page.click("#dialog button[type=submit]")
    page.wait_for_function("document.getElementById('refusal').textContent.includes('tmpfs')")


def test_a_fault_with_numbers_is_set_from_the_panel(open_page: Any, twin: MadeUpTwin) -> None:
    page = open_page()
    page.click("#faults [data-fault-kind=delay-link]")
    page.select_option("#dialog select", index=1)
    page.fill("#dialog input[name=delay_ms]", "250")
    page.click("#dialog button[type=submit]")
    page.wait_for_selector("[data-fault]")
    expected = {"from": "us-east-2", "to": "us-east-1", "delay_ms": 250}
    assert expected == twin.active[0]["parameters"]


def test_everything_can_be_done_by_keyboard(open_page: Any) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert "#faults-title" == focused(page, "href")
    tab_to(page, "[data-task]")
    task = focused(page, "data-task")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert "solid" == outline
    page.keyboard.press("Enter")
    page.wait_for_selector("#dialog[open]")
    assert page.evaluate("document.activeElement.closest('#dialog') !== null")
    page.keyboard.press("Escape")
    page.wait_for_selector("#dialog", state="hidden")
    assert task == focused(page, "data-task")
    page.keyboard.press("Enter")
    tab_to(page, "#dialog [data-fault-kind=freeze-task]")
    page.keyboard.press("Enter")
    says(page, "1 task of us-east-1 is frozen")
    tab_to(page, "[data-action=undo-all]", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#active", state="hidden")


def test_the_focus_stays_where_it_is_while_the_page_changes(open_page: Any, url: str) -> None:
    page = open_page()
    page.focus("[data-region=us-east-1] [data-task] >> nth=2")
    task = focused(page, "data-task")
    before = page.inner_text("[data-chart=payments] [data-last=us-east-1]")
    page.request.post(f"{url}/faults", data={"fault": "lose-zone", "zone": "us-east-1b"})
    says(page, "us-east-1b is lost")
    page.wait_for_function(
        "text => document.querySelector('[data-last=us-east-1]').textContent !== text", arg=before
    )
    assert task == focused(page, "data-task")


def test_a_twin_that_is_gone_is_told_and_found_again(browser: Any, twin: MadeUpTwin) -> None:
    page = browser.new_page()
    with serving(twin) as url:
        page.goto(url)
        page.wait_for_selector("[data-event='3']")
    page.wait_for_selector("#connection[data-state=gone]", timeout=20_000)
    says(page, "The twin has not answered for")
    twin.tell("us-east-1", "task.started", "meanwhile")
    with serving(twin, int(url.rpartition(":")[2])):
        page.wait_for_selector("#connection[data-state=live]", timeout=20_000)
        page.wait_for_selector("[data-event='4']")
        assert 4 == page.locator("[data-event]").count()
        page.close()
    assert "3" in twin.last_ids


def test_another_twin_at_the_same_address_begins_a_new_page(browser: Any, twin: MadeUpTwin) -> None:
    page = browser.new_page()
    with serving(twin) as url:
        page.goto(url)
        page.wait_for_selector("[data-event='3']")
    other = MadeUpTwin(STATUS_EVERY_S)
    other.began_s += 400
    other.events.clear()
    other.tell("", "task.started", "a new beginning")
    with serving(other, int(url.rpartition(":")[2])):
        page.wait_for_selector("text=a new beginning", timeout=20_000)
        page.wait_for_function("document.querySelectorAll('[data-event]').length === 1")
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280", "390"])
def test_the_page_can_be_read(
    open_page: Any, twin: MadeUpTwin, viewport: dict[str, int], scheme: str
) -> None:
    page = open_page(viewport, color_scheme=scheme)
    name = f"{viewport['width']}-{scheme}.png"
    page.screenshot(path=SHOTS / f"steady-{name}", full_page=True)
    twin.set({"fault": "lose-zone", "zone": "us-east-1b"})
    twin.set({"fault": "freeze-task", "task": twin.base["regions"]["us-east-1"]["tasks"][2]["id"]})
    twin.set({"fault": "cut-link", "from": "us-east-1", "to": "us-east-2"})
    says(page, "us-east-1b is lost")
    page.wait_for_selector("#links li")
    page.screenshot(path=SHOTS / f"broken-{name}", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert [] == page.evaluate(CONTRASTS, CONTRAST_MIN)
    small = page.evaluate(
        """least => [...document.querySelectorAll("button, summary")]
            .filter((one) => one.offsetParent !== null)
            .map((one) => [one.textContent, one.getBoundingClientRect()])
            .filter(([, box]) => Math.min(box.width, box.height) < least)
            .map(([text, box]) => `${text} ${box.width}x${box.height}`)""",
        TARGET_MIN_PX,
    )
    assert [] == small


def test_nothing_moves_for_who_does_not_want_it(open_page: Any) -> None:
    assert 0 < open_page().evaluate("document.getAnimations().length")
    page = open_page(reduced_motion="reduce")
    assert 0 == page.evaluate("document.getAnimations().length")
