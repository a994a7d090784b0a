"""The page as few files: its shell, which names one script and one style sheet, and these two."""

import re
from collections.abc import Mapping
from typing import Final

from failpath_otel.local.api.assets.joined_script import join

SHELL: Final = "index.html"
SCRIPT: Final = "joined.js"
STYLES: Final = "joined.css"
SOURCE_MAP: Final = "joined.js.map"
JOINED: Final = frozenset({SCRIPT, STYLES, SOURCE_MAP})

BASE: Final = "/page/"
"""The address below which the files of the page are served."""

_SCRIPT: Final = re.compile(rf'(?<=<script type="module" src="{BASE})([^"]+)(?="></script>)')
_SHEETS: Final = re.compile(rf'(?:<link rel="stylesheet" href="{BASE}[^"]+">\s*)+(?=<)')
_SHEET: Final = re.compile(rf'href="{BASE}([^"]+)"')


def joined_page(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what takes the place of the shell, and is served beside the files of the page.

    The files stay as they are and are served too: the source map names them. A shell that names no module and no style
    sheet stays as it is.
    """
    if SHELL not in files:
        return {}
    shell = files[SHELL].decode()
    joined = {}
    if script := _SCRIPT.search(shell):
        whole = join(script[0], files, BASE)
        joined[SCRIPT] = f"{whole.text}//# sourceMappingURL={SOURCE_MAP}\n".encode()
        joined[SOURCE_MAP] = whole.source_map.encode()
        shell = _SCRIPT.sub(SCRIPT, shell)
    if sheets := _SHEETS.search(shell):
        # Their order decides, as between files.
        joined[STYLES] = b"\n".join(files[path] for path in _SHEET.findall(sheets[0]))
        shell = _SHEETS.sub(f'<link rel="stylesheet" href="{BASE}{STYLES}">\n    ', shell)
    return joined | {SHELL: shell.encode()}
