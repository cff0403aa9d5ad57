"""The dashboard in a real browser, as its user sees it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import CHECKOUT
from tests.support.browser import Browser, logged_in
from tests.support.deadlines import at_most

from skerry.cloud.components import registry

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Servers, Within

PICTURE = CHECKOUT / "docs/images/horizon.png"


@pytest.fixture(scope="module")
def browser(whole: Cloud, within: Within) -> Iterator[Browser]:
    """A browser that is logged in."""
    with logged_in(whole, within) as found:
        yield found


def test_nobody_gets_in_without_logging_in(cloud: Cloud, browser: Browser) -> None:
    script = "return fetch('/project/instances/', {credentials: 'omit'}).then(answer => answer.url)"
    assert "/auth/login/" in browser.driver.execute_script(script)
    assert "/auth/login/" not in browser.driver.current_url, "who has logged in is in"


def test_server_is_listed(cloud: Cloud, browser: Browser) -> None:
    browser.open("/project/instances/")
    row = browser.find("#instances tbody tr", "first")
    assert "Active" in row.text and "Running" in row.text
    assert cloud.address(cloud.server("first")) in row.text
    if os.environ.get("SKERRY_SCREENSHOTS"):
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        browser.driver.save_screenshot(str(PICTURE))
    browser.click("#instances tbody tr a", "first")
    browser.find("dd", cloud.server("first").id)


def test_each_component_has_its_page(browser: Browser) -> None:
    """The page that a component declares opens for who is logged in, and is not the way to the login."""
    pages = [part.panel for part in registry.components() if part.panel and not part.feature]
    script = """
        return Promise.all(arguments[0].map(page =>
            fetch(page).then(answer => [page, answer.status, new URL(answer.url).pathname])));
    """
    answers = browser.driver.execute_script(script, pages)
    assert len(answers) >= 5
    assert [answer for answer in answers if answer[1] != 200 or answer[2].startswith("/auth/")] == []


def test_a_console_connects_at_once_and_a_dead_link_says_so(cloud: Cloud, browser: Browser) -> None:
    console = cloud.api.compute.create_console(cloud.server("first"), console_type="novnc")
    url = str(console["url"])
    try:
        browser.driver.get(url)
        assert browser.find("#status[data-state=connected]").text == "Connected"
        assert browser.find("#screen canvas").size["width"] > 300
        token = url[-8:]
        browser.driver.get(url[:-8] + ("0" * 8 if token != "0" * 8 else "1" * 8))
        shown = browser.find("#status[data-state=closed]").text
        assert "it has expired" in shown and "openstack console url show" in shown
    finally:
        browser.open("/project/")


def test_a_name_that_the_dashboard_does_not_know_is_explained(cloud: Cloud, browser: Browser) -> None:
    request = urllib.request.Request(browser.url, headers={"Host": "cloud.example.org"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=at_most(30))
    page = refused.value.read().decode()
    assert refused.value.code == 400
    assert "ALLOWED_HOSTS" in page and str(cloud.root / "etc/skerry/horizon/site_settings.py") in page


def test_styles_and_scripts_are_served(cloud: Cloud, browser: Browser) -> None:
    browser.open("/project/instances/")
    browser.find("#instances")
    script = """
        const urls = [...document.querySelectorAll('link[rel=stylesheet]')].map(e => e.href)
            .concat([...document.querySelectorAll('script[src]')].map(e => e.src));
        return Promise.all(urls.map(u => fetch(u).then(a => [u, a.status])));
    """
    answers = browser.driver.execute_script(script)
    assert answers and [url for url, status in answers if status != 200] == []


def test_pages_asked_for_at_once_are_all_served(browser: Browser) -> None:
    """Its threads share what they keep in caches: an answer must not reach another's question."""
    script = """
        const urls = [...Array(90).keys()].map(number => '/auth/login/?number=' + number);
        return Promise.all(urls.map(url => fetch(url, {credentials: 'omit'}).then(answer => answer.status)));
    """
    browser.open("/project/instances/")
    assert set(browser.driver.execute_script(script)) == {200}


def test_what_can_be_said_of_images_is_defined(browser: Browser) -> None:
    script = """
        const url = '/api/glance/metadefs/namespaces/?resource_type=OS::Glance::Image';
        return fetch(url, {headers: {'X-Requested-With': 'XMLHttpRequest'}}).then(answer => answer.text());
    """
    browser.open("/project/images")
    answer = browser.driver.execute_script(script)
    assert len(json.loads(answer)["items"]) > 5


def test_launch_with_the_wizard(cloud: Cloud, servers: Servers, browser: Browser, within: Within) -> None:
    browser.open("/project/instances/")
    browser.click("#instances__action_launch-ng")
    browser.find("wizard input[name=name], #name").send_keys("by-wizard")
    for step, choice in (("Source", "tiny"), ("Flavor", "m1.nano"), ("Networks", "private")):
        browser.click(".wizard-nav a, .nav a", step)
        pick(browser, choice)
    browser.click("button.finish")

    def made() -> Any:
        server = cloud.api.compute.find_server("by-wizard")
        return server and cloud.api.compute.get_server(server)

    server = within(30, "the server of the wizard exists", made)
    servers.undo.append(lambda: servers.delete(server))
    cloud.wait_status(server, "ACTIVE")
    browser.find("#instances tbody tr", "by-wizard")


def pick(browser: Browser, choice: str) -> None:
    """Press the arrow beside a row of the wizard's table of what is available, if it is not chosen yet."""
    script = """
        const shown = e => e.offsetParent !== null;
        const has = e => [...e.querySelectorAll('td')].some(cell => cell.innerText.trim() === arguments[0]);
        const rows = kind => [...document.querySelectorAll(kind + ' tbody tr')].filter(shown).filter(has);
        if (rows('allocated').length || rows('.transfer-allocated').length) return 'chosen';
        for (const row of [...rows('available'), ...rows('.transfer-available')]) {
            const button = row.querySelector('button');
            if (button) { button.click(); return 'pressed'; }
        }
        return '';
    """

    def chosen() -> bool:
        return bool(browser.driver.execute_script(script, choice) == "chosen")

    browser.wait(chosen, f"'{choice}' cannot be chosen")
