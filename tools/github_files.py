"""Checks the files below ``.github/``: ``python -m tools.github_files``.

actionlint and zizmor read the workflows, without the network. The forms of issues, the configuration of Dependabot and
the time limits of jobs are held against GitHub's schemas, which check-jsonschema brings with it.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_GITHUB: Final = _ROOT / ".github"
_SCHEMAS: Final = {
    "vendor.github-workflows": "workflows/*.yml",
    "custom.github-workflows-require-timeout": "workflows/*.yml",
    "vendor.github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "vendor.github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "vendor.dependabot": "dependabot.yml",
}


def main() -> int:
    """Run all checks, print what those that have failed print, and return how many these are."""
    commands = [["zizmor", "--quiet", "--offline", "."]]
    # There is a wheel of it for Linux alone, among those that we run on. shellcheck differs from machine to machine.
    if sys.platform == "linux":
        commands.append(["actionlint", "-shellcheck=", "-pyflakes="])
    for schema, pattern in _SCHEMAS.items():
        files = sorted(map(str, _GITHUB.glob(pattern)))
        commands.append(["check-jsonschema", "--builtin-schema", schema, *files])
    scripts = Path(sysconfig.get_path("scripts"))
    running = [
        subprocess.Popen([scripts / name, *arguments], cwd=_ROOT, stdout=-1, stderr=-2, text=True)
        for name, *arguments in commands
    ]
    failed = 0
    for (name, *_), process in zip(commands, running, strict=True):
        output, _nothing = process.communicate()
        if process.returncode:
            sys.stdout.write(f"{name}:\n{output}\n")
            failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
