"""Where pybpftool differs from bpftool on purpose: the rows of docs/differences.md, as data."""

from __future__ import annotations

DIFFERENCES = {
    "no-match-says-so": "A name that no map (or program) bears is told in a sentence; "
    "bpftool fails without a word.",
    "undumpable-says-so": "Dumping a map that cannot be walked (queue, stack, bloom filter, ring "
    "buffer, arena, local storage) says so and why; bpftool shows an empty dump. "
    "The exit status is the same.",
    "failed-lookups": "In a typed dump an entry that cannot be looked up is an object like the "
    "others; bpftool puts lines of the hexadecimal dump between the objects.",
    "once-each": "A map that changes while it is dumped gives each key once at most, and the walk "
    "ends; bpftool begins anew whenever the key it stands at is gone.",
    "hints": "Where the reason for a refusal can be known, a second line on standard error begins "
    "with Hint: and says what would help.",
    "one-json-document": "An error in JSON mode is exactly one document; bpftool lets a second one "
    "(null for the help) follow behind a comma.",
    "escaped-errors": "The sentence of an error is escaped in JSON like any other string.",
    "base-btf-errors": "A bad -B file is told on one line, and by a reason where bpftool has only "
    "libbpf's number; bpftool ends the sentence with an empty line, in JSON with a raw line break.",
    "json-of-characters": "A quote, backslash or control character in typed values is escaped, so "
    "that JSON stays JSON; bpftool writes it raw.",
    "floats": "Floating-point values are shown as numbers; bpftool writes (unsupported-kind) and "
    "drops the rest of the entry.",
    "no-stale-btf-id": "Lists show the BTF id of each map itself; bpftool repeats that of the map "
    "before for maps without BTF, on kernels since 6.18, and dumps them by it.",
    "pop-without-keys": "pop and dequeue refuse a map that has keys; bpftool takes the entry out "
    "whose key happens to be in uninitialised memory.",
    "batch-null": "In a JSON batch a command without output has null as its output; bpftool leaves "
    "the place empty.",
    "batch-misuse": "A JSON batch with a misused command ends as a whole document; bpftool aborts.",
    "batch-end": "A batch succeeds when all its commands did; bpftool calls what the last one left "
    "in errno a read error.",
    "batch-directory": "A directory as batch file cannot be opened; bpftool says that it cannot be "
    "read.",
    "batch-depth": "Batches nest 32 deep; bpftool goes on until it runs out of files.",
    "batch-comments": "A comment ends with its line, however long; bpftool runs what stands beyond "
    "64 KiB as commands.",
    "quiet-stop": "In JSON mode event_pipe ends without the remark Stopping... on standard error.",
    "missing-word": "A handle without its last word is an error; bpftool crashes in event_pipe.",
    "version": "version names pybpftool's own version beside the bpftool it speaks like, and what "
    "Python libraries add.",
    "help-ends-line": "The null that -j -h prints ends its line.",
    "holders-from-proc": "The processes that hold a map or program are found in /proc, on every "
    "kernel; bpftool has them only where it can load its iterator program, and was built with it.",
    "own-functions": "In the graph of a program every function has its own prototype and lines of "
    "source, and a long jump (gotol) leads where it goes; bpftool gives all functions those of the "
    "first, and lets gotol lead to the next instruction.",
    "disassembler": "dump jited needs the Capstone disassembler, which it names where it is "
    "missing, and writes the bare code to a file without it; bpftool must have been built with "
    "LLVM or libbfd for either.  Bytes that are no instruction are shown one by one, and on other "
    "machines than x86-64 operands are spelled as Capstone does.",
    "dump-file": "A dump into a file puts a new file in the place of the old one once it is whole; "
    "bpftool writes over it.",
    "prog-graph": "prog graph draws the control flow of a program; bpftool has no such command.",
    "terminal": "At a terminal a dump of instructions has colours, and arrows from jumps to where "
    "they lead; in a pipe or file it has not.",
    "output-errors": "Output that cannot be written is an error; bpftool pays no attention.",
}
"""id -> one sentence."""
