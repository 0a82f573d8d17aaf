"""The OpenAPI document and the page that shows it: true, valid, and in need of no other host."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.support.service import Service

from evertill.service import docs, openapi
from evertill.service.openapi import document
from evertill.service.routes import ROUTES

ASSETS = resources.files("evertill.service") / "assets"


class References(HTMLParser):
    """Collects what a page refers to, and whether any script or style stands in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.found += [named[name] or "" for name in ("src", "href") if name in named]
        self.inline |= tag == "style" or (tag == "script" and "src" not in named)
        self.inline |= any(name == "style" or name.startswith("on") for name in named)


def test_the_committed_document_is_the_generated_one() -> None:
    committed = (ASSETS / "openapi.json").read_text()
    assert openapi.render() == committed, "run: make openapi"


def test_the_document_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_the_document_is_the_same_every_time() -> None:
    assert openapi.render() == openapi.render()


def test_every_route_is_documented_under_an_id_of_its_own() -> None:
    operations = [
        operation["operationId"]
        for path in document()["paths"].values()
        for operation in path.values()
    ]
    assert len(ROUTES) == len(set(operations))


def test_links_lead_to_operations_and_parameters_that_exist() -> None:
    operations = {
        operation["operationId"]: {p["name"] for p in operation.get("parameters", [])}
        for path in document()["paths"].values()
        for operation in path.values()
    }
    links = re.findall(
        r'"operationId": "(\w+)",\s+"parameters": {\s+"(\w+)"', json.dumps(document(), indent=1)
    )
    assert [] != links
    assert [] == [link for link in links if link[1] not in operations[link[0]]]


def test_operations_that_move_money_require_a_key() -> None:
    requiring = {
        operation["operationId"]
        for path in document()["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key" and parameter["required"]
    }
    assert {"createPayment", "capturePayment", "cancelPayment", "refundPayment"} == requiring


def test_the_document_is_served(shared_service: Service) -> None:
    answer = httpx.get(f"{shared_service.url}/openapi.json")
    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert document() == answer.json()


def test_all_that_the_page_refers_to_is_served_here(shared_service: Service) -> None:
    page = httpx.get(f"{shared_service.url}/docs")
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    references = [found for found in References(page.text).found if not found.startswith("data:")]
    assert {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"} < set(references)
    for reference in references:
        assert 200 == httpx.get(f"{shared_service.url}/{reference}").status_code


def test_the_page_holds_no_script_or_style_of_its_own() -> None:
    assert not References((ASSETS / "docs.html").read_text()).inline


def test_the_page_may_load_nothing_from_and_send_nothing_to_another_host(
    shared_service: Service,
) -> None:
    policy = httpx.get(f"{shared_service.url}/docs").headers["content-security-policy"]
    sources = {word for rule in policy.split("; ") for word in rule.split(" ")[1:]}
    assert {"'none'", "'self'", "'unsafe-inline'", "data:"} == sources
    assert "script-src 'self';" in policy


@pytest.mark.parametrize("name", ["docs.html", "start.js", "swagger-ui.css"])
def test_our_files_and_the_style_sheet_name_no_other_host_to_load_from(name: str) -> None:
    text = (ASSETS / name).read_text()
    loads = re.findall(
        r"url\(\s*[\"']?(?!data:)[^)]*|@import[^;]*|//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", text
    )
    # Inside data: images, XML names its vocabulary by an address that nobody asks.
    assert [] == [load for load in loads if "www.w3.org/2000/svg" not in load]


def test_the_validator_of_another_host_is_switched_off() -> None:
    assert "validatorUrl: null" in (ASSETS / "start.js").read_text()


def test_the_license_of_the_shipped_page_is_shipped_too() -> None:
    text = (ASSETS / "swagger-ui.LICENSE").read_text()
    assert "Apache License" in text
    assert "SmartBear" in text


@pytest.mark.parametrize("name", sorted(docs.MEDIA_TYPES))
def test_an_asset_keeps_its_media_type(shared_service: Service, name: str) -> None:
    answer = httpx.get(f"{shared_service.url}/docs/{name}")
    assert docs.MEDIA_TYPES[name] == answer.headers["content-type"]
    assert "nosniff" == answer.headers["x-content-type-options"]


@pytest.mark.parametrize(
    "name", ["openapi.json", "..%2Fapp.py", "../app.py", "", "swagger-ui.LICENSE"]
)
def test_no_other_file_is_served(shared_service: Service, name: str) -> None:
    assert 404 == httpx.get(f"{shared_service.url}/docs/{name}").status_code
