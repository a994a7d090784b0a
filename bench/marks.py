"""Marks at the start and the end of every function of a package, set as its source is imported.

``install()`` comes before the first import of the package. What a function yields from, or awaits in, counts to its
caller: a mark at its end would come at another time.
"""

import ast
import builtins
import os
import sys
import threading
from collections.abc import Buffer, Callable, Sequence
