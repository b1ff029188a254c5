"""The folder in which enrolled voices are kept, a file each."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from ser_edge_runtime.errors import FileError, SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.user_folders import user_folder
from ser_edge_runtime.voice import Voice, VoiceFileError, checked_name

SUFFIX = ".voice.json"


class UnknownVoice(FileError):
    """A name that was not enrolled."""

    def __init__(self, path: str | PathLike[str], name: str, known: list[str]) -> None:
        self.name = name
        there = f"there are {', '.join(known[:10])}" if known else "none is there"
        remedy = f"enrol it: ser-edge enrol {name} RECORDINGS"
        super().__init__(path, f"no voice {name} in this folder ({there})", remedy)


class KnownVoice(SerEdgeError):
    """A name that was enrolled already."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is enrolled already; add clips with --add, or take it out with --remove"
        )


class UnusableFolder(FileError):
    """A folder that cannot be made, read or written."""

    def __init__(self, path: str | PathLike[str], fault: OSError) -> None:
        reason = fault.strerror or "unknown"
        super().__init__(path, f"cannot be used ({reason})", "name another folder with --voices")


class Voices:
    """Voices on disk. Files are replaced whole, so any number of processes may read them.

    Args:
        folder: Where they are; None takes :func:`default_folder`. Made when one is written.
    """

    def __init__(self, folder: str | PathLike[str] | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)

    def path_of(self, name: str) -> Path:
        """The file of a voice, there or not.

        Raises:
            VoiceNameError: It is no name.
        """
        return self.folder / f"{checked_name(name)}{SUFFIX}"

    def __contains__(self, name: str) -> bool:
        return self.path_of(name).is_file()

    def names(self) -> list[str]:
        """The names of all voices, sorted; none if the folder is not there.

        Raises:
            UnusableFolder: It cannot be read.
        """
        try:
            found = sorted(entry.name for entry in self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise UnusableFolder(self.folder, fault) from None
        return [name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)]

    def read(self, name: str) -> Voice:
        """A voice.

        Raises:
            VoiceNameError: It is no name.
            UnknownVoice: It was not enrolled.
            VoiceFileError: Its file is damaged, or another voice's.
            UnusableFolder: It cannot be read.
        """
        path = self.path_of(name)
        try:
            with path.open("rb") as stream:
                # A byte more than a voice may have shows that there are too many.
                data = stream.read((1 << 20) + 1)
        except FileNotFoundError:
            raise UnknownVoice(self.folder, checked_name(name), self.names()) from None
        except OSError as fault:
            raise UnusableFolder(path, fault) from None
        voice = Voice.from_json(data, path)
        if voice.name != checked_name(name):
            raise VoiceFileError(path, f"holds the voice {voice.name}")
        return voice

    def write(self, voice: Voice) -> Path:
        """Keeps a voice, in the place of one of its name; returns its file.

        Raises:
            UnusableFolder: It cannot be written; what was there stays.
        """
        path = self.path_of(voice.name)
        try:
            # Who speaks is nobody else's business.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text_atomically(path, voice.to_json() + "\n")
        except OSError as fault:
            raise UnusableFolder(self.folder, fault) from None
        return path

    def remove(self, name: str) -> Path:
        """Forgets a voice, be its file damaged; returns where it was.

        Raises:
            VoiceNameError: It is no name.
            UnknownVoice: It was not enrolled.
            UnusableFolder: The file cannot be removed.
        """
        path = self.path_of(name)
        try:
            path.unlink()
        except FileNotFoundError:
            raise UnknownVoice(self.folder, checked_name(name), self.names()) from None
        except OSError as fault:
            raise UnusableFolder(path, fault) from None
        return path


def default_folder() -> Path:
    """Where voices are kept if nobody says: ``SER_EDGE_VOICES``, or the user's data folder."""
    chosen = os.environ.get("SER_EDGE_VOICES")
    return Path(chosen) if chosen else user_folder("data") / "voices"
