"""The page on short links, done as it is written."""

import shutil
from pathlib import Path

import pytest

from tests.docs.generate import ROOT
from tests.docs.test_docs import FENCED, QuickStart


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_link_of_the_page_leads_where_it_says(tmp_path: Path) -> None:
    page = QuickStart(tmp_path)
    blocks = FENCED.findall((ROOT / "docs" / "links.md").read_text(encoding="utf-8"))
    serve, where, domain, send, follow = (
        str(code).replace("8400", page.port) for _, language, code in blocks if language == "sh"
    )
    shown = next(code for _, language, code in blocks if language == "text")
    server = page.started(f"exec {serve}")
    assert server.stdout is not None
    try:
        told = dict(server.stdout.readline().strip().split(": ", 1) for _ in range(5))
        own = {"KEY_...": told["api_key"], "PROFILE=...": f"PROFILE={told['messaging_profile_id']}"}
        for written, ours in own.items():
            where = where.replace(written, ours)
        # What the page waits for is done when the clock has been moved.
        settled = """curl -s -H 'Content-Type: application/json' $API/sandbox/clock/advance -d '{"seconds": 0}'"""
        printed = page.shell(where + domain + send.replace("sleep 1", settled))
        assert f'"domain":"127.0.0.1:{page.port}"' in printed
        assert f"Your order: http://127.0.0.1:{page.port}/shop/" in printed
        assert page.shell(where + follow) == shown
    finally:
        server.terminate()
        server.communicate()
