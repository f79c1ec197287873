"""What the watches have delivered. Compared with what is read, this shows whether the watches work."""

from __future__ import annotations

from tcf.hub import federations, worker_leases

_WATCHED = (federations.PLURAL, worker_leases.PLURAL)


class Deliveries:
    """The newest versions delivered, as numbers: of each kind (by plural) and of each object (by uid)."""

    def __init__(self) -> None:
        self._waiting_for = set(_WATCHED)
        """The kinds whose watches have not begun."""
        self.unreadable: dict[str, str] = {}
        """What is wrong with objects that cannot be understood, by uid."""
        self.trouble = ""
        """Why the last attempt to begin a watch failed; "" as soon as a watch has delivered something."""
        self._newest: dict[str, int] = {}
        self._objects: dict[str, tuple[str, int]] = {}

    @property
    def begun(self) -> bool:
        """Have all watches begun?"""
        return not self._waiting_for

    def begin(self, plural: str) -> None:
        """All watches of this kind have begun."""
        self._waiting_for.discard(plural)

    def end(self, plural: str) -> None:
        """A watch of this kind has ended, and does not begin again."""
        self._waiting_for.add(plural)

    def note(self, plural: str, version: str) -> None:
        """Remember the newest version of all objects of a kind."""
        self.trouble = ""
        self._newest[plural] = max(int(version), self._newest.get(plural, 0))

    def note_object(
        self, plural: str, uid: str, version: str, *, deleted: bool, unreadable: str | None = None
    ) -> None:
        """Remember the newest version of one object, too, and why it cannot be understood."""
        self.note(plural, version)
        self.unreadable.pop(uid, None)
        if deleted:
            self._objects.pop(uid, None)
            return
        self._objects[uid] = plural, int(version)
        if unreadable:
            self.unreadable[uid] = unreadable

    def fail(self, trouble: str) -> None:
        """Remember why a watch could not begin."""
        self.trouble = trouble

    def newest(self, plural: str) -> int:
        """The newest version of any object of this kind, including deleted ones; 0 if there was none."""
        return self._newest.get(plural, 0)

    def version(self, uid: str) -> int:
        """The latest version of the object that was delivered; 0 if none was."""
        return self._objects.get(uid, ("", 0))[1]

    def forget(self, plural: str) -> None:
        """The watches of this kind begin again."""
        self._waiting_for.add(plural)
        self.trouble = ""
        self._newest.pop(plural, None)
        for uid in [uid for uid, (of, _) in self._objects.items() if of == plural]:
            del self._objects[uid]
            self.unreadable.pop(uid, None)
