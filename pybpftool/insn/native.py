"""Machine code as text, by the Capstone disassembler, spelled as LLVM spells it (spec 2.7).

The one place that knows Capstone, which need not be installed.  Its printers come from LLVM and
write hexadecimal where LLVM writes decimal; on x86 that and a few habits more are made alike.  On
other machines the operands stay as Capstone writes them.
"""

from __future__ import annotations

import os

from ..errors import PybpftoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MISSING = PybpftoolError(
    "No JIT disassembly support",
    hint="pip install 'pybpftool[disasm]' brings the Capstone disassembler along",
)
_LOCK = 0xF0
"""The prefix of x86 that LLVM takes for an instruction of its own."""


class Insn:
    """One instruction of the machine.

    ``at``: offset of its first byte; ``size``: bytes.  ``operation``, ``operands``: the text.
    """

    __slots__ = ("at", "operands", "operation", "size")

    def __init__(self, at: int, size: int, operation: str, operands: str) -> None:
        self.at = at
        self.size = size
        self.operation = operation
        self.operands = operands

    def __str__(self) -> str:
        return f"\t{self.operation}\t{self.operands}" if self.operands else f"\t{self.operation}"


class Disassembler:
    """For the machine this runs on, or ``machine`` as uname(2) names it.

    PybpftoolError where Capstone is not installed or does not know the machine.
    """

    __slots__ = ("_engine", "_spelled")

    def __init__(self, machine: str = "") -> None:
        machine = machine or os.uname().machine
        try:
            import capstone
        except ImportError as error:
            raise PybpftoolError(MISSING.message, hint=MISSING.hint) from error
        known = {
            "x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
            "aarch64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
            "riscv64": (capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64),
            "ppc64le": (capstone.CS_ARCH_PPC, capstone.CS_MODE_64),
            "s390x": (capstone.CS_ARCH_SYSZ, capstone.CS_MODE_BIG_ENDIAN),
        }
        if machine not in known:
            raise PybpftoolError(
                MISSING.message, hint=f"Capstone does not know the machine {machine}"
            )
        self._engine: Any = capstone.Cs(*known[machine])
        self._spelled: Callable[[str, str], str] | None = None
        if machine == "x86_64":
            self._engine.syntax = capstone.CS_OPT_SYNTAX_ATT
            self._spelled = _x86_operands()

    def __call__(self, code: bytes, address: int = 0) -> Iterator[Insn]:
        """The instructions of ``code``, which stands at ``address``; every byte is in one.

        Bytes that are no instruction come one by one, as ``.byte``.
        """
        at = 0
        spelled = self._spelled
        while at < len(code):
            for place, size, operation, operands in self._engine.disasm_lite(
                code[at:], address + at
            ):
                at = place - address
                if spelled:
                    if operation.startswith("lock ") and code[at] == _LOCK:
                        yield Insn(at, 1, "lock", "")
                        operation = operation.removeprefix("lock ")
                        at, size = at + 1, size - 1
                    operands = spelled(operation, operands)
                yield Insn(at, size, operation, operands)
                at += size
            if at < len(code):
                yield Insn(at, 1, ".byte", f"0x{code[at]:02x}")
                at += 1


def _x86_operands() -> Callable[[str, str], str]:
    """The function that spells the operands of an operation in LLVM's way."""
    import re

    number = re.compile(r"0x[0-9a-f]+|(?<=\$)[0-9]{10,}")
    memory = re.compile(r"\([^)]*\)")

    def spelled(operation: str, operands: str) -> str:
        if operands.startswith("0x") and "%" not in operands:
            return operands  # where a jump leads
        shift = operation[:3] in ("shl", "shr", "sar", "rol", "ror")
        if shift and operands.startswith("$1, "):
            return operands.removeprefix("$1, ")  # an operation by itself, without immediate

        def decimal(found: re.Match[str]) -> str:
            value = int(found[0], 0)
            bits = 64
            if found.string.startswith("$", found.start() - 1):
                if operation.endswith("b"):
                    bits = 8
                elif value >> 7 == 0x1FFFFFF and operation[:3] not in ("mov", "tes"):
                    bits = 32  # a byte that was widened to this
            return str(value - (1 << bits) if value >> bits - 1 else value)

        text = memory.sub(lambda found: found[0].replace(" ", ""), operands)
        return number.sub(decimal, text)

    return spelled
