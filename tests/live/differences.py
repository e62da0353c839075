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
    "missing-word": "A handle or id without its last word is an error; bpftool crashes in "
    "event_pipe and btf dump.",
    "version": "version names pybpftool's own version beside the bpftool it speaks like, and what "
    "Python libraries add.",
    "help-ends-line": "The null that -j -h prints ends its line.",
    "holders-from-proc": "The processes that hold an object are found in /proc, on every kernel; "
    "bpftool has them only where it can load its iterator program, and was built with it.",
    "more-words": "There are commands, keywords and options that bpftool has not; the help of "
    "an object shows them.",
    "typed-data": "map takes keys and values by field name, and exports, imports, compares and "
    "watches maps; bpftool takes bytes alone.",
    "enums-in-json": "An unsigned value of an enum from 2^31 on is that number in JSON too; "
    "bpftool extends its sign to 64 bits there.",
    "first-type": "A sorted C header has all types; bpftool loses the one that sorts first.",
    "qualified-tags": "A qualifier between a type and a type tag has blanks around it; bpftool "
    "glues it to the type, which no compiler takes.",
    "alone-over-base": "A BTF that stands alone is read as such even where a base is given; "
    "bpftool reads it as the continuation of the base, and shows nonsense or crashes.",
    "merged-arrays": "Two structs that differ in the element of an array are two when BTFs are "
    "merged; bpftool may take them for one, and drops the other.",
    "btf-errors": "Why no BTF is in a file is told in words, with the byte where it goes wrong; "
    "bpftool has a number of libbpf's.",
    "said-once": "A BTF id that is not there is told in one sentence; bpftool says it twice.",
    "format-line": "The sentence about a missing format ends with its line; bpftool adds an "
    "empty one, in JSON a raw line break.",
    "own-functions": "In the graph of a program every function has its own prototype and lines of "
    "source, and a long jump (gotol) leads where it goes; bpftool gives all functions those of the "
    "first, and lets gotol lead to the next instruction.",
    "far-calls": "The graph of a program whose calls lead farther than the kernel tells is drawn; "
    "bpftool crashes.",
    "disassembler": "dump jited needs the Capstone disassembler, which it names where it is "
    "missing, and writes the bare code to a file without it; bpftool must have been built with "
    "LLVM or libbfd for either.  Bytes that are no instruction are shown one by one, and on other "
    "machines than x86-64 operands are spelled as Capstone does.",
    "dump-file": "A dump into a file puts a new file in the place of the old one once it is whole; "
    "bpftool writes over it.",
    "prog-graph": "prog graph draws the control flow of a program; bpftool has no such command.",
    "terminal": "At a terminal a dump of instructions has colours, and arrows from jumps to where "
    "they lead; in a pipe or file it has not.",
    "color": "--color=always gives pipes the colours of a terminal, never takes them from it; "
    "bpftool has no such option.",
    "run-contexts": "A raw tracepoint or syscall program runs on the context that it is given, and "
    "what a syscall program left of it can be shown; bpftool asks the kernel for what these types "
    "don't have, and fails.",
    "run-outputs": "When what a program left cannot be written, the JSON document holds the error "
    "beside the result; bpftool writes an object where a key should be.",
    "run-unreadable": "A directory as data_in or ctx_in cannot be opened; bpftool runs the program "
    "on nothing.",
    "tracefs-says-so": "tracelog says that it may not mount tracefs; bpftool fails without a word, "
    "and aborts in JSON mode.",
    "streams-in-json": "tracelog stdout and stderr give an array of lines in JSON mode, and tell "
    "errors; bpftool writes the text raw, and fails without a word.",
    "profile-one-error": "profile tells in one sentence what is wrong with PROG; bpftool adds that "
    "it failed to parse fd.",
    "load-reasons": "When an object cannot be loaded, the error says which program or map is at "
    "fault and why, with the source line; bpftool leaves that to libbpf, beside the error.",
    "load-without-loader": "prog load refuses -L; bpftool then runs a loader program, and pins "
    "nothing.",
    "load-usdt": "autoattach does not attach USDT probes, but pins their programs; bpftool does.",
    "load-pins-the-rest": "loadall with autoattach pins a program that cannot be attached; bpftool "
    "fails unless one before it could be.",
    "load-uprobe-once": "uprobe.multi is attached once to each function of the file; bpftool "
    "attaches it for each name, and for those of other files to the first byte.",
    "load-leaves-nothing": "A load that fails takes the pins away that it made; bpftool leaves "
    "maps that are pinned by their names.",
    "load-slots-last": "A map of maps may be described before what is put into it; bpftool then "
    "fails to load the object.",
    "load-linked-maps": "Maps and variables of files linked by gen object are where the symbols "
    "say; bpftool does not find a map that one file had from another.",
    "load-hidden-maps": "A map that only its object sees is loaded; bpftool takes it for a static "
    "one, and refuses the object.",
    "load-unsigned-numbers": "A number of 32 bits in the definition of a map is what it is; "
    "bpftool takes one from 2^31 on for a negative one.",
    "prog-top": "top shows which programs run, how often and how long; bpftool has no such "
    "command.",
    "output-errors": "Output that cannot be written is an error; bpftool pays no attention.",
    "probe-cannot-tell": "A feature that the kernel refuses everyone to try is not called missing, "
    "and tracing is tried by way of tracepoints as well; bpftool says NOT available.",
    "probe-own-errno": "Without privileges each answer counts for itself; bpftool looks at what an "
    "earlier refusal left in errno.",
    "unprivileged-for-one-command": "feature probe unprivileged gives the capabilities back; in a "
    "batch of bpftool they are gone.",
    "struct-ops-maps": "Maps of type struct_ops are found on every kernel that has them; bpftool "
    "misses them before Linux 6.9.",
    "isa-v4": "ISA extension v4 is not found where it is not; bpftool finds it before Linux 6.6.",
    "feature-more": "feature also probes one thing at a time, attach types, link types and kfuncs, "
    "and compares two probes.",
    "event-types": "event_pipe reads ring buffers too, and shows events by a BTF type; bpftool "
    "reads perf event arrays only, as bytes.",
    "perf-help-json": "The help of perf is null in JSON mode; bpftool writes an empty document.",
}
"""id -> one sentence."""
