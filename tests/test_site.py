"""The site: every page is in its navigation, and it loads nothing from elsewhere. `make docs` builds it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import archwright
from doc_pages import DOCS, ROOT

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def pages(nav: Any) -> Iterator[str]:
    for entry in nav if isinstance(nav, list) else nav.values():
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages(entry)


def test_the_navigation_names_pages() -> None:
    listed = {*pages(SITE["nav"])}
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert listed <= there
    assert {page for page in there if "/" in page} <= listed


def test_the_site_loads_nothing_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript"} & SITE.keys()


def test_the_reference_names_what_there_is() -> None:
    for page in (DOCS / "reference").glob("*.md"):
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            module, _, attribute = name.rpartition(".")
            assert getattr(importlib.import_module(module), attribute).__doc__, name


def test_every_space_and_controller_is_in_the_reference() -> None:
    from archwright.controllers import CONTROLLERS
    from archwright.spaces import SPACES

    spaces, controllers = ((DOCS / "reference" / f"{name}.md").read_text() for name in ("spaces", "controllers"))
    own = [cls for cls in SPACES.values() if cls.__module__.startswith("archwright.spaces")]
    assert [cls.__qualname__ for cls in own if f"::: {cls.__module__}.{cls.__qualname__}\n" not in spaces] == []
    assert [name for name, where in CONTROLLERS.items() if f"::: {where.replace(':', '.')}\n" not in controllers] == []


def test_the_citation_is_of_this_version() -> None:
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert about["version"] == archwright.__version__
    assert about["license"] in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_templates_of_issues_ask_for_the_doctor() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms: dict[Path, Any] = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob("*.yml")}
    assert all({"name", "description", "body"} <= form.keys() for path, form in forms.items() if path.stem != "config")
    assert "archwright doctor" in json.dumps(forms[folder / "bug.yml"])
