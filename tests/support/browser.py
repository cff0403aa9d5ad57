"""A real browser on a cloud's machine, logged in to the dashboard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.deadlines import at_most

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

T = TypeVar("T")
TIMEOUT = 60  # seconds for a page
DRIVER_PORT = 19515


class Browser:
    """A browser on the machine, and what a user does with it."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def wait(self, look: Callable[[], T | None], wrong: str) -> T:
        """What ``look`` finds in the page, asked again and again; fails with what the page shows instead."""
        ignored = [WebDriverException]  # a page that is being drawn again
        wait = WebDriverWait(self.driver, at_most(TIMEOUT), ignored_exceptions=ignored)
        try:
            found: T = wait.until(lambda _: look() or False)
            return found
        except TimeoutException:
            text = self.driver.find_element(By.TAG_NAME, "body").text
            raise AssertionError(f"{wrong} on {self.driver.current_url}, which shows:\n{text}") from None

    def find(self, css: str, text: str = "") -> WebElement:
        """The first visible element that has the text, waited for."""

        def look() -> WebElement | None:
            elements: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, css)
            for element in elements:
                if element.is_displayed() and text in element.text:
                    return element
            return None

        return self.wait(look, f"no '{css}' with '{text}'")

    def click(self, css: str, text: str = "") -> None:
        def press() -> bool:
            elements: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, css)
            for element in elements:
                if element.is_displayed() and element.is_enabled() and text in element.text:
                    element.click()
                    return True
            return False

        self.wait(press, f"nothing to press: '{css}' with '{text}'")


@contextmanager
def logged_in(cloud: Cloud, within: Within) -> Iterator[Browser]:
    """A browser in which the administrator has logged in; skips the test where there is none."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("not installed: chromium, chromium-driver")
    host = cloud.host
    with host.network():
        service = host.popen([chromedriver, f"--port={DRIVER_PORT}"])
        driver = None
        try:
            within(30, "the browser's driver answers", lambda: cloud.accepts("127.0.0.1", DRIVER_PORT))
            options = webdriver.ChromeOptions()
            options.binary_location = chromium
            for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,860"):
                options.add_argument(argument)
            driver = webdriver.Remote(f"http://127.0.0.1:{DRIVER_PORT}", options=options)
            driver.set_page_load_timeout(at_most(TIMEOUT))
            driver.set_script_timeout(at_most(TIMEOUT))
            browser = Browser(
                driver, json.loads(cloud.run("status", "--json").stdout)["endpoints"]["horizon"]
            )
            browser.open("/auth/login/")
            browser.find("#id_username").send_keys("admin")
            browser.find("#id_password").send_keys(cloud.run("secrets", "show", "admin").stdout.strip())
            browser.click("#loginBtn")
            browser.find(".navbar", "admin")
            yield browser
        finally:
            if driver is not None:
                driver.quit()
            service.end()
