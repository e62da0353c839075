"""The questions of the tables put to the running kernel, several at a time."""

from __future__ import annotations

import errno
import os

from ..errors import KernelError
from ..insn.asm import exit_, mov64_imm
from ..insn.code import Insn, encode
from ..kernel import calls, syscall
from ..kernel._abi import ffi
from ..kernel.proc import kernel_version, page_size
from ..kernel.syscall import attempt, lib, new_attr
from ..kernel.words import ATTACH_TYPES, MAP_TYPES, PROG_TYPES
from . import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ..kernel.syscall import Fd
    from .tables import Ask, Hook

    S = TypeVar("S")
    T = TypeVar("T")

LICENSE = ffi.new("char[]", b"GPL")
LOG_SIZE = 4096
"""Bytes of the verifier's log that are looked at: reasons stand at its head or in a short one."""

_UNTOLD = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR)
"""Refusals that say nothing about the feature, whoever asks."""

_NO_FD, _NO_ID = 0xFFFFFFFF, 0x7FFFFFFE
"""What no descriptor and no object has for a number."""


class Verdict:
    """What the kernel said: ``known`` True, False, or None where that cannot be told.

    ``why``: what stood in the way of an answer.
    """

    __slots__ = ("known", "why")

    def __init__(self, known: bool | None, why: str = "") -> None:
        self.known = known
        self.why = why


YES, NO = Verdict(True), Verdict(False)


def returning(number: int) -> bytes:
    """The smallest program: it returns ``number``."""
    return encode([mov64_imm(0, number), exit_()])


