"""What a command is and what it yields: rows, places, options, results.

A *row* (Command) holds one usage line just as ``help`` prints it, and the function that does
the work.  A *place* is a word in capitals of that line: how the user's words become a value.
A *result* is what the function hands back; ``output.emit`` is the only one to print it.
"""

from __future__ import annotations

from .errors import FAILURE, PybpftoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    Record = dict[str, Any]
    """One JSON object, keys in bpftool's order."""
    Layout = Callable[[Any], str]
    """The plain text of one record, its newlines included."""
    Dressed = Callable[[Any, Callable[[str, int], str]], str]
    """The same as a terminal shows it: record and ``paint(text, colour)`` to text."""
    Table = tuple[str, Sequence[tuple[str, bool]], Sequence[Sequence[str]]]
    """A caption, columns (head, whether its texts stand to the right), and the texts of rows."""


# ------------------------------------------------------------------ options


class Options:
    """The words before and between the command's own, parsed once and never changed.

    ``form`` is one of PLAIN, COMPACT, PRETTY; the rest are the flags of spec 1.1.
    ``prog`` is the name the tool was called by (``pybpftool`` or ``bpftool``).
    ``warn`` tells the user something beside the result; JSON mode swallows it.
    """

    __slots__ = (
        "base_btf",
        "bpffs",
        "debug",
        "form",
        "mapcompat",
        "nomount",
        "prog",
        "use_loader",
        "warn",
    )

    def __init__(
        self,
        *,
        form: str = "plain",
        bpffs: bool = False,
        mapcompat: bool = False,
        nomount: bool = False,
        debug: bool = False,
        use_loader: bool = False,
        base_btf: Any = None,
        prog: str = "pybpftool",
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.form = form
        self.bpffs = bpffs
        self.mapcompat = mapcompat
        self.nomount = nomount
        self.debug = debug
        self.use_loader = use_loader
        self.base_btf = base_btf
        self.prog = prog
        self.warn = warn


PLAIN, COMPACT, PRETTY = "plain", "compact", "pretty"
"""The three forms of one record: for people, ``-j``, ``-p``."""

AUTO, ALWAYS, NEVER = WHEN = ("auto", "always", "never")
"""When there are colours: the words of ``--color``."""


# ------------------------------------------------------------------ results


class One:
    """One record; None is JSON's ``null``.

    ``plain``: its text, or the function that makes it from the record.
    ``status``: exit status of the command although it printed (a lookup that found nothing).
    """

    __slots__ = ("plain", "record", "status")

    def __init__(self, record: Any, plain: Layout | str = "", *, status: int = 0) -> None:
        self.record = record
        self.plain = plain
        self.status = status


NOTHING = One(None)
"""Done, and nothing to tell: no text, ``null`` in JSON."""


class Many:
    """A stream of records: a JSON array, or the plain text of each in turn.

    ``flush``: write every record out at once (events are watched as they happen).
    ``aside``: the plain text goes to stderr.
    ``terminal``: the text where a person looks on, if that is another one.
    """

    __slots__ = ("aside", "flush", "plain", "records", "status", "terminal")

    def __init__(
        self,
        records: Iterable[Any],
        plain: Layout,
        *,
        flush: bool = False,
        aside: bool = False,
        status: int = 0,
        terminal: Dressed | None = None,
    ) -> None:
        self.records = records
        self.plain = plain
        self.terminal = terminal
        self.flush = flush
        self.aside = aside
        self.status = status


class Live(Many):
    """Records that follow each other in time; a terminal shows the last one, as a table.

    ``watch(wait)``: the same records, with ``wait(seconds)`` to pass the time between them; they
    end when it is false.  ``table(record)``: the table.  ``press(key)``: a letter was typed; what
    it changes is seen when ``table`` is asked again.
    """

    __slots__ = ("press", "table", "watch")

    def __init__(
        self,
        records: Iterable[Any],
        plain: Layout,
        watch: Callable[[Callable[[float], bool]], Iterator[Any]],
        table: Callable[[Any], Table],
        press: Callable[[str], None],
    ) -> None:
        super().__init__(records, plain, flush=True)
        self.watch = watch
        self.table = table
        self.press = press


class Bulk:
    """Text made in great pieces by whoever knows a faster way than record by record.

    ``chunks(form, depth)`` yields pieces of the whole document; ``depth`` is the number of JSON
    brackets already open around it.
    ``terminal``: how a terminal may dress up the plain form, by the name of a function of
    ``output.colours``; empty for not at all.
    """

    __slots__ = ("chunks", "status", "terminal")

    def __init__(
        self,
        chunks: Callable[[str, int], Iterator[str]],
        *,
        status: int = 0,
        terminal: str = "",
    ) -> None:
        self.chunks = chunks
        self.status = status
        self.terminal = terminal


# ------------------------------------------------------------------ what a command needs, no more


class Later:
    """A function of a module that is imported when the function is first called.

    ``inspect.unwrap`` gives the function itself, for those who read its parameters or docstring.
    """

    __slots__ = ("_module", "_name")

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.__wrapped__(*values, **named)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(
            __import__(self._module, fromlist=[self._name]), self._name
        )
        return function


class LaterModule:
    """Stands for a module in the rows of an object: what is asked of it is a ``Later``."""

    __slots__ = ("_module",)

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Later:
        return Later(self._module, name)


def later(package: str, words: str) -> Iterator[LaterModule]:
    """One for each of the modules of a package, for rows of which a call needs but one."""
    return (LaterModule(f"{package}.{word}") for word in words.split())


# ------------------------------------------------------------------ places and rows


class Words:
    """The user's words still to be read, and the one read last (errors name it)."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: Sequence[str], at: int = 0) -> None:
        self._words = words
        self._at = at

    def __len__(self) -> int:
        return len(self._words) - self._at

    @property
    def next(self) -> str | None:
        """The word that ``take`` would give, None at the end."""
        return self._words[self._at] if self._at < len(self._words) else None

    @property
    def after(self) -> str | None:
        """The word behind the next one, None where that is the last."""
        return self._words[self._at + 1] if len(self) > 1 else None

    @property
    def last(self) -> str:
        """The word before the next one, as typed."""
        return self._words[self._at - 1] if self._at else ""

    def take(self) -> str:
        """The next word; at the end an error that names the word before it."""
        self.need(1)
        self._at += 1
        return self._words[self._at - 1]

    def need(self, least: int, *, status: int = FAILURE) -> None:
        """Refuse to go on with fewer than ``least`` words left (spec 1.2)."""
        if len(self) < least:
            raise PybpftoolError(
                f"'{self.last}' needs at least {least} arguments, {len(self)} found",
                status=status,
            )

    def rest(self) -> list[str]:
        """All words left, taken."""
        words = list(self._words[self._at :])
        self._at = len(self._words)
        return words


class Call:
    """One command line being read: its row, the options, its words, and the values bound so far.

    ``bound``: value by parameter name.  ``keyword``: the clause being read (``key`` for the place
    of ``key DATA`` and of ``key KEY_SIZE``), empty for a place that stands by itself.
    """

    __slots__ = ("bound", "keyword", "options", "row", "words")

    def __init__(self, row: Command, options: Options, words: Words) -> None:
        self.row = row
        self.options = options
        self.words = words
        self.bound: dict[str, Any] = {}
        self.keyword = ""


class Place:
    """A word in capitals: its definition line in the help, and how words become a value.

    ``name``: as the usage line spells it.  ``read(words, call)``: takes its words, gives the
    value; called from left to right, so it may look at ``call.bound``.
    ``definition``: the text after ``NAME :=`` in the help, None where the name explains itself;
    a place whose definition is a choice of keywords begins with one of them.
    ``absent(call)``: the value when the clause is not given, or the error that it must be;
    without it the function's own default holds.
    """

    __slots__ = ("absent", "definition", "name", "read")

    def __init__(
        self,
        name: str,
        read: Callable[[Words, Call], Any],
        *,
        definition: str | None = None,
        absent: Callable[[Call], Any] | None = None,
    ) -> None:
        self.name = name
        self.read = read
        self.definition = definition
        self.absent = absent


HELP, NEEDS, WHAT, IGNORE = "help", "needs", "what", "ignore"
"""How a row answers wrong words: with the help, ``'W' needs at least…``, ``what is 'W'?``, or not
at all."""


class Command:
    """One row: the usage line, the function, and the little the notation cannot say.

    ``usage``: the line as the help prints it after ``bpftool OBJECT``, breaks and blanks kept.
    ``run(options, **values)``: does the work, gives a result; its parameters are the keywords
    and places of the line in lower case, its docstring the man page's paragraph.  Without it
    the row is ``help`` itself.
    ``places``: the rows of the words in capitals; keyed ``key DATA`` where one name has two
    meanings.  ``hidden``: clauses that are taken but not advertised.
    ``words``: the least number of words after the command, or the exact numbers as a tuple;
    ``wrong``: the answer to another number.
    ``extra``: the answer to a word that no clause takes, or a function from it to the sentence.
    ``status``: exit status of these two, where it is not that of every failure.
    ``pairs``: a clause is looked at only when its keyword and one word more are there.
    ``clear``: an abbreviation must not fit several keywords of one first letter.
    ``access``: what MAP asks of the kernel and how many it and PROG may match: ``read``, ``write``,
    ``read each``.
    """

    __slots__ = (
        "access",
        "clear",
        "extra",
        "hidden",
        "pairs",
        "places",
        "run",
        "status",
        "usage",
        "words",
        "wrong",
    )

    def __init__(
        self,
        usage: str,
        run: Callable[..., One | Many | Bulk] | None = None,
        places: Sequence[Place] = (),
        *,
        hidden: str = "",
        words: int | tuple[int, ...] = 0,
        wrong: str = HELP,
        status: int = FAILURE,
        extra: str | Callable[[str], str] = WHAT,
        pairs: bool = False,
        clear: bool = False,
        access: str = "read",
    ) -> None:
        self.usage = usage
        self.run = run
        self.places = places
        self.hidden = hidden
        self.words = words
        self.wrong = wrong
        self.status = status
        self.extra = extra
        self.pairs = pairs
        self.clear = clear
        self.access = access


class Object:
    """One OBJECT word: its rows in help order, the definitions below them, its options line.

    ``definitions``: the places whose definition the help shows, in its order.
    ``summary``: head of the man page (the module's docstring).
    """

    __slots__ = ("commands", "definitions", "name", "options", "summary")

    def __init__(
        self,
        name: str,
        commands: Sequence[Command],
        definitions: Sequence[Place] = (),
        *,
        options: str = "",
        summary: str = "",
    ) -> None:
        self.name = name
        self.commands = commands
        self.definitions = definitions
        self.options = options
        self.summary = summary
