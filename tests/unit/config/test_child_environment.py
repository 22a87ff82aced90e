"""What a process that is started inherits."""

import os
import subprocess
import sys

from pydantic import SecretStr

from gateway.config.child_environment import hide_credentials
from gateway.core.credential import Credential

SECRET = "sk-canary-5f2b1c"
SHOW = "import os, sys; sys.stdout.write(repr(dict(os.environ)))"


def test_a_process_does_not_inherit_a_credential() -> None:
    """K12: whatever the variable is called; and it is there again afterwards."""
    os.environ["ONE_OF_OURS"] = SECRET
    os.environ["NONE_OF_OURS"] = "harmless"
    try:
        with hide_credentials([Credential("ONE_OF_OURS", SecretStr(SECRET))]):
            shown = subprocess.run(
                [sys.executable, "-c", SHOW], capture_output=True, text=True, check=True
            ).stdout
        kept = os.environ["ONE_OF_OURS"]
    finally:
        del os.environ["ONE_OF_OURS"], os.environ["NONE_OF_OURS"]

    assert SECRET not in shown
    assert "harmless" in shown
    assert kept == SECRET
