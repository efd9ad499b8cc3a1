"""The page's ES modules, joined into one script: a page that is opened as a file cannot import modules."""

import re
from importlib import resources

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_COMMENT = re.compile(r"^ */\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)
_INDENT = re.compile(r"^ +", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


def read_part(name: str) -> str:
    """Return one of the page's source files."""
    return resources.files("keras_twoarg.experiments.play").joinpath("page").joinpath(name).read_text("utf-8")


def join_modules(name: str) -> str:
    """Return a module and everything that it imports as one script, imports first.

    Imports, exports, doc comments and indentation are removed, which saves a tenth of the bytes. All files share one
    scope, so their top-level names must differ.

    Examples:
        >>> "import " in join_modules("worker.js")
        False
    """
    joined: dict[str, str] = {}
    _add(name, joined)
    return "\n".join(f"// {file}\n{text}" for file, text in joined.items())


def _add(name: str, joined: dict[str, str]) -> None:
    """Add a module after those that it imports."""
    source = read_part(name)
    for imported in _IMPORT.findall(source):
        if imported not in joined:
            _add(imported, joined)
    for pattern in (_COMMENT, _IMPORT, _EXPORT, _INDENT):
        source = pattern.sub("", source)
    joined[name] = source.strip() + "\n"
