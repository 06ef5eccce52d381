"""Who may sign in: names and hashed passwords.

Owns: the hash format, the file of users (`NAME:HASH` a line), and the check at sign-in. Does not know
Gradio or what a signed-in person may see. `python -m web.users NAME` makes a line of the file.
A hash says how it was made: scrypt$LOG2_N$R$P$SALT$KEY, both in base64 (RFC 7914 names the numbers).
"""

import argparse
import asyncio
import base64
import binascii
import getpass
import hashlib
import hmac
import secrets
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_COST = (15, 8, 1)  # log2 N, r, p: 32 MiB and about a tenth of a second, dear for who guesses
_MOST_LOG2_N, _MOST_R, _MOST_P = 20, 16, 8  # a line of the file must not exhaust the memory
_SALT_BYTES, _KEY_BYTES = 16, 32
_LONGEST_NAME, _LONGEST_PASSWORD = 64, 1024
_MAKE_ONE = "make a line with `python -m web.users NAME`."


class UsersError(ValueError):
    """A user or a file of users that cannot be; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Hash:
    """A password, hashed. Everything that checking another one against it takes."""

    log2_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    def fits(self, password: str) -> bool:
        """Whether `password` is the one; takes the same time whatever is wrong with it."""
        found = _derive(password, self.salt, (self.log2_n, self.r, self.p), len(self.key))
        return hmac.compare_digest(found, self.key)

    def __str__(self) -> str:
        salt, key = (base64.b64encode(part).decode("ascii") for part in (self.salt, self.key))
        return f"scrypt${self.log2_n}${self.r}${self.p}${salt}${key}"


def hashed(password: str) -> Hash:
    """`password` with a salt of its own."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return Hash(*_COST, salt, _derive(password, salt, _COST, _KEY_BYTES))


def read_hash(text: str) -> Hash:
    """The hash that `str` wrote. Raises UsersError."""
    try:
        scheme, log2_n, r, p, salt, key = text.strip().split("$")
        made = Hash(int(log2_n), int(r), int(p), *(_bytes(part) for part in (salt, key)))
    except ValueError:
        raise UsersError(f"the hash is not one; {_MAKE_ONE}") from None
    is_possible = (
        1 <= made.log2_n <= _MOST_LOG2_N and 1 <= made.r <= _MOST_R and 1 <= made.p <= _MOST_P
    )
    if scheme != "scrypt" or not is_possible or len(made.key) < _KEY_BYTES:
        raise UsersError(f"the hash is not one of this program's; {_MAKE_ONE}")
    return made


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _derive(password: str, salt: bytes, cost: tuple[int, int, int], length: int) -> bytes:
    log2_n, r, p = cost
    # One spelling for what looks the same: an é typed on another system must fit too.
    raw = unicodedata.normalize("NFKC", password[:_LONGEST_PASSWORD]).encode("utf-8", "replace")
    memory = 2 * 128 * (1 << log2_n) * r  # what OpenSSL needs, twice: its own limit is lower
    return hashlib.scrypt(raw, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=memory, dklen=length)


def checked_name(name: str) -> str:
    """`name` if somebody can be called that. Raises UsersError."""
    if not name or name != name.strip() or len(name) > _LONGEST_NAME:
        raise UsersError(f"{name!r} is not a name; use 1 to {_LONGEST_NAME} characters.")
    if ":" in name or name.startswith("#") or not name.isprintable():
        raise UsersError(f"{name!r} is not a name; leave out colons, leading # and tabs.")
    return name


def read_pair(text: str) -> dict[str, Hash]:
    """The one user of NAME:PASSWORD. Raises UsersError."""
    name, colon, password = text.partition(":")
    if not colon or not password:
        raise UsersError("write a name, a colon and a password, like anna:secret.")
    return {checked_name(name): hashed(password)}


def read_file(path: Path) -> dict[str, Hash]:
    """The users of a file; blank lines and lines that begin with # are none. Raises UsersError."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UsersError(f"{path}: {error.strerror}; {_MAKE_ONE}") from None
    except UnicodeDecodeError:
        raise UsersError(f"{path}: this is not a text file in UTF-8; {_MAKE_ONE}") from None
    users: dict[str, Hash] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                name, user_hash = _read_line(line)
            except UsersError as refusal:
                raise UsersError(f"{path}, line {number}: {refusal}") from None
            if name in users:
                raise UsersError(f"{path}, line {number}: {name} is there twice; remove one.")
            users[name] = user_hash
    if not users:
        raise UsersError(f"{path}: nobody is in it; {_MAKE_ONE}")
    return users


def _read_line(line: str) -> tuple[str, Hash]:
    name, colon, text = line.partition(":")
    if not colon:
        raise UsersError(f"there is no colon in it; {_MAKE_ONE}")
    return checked_name(name.strip()), read_hash(text)


@dataclass(frozen=True, slots=True)
class Users:
    """Those who may sign in."""

    hashes: Mapping[str, Hash]
    _nobody: Hash = field(default_factory=lambda: hashed(secrets.token_urlsafe()))
    # One at a time, so that guessing takes no more than one CPU, nor memory many times.
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check(self, name: str, password: str) -> bool:
        """Whether `name` has that password; an unknown name takes as long as a known one."""
        expected = self.hashes.get(name)
        async with self._one:
            fits = await asyncio.to_thread((expected or self._nobody).fits, password)
        return fits and expected is not None


def _asked_password(name: str) -> str:
    password = getpass.getpass(f"Password of {name}: ")
    if not password:
        raise UsersError("the password is empty; choose another.")
    if getpass.getpass("Once more: ") != password:
        raise UsersError("the two passwords differ; try again.")
    return password


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line of the file for a name and a password that is asked for twice."""
    parser = argparse.ArgumentParser(
        prog="python -m web.users",
        description="Print the line of one user for the file of --auth-file.",
        epilog="Add it with: python -m web.users anna >> users.txt",
    )
    parser.add_argument("name")
    try:
        name = checked_name(parser.parse_args(arguments).name)
        password = _asked_password(name)
    except UsersError as refusal:
        sys.stderr.write(f"python -m web.users: {refusal}\n")
        return 2
    sys.stdout.write(f"{name}:{hashed(password)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
