"""Keys of programs: a name and a secret, `NAME.SECRET`, of which a scrypt hash is kept as for users.

Owns: the form of a key, and the check of one. The file is one of users (`NAME:HASH` a line); `python -m web.keys NAME`
makes a line of it and tells the key. Does not know HTTP. A key that was right is known by its digest from then on,
so that hashing costs its first request alone; one that was wrong is not hashed again.
"""

import argparse
import hashlib
import re
import secrets
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from web.users import Hash, Users, UsersError, hashed

_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_SECRET_BYTES = 24
_MOST_REMEMBERED = 10_000


class Keys:
    """Those that may use the API. For one event loop."""

    def __init__(self, hashes: Mapping[str, Hash]) -> None:
        self._users = Users(hashes)
        self._remembered: OrderedDict[bytes, str | None] = OrderedDict()

    async def name_of(self, key: str) -> str | None:
        """Whose key it is; None if it is nobody's."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        if digest in self._remembered:
            self._remembered.move_to_end(digest)
            return self._remembered[digest]
        name, _, secret = key.rpartition(".")
        is_right = bool(secret) and await self._users.check(name, secret)
        self._remembered[digest] = name if is_right else None
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[digest]


def new_key(name: str) -> tuple[str, str]:
    """A key for that name, and the line of the file that knows it. Raises UsersError."""
    if not _NAME.fullmatch(name):
        raise UsersError(f"{name!r} is not a name; use letters, digits, - and _.")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return f"{name}.{secret}", f"{name}:{hashed(secret)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line of the file on standard output, and the new key on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m web.keys",
        description="Make a key for the API, and print its line for the file of --api-key-file.",
        epilog="Add it with: python -m web.keys anna >> keys.txt",
    )
    parser.add_argument("name")
    try:
        key, line = new_key(parser.parse_args(arguments).name)
    except UsersError as refusal:
        sys.stderr.write(f"python -m web.keys: {refusal}\n")
        return 2
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"The key, which is told this once: {key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
