"""What a journal needs of the operating system."""

import os
from abc import ABC, abstractmethod


class Folder(ABC):
    """An open directory. Its methods raise ``OSError``, also where other code has closed it."""

    @abstractmethod
    def is_valid(self) -> bool:
        """Return whether it is still open."""

    @abstractmethod
    def close(self) -> None:
        """Close it, if it is still open."""

    @abstractmethod
    def opened_again(self) -> "Folder":
        """Return the same directory, to be closed on its own."""

    @abstractmethod
    def folder(self, name: str) -> "Folder":
        """Open a directory in it; refuse a symbolic link."""

    @abstractmethod
    def is_of_others(self, *, or_of_root: bool) -> bool:
        """Return whether it belongs to another user; ``or_of_root``: than this one and root."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of what is in it."""

    @abstractmethod
    def status(self, name: str) -> os.stat_result:
        """Return the status of what is in it; of a symbolic link, its own."""

    @abstractmethod
    def open(self, name: str, flags: int) -> int:
        """Open a file in it, as ``os.open``, and wait for nothing; refuse a symbolic link."""

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """Create a directory in it that is private to this user."""

    @abstractmethod
    def remove_folder(self, name: str) -> None:
        """Delete an empty directory in it."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file in it."""

    @abstractmethod
    def rename(self, name: str, other: str) -> None:
        """Rename what is in it; replace a file of the other name."""

    @abstractmethod
    def times(self, name: str = "") -> tuple[int, int]:
        """Return the times of the last access and change of what is in it, or of itself, in nanoseconds."""

    @abstractmethod
    def set_times(self, times: tuple[int, int], name: str = "") -> None:
        """Set what :meth:`times` returns."""

    @abstractmethod
    def total_bytes(self) -> int:
        """Return the size of the file system that it is in."""


class FileSystem(ABC):
    """The calls whose semantics differ between operating systems."""

    moves_open_files: bool
    """Whether a file that is open can be deleted, and its directory be renamed."""

    @abstractmethod
    def is_usable(self) -> bool:
        """Return whether the operating system has all that is needed."""

    @abstractmethod
    def open_folder(self, path: str) -> Folder:
        """Open a directory by its path; refuse a symbolic link. Raise ``OSError``."""

    @abstractmethod
    def try_lock(self, descriptor: int) -> bool:
        """Lock a file until it is closed or this process ends; return ``False`` if another one has locked it."""

    @abstractmethod
    def read_at(self, descriptor: int, size: int, at: int) -> bytes:
        """Read from a place in a file."""

    @abstractmethod
    def write_at(self, descriptor: int, data: bytes, at: int) -> int:
        """Write to a place in a file, and return how many bytes were written."""

    @abstractmethod
    def reserve(self, descriptor: int, size: int) -> None:
        """Make a file as large as that, with room on the disk for all of it, so that it can be written by a map.

        Raises:
            OSError: there is no room, or the platform or the file system cannot do it.
        """

    @abstractmethod
    def bytes_on_disk(self, status: os.stat_result) -> int:
        """Return how much room a file takes."""
