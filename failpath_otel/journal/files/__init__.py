"""Files and directories of a journal: by descriptors on POSIX, by paths on Windows (decision 0014)."""
