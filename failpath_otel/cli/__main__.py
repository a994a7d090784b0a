"""``python -m failpath_otel.cli``: the command without the script that an installation makes."""

import sys

from failpath_otel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
