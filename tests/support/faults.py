"""Orders for tests/faults/faults.c: the daemon's n-th call of a kind fails, or kills it.

    faults = Faults(service)                  # before it starts
    faults.order("fail", "sync", 3, errno.ENOSPC)
    service.start()
    faults.fired, faults.counts()
"""

import mmap
import struct

from .segue import program

# As in faults.c.
KINDS = ("any", "write", "pwrite", "pread", "sync", "rename", "open", "create", "mkdir", "unlink",
         "truncate", "send", "connect", "accept", "spawn", "memory")
ACTIONS = ("none", "fail", "kill", "tear", "halve")
ORDER = struct.Struct("=IIQQii")  # action, kind, at, times, error, unused
FIRED = ORDER.size
COUNTS = struct.Struct(f"={len(KINDS)}Q")
CLOCK = FIRED + 8 + COUNTS.size
SIZE = CLOCK + 8


class Faults:
    """The page of one service. Every process that the service starts from here on is under it."""

    def __init__(self, service):
        library = program().parent / "faults.so"
        assert library.exists(), f"no {library}: `make {library}` makes it"
        path = service.root / "faults"
        path.write_bytes(bytes(SIZE))
        service.env.update(LD_PRELOAD=str(library), SEGUE_FAULTS=str(path))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), SIZE)

    def order(self, action, kind, at, error=0, times=1):
        """The `at`-th call of `kind` from now on, and `times` in all (0: from then on always)."""
        self.clear()
        ORDER.pack_into(self._page, 0, 0, KINDS.index(kind), at, times, error, 0)
        struct.pack_into("=I", self._page, 0, ACTIONS.index(action))

    def clear(self):
        """No orders; counts from 0."""
        self._page[:] = bytes(SIZE)

    def set_clock(self, seconds):
        """The daemon's wall clock is wrong by so much from now on; clear() sets it right."""
        struct.pack_into("=q", self._page, CLOCK, seconds)

    @property
    def fired(self):
        return struct.unpack_from("=Q", self._page, FIRED)[0]

    def counts(self):
        return dict(zip(KINDS, COUNTS.unpack_from(self._page, FIRED + 8), strict=True))

