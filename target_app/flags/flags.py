"""What services ask: the value of a flag, for a user or for everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from target_app.flags.defects import DEFECTS, PREFIX
from target_app.flags.model import Flag, FlagFileError, Value, read_flags
from target_app.flags.provider import FileProvider

__all__ = ["COMPILED", "Flags"]

# What holds where no file says otherwise, or none can be read. A flag that is not here does not
# exist for the app.
COMPILED: Mapping[str, Value] = {
    "admission.enabled": True,
    "admission.knobs": False,
    "cache.leases": True,
    "feed.celebrity_threshold": 1000,
    "feed.ranker": "ranked",
    "follow_scope": "per_app",
    "graphql.enabled": True,
    "live.enabled": True,
    "moderation.enabled": True,
    "push.enabled": True,
}


class Flags:
    """The flags of one process; ``switched`` are values that nothing in the file can change.

    A file that cannot be read leaves the last good values, before the first good one the compiled
    defaults; ``complain`` is told of it. Flags named ``defect.*`` have no effect unless
    ``allows_defects``.
    """

    def __init__(
        self,
        path: Path | None,
        complain: Callable[[str, Exception], None],
        *,
        domain: str = "threads",
        switched: Mapping[str, Value] | None = None,
        allows_defects: bool = False,
    ) -> None:
        self._path, self._complain = path, complain
        self._allows_defects = allows_defects
        self._switched = dict(switched or {})
        self._provider = FileProvider()
        api.set_provider(self._provider, domain)
        self._client = api.get_client(domain)
        self._stamp: tuple[int, int] | None = None
        # Values without a targeting rule are the same for everybody until the next reading.
        self._settled: dict[str, Value] = {}
        self._settle({})

    def reload(self) -> bool:
        """Read the file if it has changed; return whether its flags were taken."""
        if self._path is None:
            return False
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return False
            # Noted before reading: a broken file is complained of once, not each second.
            self._stamp = stamp
            flags = read_flags(self._path.read_bytes())
        except (OSError, FlagFileError) as error:
            if not isinstance(error, OSError) or self._stamp is not None:
                self._complain("flags", error)
            if isinstance(error, OSError):
                self._stamp = None
            return False
        for name in sorted(flags.keys() - COMPILED.keys()):
            try:
                self._check_name(name)
            except FlagFileError as error:
                self._complain("flags", error)
        self._settle({name: flag for name, flag in flags.items() if self._is_known(name)})
        return True

    def is_on(self, name: str, *, user_id: int | None = None) -> bool:
        """Return whether a flag is on; a ``defect.*`` that nobody mentions is off."""
        settled = self._settled.get(name)
        if settled is not None:
            return bool(settled)
        default = bool(COMPILED.get(name, False))
        if name not in COMPILED and name not in self._provider.flags:
            return False
        return self._client.get_boolean_value(name, default, _context(user_id))

    def text(self, name: str, *, user_id: int | None = None) -> str:
        """Return the word that a flag is set to."""
        settled = self._settled.get(name)
        if settled is not None:
            return str(settled)
        return self._client.get_string_value(name, str(COMPILED[name]), _context(user_id))

    def number(self, name: str, *, user_id: int | None = None) -> float:
        """Return the number that a flag is set to."""
        settled = self._settled.get(name)
        if settled is not None:
            return float(settled)
        return self._client.get_float_value(name, float(COMPILED[name]), _context(user_id))

    def variants(self) -> Mapping[str, str]:
        """Return what each flag is set to for everybody; ``targeted`` where users differ."""
        names = COMPILED.keys() | self._provider.flags.keys() | self._switched.keys()
        return {
            name: str(self._settled[name]).lower() if name in self._settled else "targeted"
            for name in sorted(names)
        }

    def switch(self, name: str, value: Value | None) -> None:
        """Set a flag by hand until the process ends; None gives it back to the file.

        Raises:
            FlagFileError: there is no such flag, or its values are of another type.
        """
        self._check_name(name)
        compiled = COMPILED.get(name)
        if value is None:
            self._switched.pop(name, None)
        elif isinstance(value, type(compiled if compiled is not None else True)):
            self._switched[name] = value
        else:
            raise FlagFileError(f"{name} is {value!r} (accepted: like {compiled!r})")
        self._settle(self._provider.flags)

    def _is_known(self, name: str) -> bool:
        is_defect = name.startswith(PREFIX) and name.removeprefix(PREFIX) in DEFECTS.values()
        return name in COMPILED or (is_defect and self._allows_defects)

    def _check_name(self, name: str) -> None:
        if self._is_known(name):
            return
        if name.startswith(PREFIX) and not self._allows_defects:
            raise FlagFileError(f"{name} is refused (accepted only with APP_ALLOW_DEFECTS=1)")
        raise FlagFileError(f"no flag {name!r} (accepted: {', '.join(COMPILED)}, {PREFIX}WORD)")

    def _settle(self, flags: Mapping[str, Flag]) -> None:
        self._provider.flags = flags
        self._settled = {
            name: value
            for name, value in COMPILED.items()
            if name not in flags or flags[name].state == "DISABLED"
        }
        for name, flag in flags.items():
            if flag.state == "ENABLED" and not flag.targeting:
                value = flag.variants[flag.default_variant]
                compiled = COMPILED.get(name, False)
                fits = isinstance(value, bool) is isinstance(compiled, bool) and isinstance(
                    value, str
                ) is isinstance(compiled, str)
                if not fits:
                    error = FlagFileError(f"{name} is {value!r} (accepted: like {compiled!r})")
                    self._complain("flags", error)
                self._settled[name] = value if fits else compiled
        self._settled |= self._switched


def _context(user_id: int | None) -> EvaluationContext:
    return EvaluationContext(targeting_key="" if user_id is None else str(user_id))
