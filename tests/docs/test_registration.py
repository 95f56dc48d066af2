"""The program on the page about 10DLC does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from heliograph.settings import clean_environment
from tests.docs.generate import ROOT
from tests.wire import Accounts, on_sqlite


def test_the_program_of_the_page_puts_a_number_into_a_campaign(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "registration.md").read_text("utf-8"), re.DOTALL)
    assert program
    with on_sqlite(tmp_path) as server:
        accounts = Accounts(server)
        accounts.sender(accounts.sandbox()[1], "+13125550123")
        service = {"TELNYX_BASE_URL": server.base_url, "TELNYX_API_KEY": server.ready["api_key"]}
        environment = clean_environment() | service
        command = [sys.executable, "-c", program[1]]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr
