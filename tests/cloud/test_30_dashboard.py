"""The dashboard in a real browser, as its user sees it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from kit import Cloud, Servers, Within

PATIENCE = 60  # seconds for a page
DRIVER_PORT = 19515
PICTURE = Path(__file__).resolve().parents[2] / "docs/images/horizon.png"


class Browser:
    """A browser on the machine, and what a user does with it."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def find(self, css: str, text: str = "") -> WebElement:
        """The first visible element that has the text, waited for."""

        def look(driver: Any) -> WebElement | None:
            for element in driver.find_elements(By.CSS_SELECTOR, css):
                if element.is_displayed() and text in element.text:
                    return element
            return None

        ignored = [WebDriverException]  # a page that is being drawn again
        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=ignored)
        return wait.until(look, f"no '{css}' with '{text}' on {self.driver.current_url}")

    def click(self, css: str, text: str = "") -> None:
        def press(driver: Any) -> bool:
            for element in driver.find_elements(By.CSS_SELECTOR, css):
                if element.is_displayed() and element.is_enabled() and text in element.text:
                    element.click()
                    return True
            return False

        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[WebDriverException])
        wait.until(press, f"nothing to press: '{css}' with '{text}' on {self.driver.current_url}")


@pytest.fixture(scope="module")
def browser(whole: Cloud, within: Within) -> Iterator[Browser]:
    """A browser that is logged in."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("not installed: chromium, chromium-driver")
    host = whole.host
    with host.network():
        service = host.popen([chromedriver, f"--port={DRIVER_PORT}"])
        driver = None
        try:
            within(30, "the browser's driver answers", lambda: whole.accepts("127.0.0.1", DRIVER_PORT))
            options = webdriver.ChromeOptions()
            options.binary_location = chromium
            profile = host.folder / "browser"
            arguments = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,860")
            for argument in (*arguments, f"--user-data-dir={profile}"):
                options.add_argument(argument)
            driver = webdriver.Remote(f"http://127.0.0.1:{DRIVER_PORT}", options=options)
            driver.set_page_load_timeout(PATIENCE)
            endpoint = json.loads(whole.run("status", "--json").stdout)["endpoints"]["horizon"]
            browser = Browser(driver, endpoint)
            browser.open("/auth/login/")
            password = json.loads((whole.root / "etc/skerry/secrets.json").read_text())["admin"]
            browser.find("#id_username").send_keys("admin")
            browser.find("#id_password").send_keys(password)
            browser.click("#loginBtn")
            browser.find(".navbar", "admin")
            yield browser
        finally:
            if driver is not None:
                driver.quit()
            service.end()


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

    def chosen(driver: Any) -> bool:
        return bool(driver.execute_script(script, choice) == "chosen")

    WebDriverWait(browser.driver, PATIENCE).until(chosen, f"'{choice}' cannot be chosen")
