"""What the watches have delivered, as opposed to what has been read: this shows whether they are alive."""

from __future__ import annotations


class Deliveries:
    """Versions of objects, as numbers, by the plural of their kind and by uid."""

    def __init__(self) -> None:
        self.begun = False
        """Are all watches there that should be?"""
        self.unreadable: dict[str, str] = {}
        """What is wrong with objects that cannot be read, by uid."""
        self.trouble = ""
        """Why a watch could not be begun, when that was tried last; "" since one has delivered something."""
        self._newest: dict[str, int] = {}
        self._objects: dict[str, int] = {}

    def begin(self) -> None:
        """All watches are there."""
        self.begun = True

    def note(self, plural: str, version: str) -> None:
        """Remember the newest version of all objects of a kind."""
        self.trouble = ""
        self._newest[plural] = max(int(version), self._newest.get(plural, 0))

    def note_object(
        self, plural: str, uid: str, version: str, *, deleted: bool, unreadable: str | None = None
    ) -> None:
        """Remember the newest version of one object as well, and why it cannot be read."""
        self.note(plural, version)
        self.unreadable.pop(uid, None)
        if deleted:
            self._objects.pop(uid, None)
            return
        self._objects[uid] = int(version)
        if unreadable:
            self.unreadable[uid] = unreadable

    def fail(self, trouble: str) -> None:
        """Remember why a watch could not be begun."""
        self.trouble = trouble

    def newest(self, plural: str) -> int:
        """The newest version of any object of this kind, deleted ones included; 0 if there was none."""
        return self._newest.get(plural, 0)

    def version(self, uid: str) -> int:
        """The version of the object that was delivered last; 0 if none was."""
        return self._objects.get(uid, 0)

    def forget(self) -> None:
        """The watches begin again."""
        self.begun = False
        self.unreadable.clear()
        self.trouble = ""
        self._newest.clear()
        self._objects.clear()