def side_by_side(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """The results of ``function`` for every item; as many run at once as there are CPUs.

    Threads help, for the interpreter is free while the kernel works.  The first exception is
    raised here, after the calls under way have ended.
    """
    import _thread

    results: dict[int, T] = {}
    waiting = [*enumerate(items)][::-1]
    failed: list[BaseException] = []

    def work() -> None:
        while waiting and not failed:
            try:
                at, item = waiting.pop()
            except IndexError:  # another thread was quicker
                return
            try:
                results[at] = function(item)
            except BaseException as error:
                failed.append(error)

    def run(ended: _thread.LockType) -> None:
        try:
            work()
        finally:
            ended.release()

    others = []
    for _ in range(min(len(os.sched_getaffinity(0)), len(items)) - 1):
        ended = _thread.allocate_lock()
        ended.acquire()
        try:
            _thread.start_new_thread(run, (ended,))
        except RuntimeError:
            break  # no more threads for this user: it only takes longer
        others.append(ended)
    work()
    for ended in others:
        ended.acquire()
    if failed:
        raise failed[0]
    return [results[at] for at in range(len(items))]


class Prober:
    """One who asks: as ``unprivileged``, a refusal for want of rights is a plain no.

    ``ifindex``: ask for offload to that device instead; 0: the kernel itself.
    """

    def __init__(self, *, ifindex: int = 0, unprivileged: bool = False) -> None:
        self.ifindex = ifindex
        self.unprivileged = unprivileged

    def judge(self, result: int, log: bytes = b"", ask: Ask | None = None) -> Verdict:
        """What an answer of bpf(2) (negative: the errno) says; ``log``: the verifier's reasons."""
        if ask is not None and ask.errno:
            if result == -ask.errno and ask.says in log:
                return YES
        elif result >= 0:
            return YES
        if -result in _UNTOLD or (result == -errno.EPERM and not self.unprivileged):
            return Verdict(None, os.strerror(-result))
        return NO

    def syscall(self) -> Verdict:
        """Whether there is a bpf(2)."""
        cmd = lib.BPF_PROG_LOAD
        result = attempt(cmd, new_attr(cmd))
        if result >= 0:
            os.close(result)
        return NO if result == -errno.ENOSYS else YES

    def prog_type(self, word: str) -> Verdict:
        """Whether programs of a type (a word of the tables) load."""
        if self.ifindex:  # some devices refuse a program that returns 0
            return self._load(word, returning(2), None)
        ask = tables.PROG_TYPES[word]
        verdict = self._load(word, returning(0), ask)
        for other in ask.instead:
            if verdict.known is None:
                verdict = self._load(word, returning(0), other)
        return verdict

    def misc(self, word: str) -> Verdict:
        """Whether a program that uses a feature of ``tables.MISC`` loads."""
        _, _, runs = tables.MISC[word]
        code = encode(
            insn
            for count, *fields in runs
            for insn in [Insn(fields[0], fields[1], 0, fields[2], fields[3])] * count
        )
        return self._load("socket_filter", code, None)

    def _load(self, word: str, code: bytes, ask: Ask | None) -> Verdict:
        fields = numbers(ask.fields) if ask is not None else {}
        fields["prog_ifindex"] = self.ifindex
        # a log that were too short for what it must tell would be another reason to refuse
        logged = ask is not None and ask.says != b""
        loader = Loader(PROG_TYPES.index(word), code, fields, log_size=LOG_SIZE if logged else 0)
        result, log = loader.offer()
        return self.judge(result, log, ask)

    def map_type(self, word: str) -> Verdict:
        """Whether maps of a type (a word of the tables) can be made."""
        ask = tables.MAP_TYPES[word]
        fields = {"key_size": 4, "value_size": 4, "max_entries": 1, "map_ifindex": self.ifindex}
        held: list[Fd] = []
        cmd = lib.BPF_MAP_CREATE
        try:
            if not self.ifindex:
                fields.update(numbers(ask.fields, held))
            attr = new_attr(cmd, map_type=MAP_TYPES.index(word), **fields)
            result = attempt(cmd, attr)
        except KernelError as error:  # something the map needs
            result = -error.errno
        finally:
            for fd in held:
                fd.close()
        if result >= 0:
            os.close(result)
        return self.judge(result, b"", ask if not self.ifindex else None)

    def attach_type(self, word: str) -> Verdict:
        """Whether the kernel knows a way of attaching (a word of the tables)."""
        return self._hook(word, tables.ATTACH_TYPES[word])

    def link_type(self, word: str) -> Verdict:
        """Whether the kernel has links of a type (a word of the tables)."""
        return self._hook(word, tables.LINK_TYPES[word])

    def _hook(self, word: str, hook: Hook) -> Verdict:
        attach_type = hook.attach_type or word
        if hook.cmd == "PROG_LOAD":
            fields = {**hook.fields, "expected_attach_type": attach_type}
            ask = tables.Ask(hook.since, fields=fields, errno=hook.errno, says=hook.says)
            return self._load(hook.prog_type, returning(0), ask)
        if hook.cmd == "LINK_CREATE":
            return self._link(hook, ATTACH_TYPES.index(attach_type))
        fields = {
            "PROG_QUERY": {"target_fd": _NO_FD},
            "PROG_ATTACH": {"target_fd": _NO_FD, "attach_bpf_fd": _NO_FD},
            "MAP_CREATE": {"key_size": 4, "max_entries": 1},
            "LINK_GET_NEXT_ID": {"start_id": _NO_ID},
        }[hook.cmd]
        if hook.cmd in ("PROG_QUERY", "PROG_ATTACH"):
            fields["attach_type"] = ATTACH_TYPES.index(attach_type)
        cmd = getattr(lib, f"BPF_{hook.cmd}")
        result = attempt(cmd, new_attr(cmd, **fields, **hook.fields))
        if result > 0:  # a map
            os.close(result)
        if hook.errno:
            return self.judge(result, b"", tables.Ask(hook.since, errno=hook.errno))
        return self.judge(result) if result in (-errno.EINVAL, -errno.EPERM) else YES

    def _link(self, hook: Hook, attach_type: int) -> Verdict:
        """Whether a link of a program to nothing is refused for that reason."""
        root = ffi.new("char[]", b"/")
        at = int(ffi.cast("uintptr_t", root))
        cmd = lib.BPF_LINK_CREATE
        number = PROG_TYPES.index(hook.prog_type)
        program, refused = calls.try_prog_load(
            number, returning(0), expected_attach_type=attach_type
        )
        if program is None:
            return self.judge(-refused)
        attr = new_attr(cmd, prog_fd=program.fileno(), attach_type=attach_type)
        for name, value in hook.fields.items():
            if isinstance(value, dict):
                value = {key: at if part == "root" else part for key, part in value.items()}
            setattr(attr.link_create, name, value)
        with program:
            result = attempt(cmd, attr)
        if result >= 0:
            os.close(result)
        return self.judge(result, b"", tables.Ask(hook.since, errno=hook.errno))


# ------------------------------------------------------------------ what words stand for


def numbers(fields: tables.Fields, held: list[Fd] | None = None) -> dict[str, int]:
    """The fields of a question with numbers in place of their words.

    Descriptors made for it are put into ``held``, the caller's to close.
    """
    found = {}
    for name, value in fields.items():
        if name == "expected_attach_type":
            value = ATTACH_TYPES.index(str(value))
        elif value == "kernel version":
            value = kernel_version()
        elif value == "page size":
            value = page_size()
        elif not isinstance(value, int) and held is not None:
            held.append(
                calls.btf_load(_storage_btf())
                if value == "storage BTF"
                else calls.map_create(MAP_TYPES.index("hash"), 4, 4, 1)
            )
            value = held[-1].fileno()
        found[name] = int(value)
    return found


def _storage_btf() -> bytes:
    """The BTF that maps of local storage want: ``struct { int cnt; struct bpf_spin_lock l; }``.

    [1] int, [2] struct bpf_spin_lock { int val; }, [3] the value.  Source: linux/btf.h.
    """
    from ..btf.types import INT, STRUCT
    from ..btf.writer import BtfWriter

    btf = BtfWriter()
    name = btf.string
    btf.add_words((name("int"), INT << 24, 4, 1 << 24 | 32))
    btf.add_words((name("bpf_spin_lock"), STRUCT << 24 | 1, 4, name("val"), 1, 0))
    btf.add_words((name("value"), STRUCT << 24 | 2, 8, name("cnt"), 1, 0, name("l"), 2, 32))
    return btf.blob()


# ------------------------------------------------------------------ many loads


class Loader:
    """One program offered again and again, with another immediate in its first instruction.

    ``code``: instructions; ``fields``: of the prog_load arm, as numbers; ``log_size``: bytes of
    the verifier's reasons to keep, 0: none.  Nothing is allocated for an offer, which is what
    makes thousands of them quick; one thread uses it at a time.
    """

    def __init__(
        self, prog_type: int, code: bytes, fields: dict[str, int], *, log_size: int = LOG_SIZE
    ) -> None:
        self._code = bytearray(code)
        self._immediates = memoryview(self._code).cast("i")
        self._log = ffi.new("char[]", log_size + 1)
        self._attr = new_attr(
            lib.BPF_PROG_LOAD,
            prog_type=prog_type,
            insns=int(ffi.cast("uintptr_t", ffi.from_buffer(self._code))),
            insn_cnt=len(code) // 8,
            log_buf=int(ffi.cast("uintptr_t", self._log)) if log_size else 0,
            log_size=log_size,
            log_level=_REASONS_ONLY if log_size else 0,
            **{"license": int(ffi.cast("uintptr_t", LICENSE)), **fields},
        )
        self._size = ffi.sizeof(self._attr.prog_load)

    def offer(self, immediate: int | None = None) -> tuple[int, bytes]:
        """What bpf(2) gave (a program is not kept) and what the verifier said."""
        if immediate is not None:
            self._immediates[1] = immediate
        self._log[0] = b"\0"
        result = syscall.invoke(lib.BPF_PROG_LOAD, self._attr, self._size)
        if result in _MOODS:
            result = attempt(lib.BPF_PROG_LOAD, self._attr)
        if result >= 0:
            os.close(result)
        said: bytes = ffi.string(self._log)
        arm = self._attr.prog_load
        if result == -errno.EINVAL and not said and arm.log_level == _REASONS_ONLY:
            arm.log_level = _EVERYTHING
            return self.offer()
        return result, said


_REASONS_ONLY, _EVERYTHING = 4, 1
"""log_level: the first (BPF_LOG_STATS, since Linux 5.2) spares the kernel to write down how every
instruction went; a kernel that does not know it is asked for just that."""

_MOODS = (-errno.EINTR, -errno.EAGAIN, -errno.EPERM)
"""Answers after which ``attempt`` may get another one."""
