"""The page's modules under Node.js, without a browser, and what the page is made of.

They are pure: a status document in, words and descriptions of elements out.
"""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evertill.twin import console
from evertill.twin.parts.programs import node

HERE = Path(__file__).parent
PAGE = Path(console.__file__).parent
NODE_TIMEOUT_S = 60


class Reader(HTMLParser):
    """Notes the elements of a page and checks that they nest."""

    VOID = {"meta", "link", "use", "path", "br"}  # noqa: RUF012 - it never changes

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()


@pytest.fixture
def page() -> Reader:
    reader = Reader()
    reader.feed((PAGE / "index.html").read_text())
    return reader


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_the_modules_do_what_their_stories_tell(file: Path) -> None:
    done = subprocess.run(
        [node(), "--test", "--test-reporter=spec", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=NODE_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\u2139 fail 0" in done.stdout


def test_the_page_nests_and_names_each_element_once(page: Reader) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert [] == page.open
    assert sorted(set(ids)) == sorted(ids)  # type: ignore[type-var] # every id has a value


def test_every_element_that_the_scripts_look_for_is_on_the_page(page: Reader) -> None:
    ids = {attributes.get("id") for _, attributes in page.elements}
    asked = set(re.findall(r'\bat\("([a-z-]+)"\)', (PAGE / "main.js").read_text()))
    assert asked - {"refusal"} <= ids
    assert 'id: "refusal"' in (PAGE / "faults.js").read_text()


def test_every_label_by_reference_has_its_element(page: Reader) -> None:
    ids = {attributes.get("id") for _, attributes in page.elements}
    told = {attributes.get("aria-labelledby") for _, attributes in page.elements} - {None}
    assert told - {"dialog-title"} <= ids


def test_everything_comes_from_the_page_itself() -> None:
    # The policy under which the page is served allows nothing else.
    for path in PAGE.glob("*.*"):
        text = path.read_text()
        outside = re.findall(r"https?://(?!www\.w3\.org/)[a-z]", text)
        assert not outside or path.name == "__init__.py", path.name
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>", html)


def test_nothing_is_parsed_as_html() -> None:
    unsafe = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\("
    )
    assert [] == [path.name for path in PAGE.glob("*.js") if unsafe.search(path.read_text())]


def test_every_icon_that_is_named_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([a-z]+)"', (PAGE / "icons.svg").read_text()))
    named = set(re.findall(r"icons\.svg#([a-z]+)", (PAGE / "index.html").read_text()))
    for path in PAGE.glob("*.js"):
        named |= set(re.findall(r'\bicon\("([a-z]+)"\)', path.read_text()))
    assert named <= drawn


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.*")), ids=lambda path: path.name)
def test_the_files_of_the_page_keep_the_house_rules_too(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert path.suffix == ".css" or len(lines) <= 400
    assert [] == [line for line in lines if len(line) > 100 and path.suffix in {".js", ".html"}]
    assert path.suffix != ".js" or lines[0].startswith("// ")
