"""The guide for a stranger holds what it promises: its files are taken from the page and run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from tests.e2e.stranger.conftest import Stranger

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "your-service.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def files_of(page: str) -> dict[str, str]:
    """Return the code blocks that say in their first line which file they are."""
    found = {}
    for _, text in BLOCK.findall(page):
        first = text.partition("\n")[0]
        if re.fullmatch(r"# [\w./-]+\.\w+", first):
            found[first.removeprefix("# ")] = text
    return found


FILES = files_of(PAGE)


def test_every_block_of_the_page_is_a_whole_file() -> None:
    assert len(FILES) == len(BLOCK.findall(PAGE))
    assert set(FILES) == {
        "rehearsal/edges.toml",
        "rehearsal/shop_day.py",
        "rehearsal/mix.toml",
        "rehearsal/plan.yaml",
        ".github/workflows/rehearsal.yml",
    }


def test_the_page_shows_no_command_or_option_that_does_not_exist() -> None:
    used = set(re.findall(r"surgeproof (\w+) (?:rehearsal|\[)", PAGE))
    assert used == {"run", "validate"}
    workflow = yaml.safe_load(FILES[".github/workflows/rehearsal.yml"])
    assert workflow["jobs"]["rehearsal"]["steps"][2]["run"].startswith("surgeproof run")
    ast.parse(FILES["rehearsal/shop_day.py"])


@pytest.mark.e2e
def test_the_files_of_the_page_rehearse_a_service_as_they_stand(stranger: Stranger) -> None:
    for name, text in FILES.items():
        path = stranger.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    plan = "rehearsal/plan.yaml"
    checked = stranger.call("validate", plan)
    assert checked.code == 0, checked.told
    assert "2 phases, 90 s, 2 faults, 3 gates" in checked.output

    here = [
        *("--set", f"target.base_url={stranger.shop.url}"),
        *("--set", f"target.toxiproxy={stranger.toxiproxy.url}"),
    ]
    ended = stranger.run("--profile", "short", *here, plan=plan)
    assert ended.code == 0, ended.told
    (fault,) = ended.result["faults"]
    assert fault["observed"]
    assert ended.result["ledger"]["order"]["acked"] > 30
