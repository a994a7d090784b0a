"""The file system of this platform."""

import sys

from failpath_otel.journal.files.file_system import FileSystem

if sys.platform == "win32":
    from failpath_otel.journal.files.portable import PortableFiles
    from failpath_otel.journal.files.windows_lock import try_lock

    file_system: FileSystem = PortableFiles(try_lock)
else:
    from failpath_otel.journal.files.posix import PosixFiles

    file_system: FileSystem = PosixFiles()
