"""The page's scripts: ES modules in files of their own, joined into one script, since a file:// page imports none."""

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
    """Return a module with all that it imports in front of it, as one script.

    It has no imports, exports, doc comments and indents: a tenth less, of what the worker shares twice.
    Names at the top of the files must differ, since all share one scope.

    Examples:
        >>> "import " in join_modules("worker.js")
        False
    """
    joined: dict[str, str] = {}
    _add(name, joined)
    return "\n".join(f"// {file}\n{text}" for file, text in joined.items())


def _add(name: str, joined: dict[str, str]) -> None:
    """Put a module behind those that it imports."""
    source = read_part(name)
    for imported in _IMPORT.findall(source):
        if imported not in joined:
            _add(imported, joined)
    for pattern in (_COMMENT, _IMPORT, _EXPORT, _INDENT):
        source = pattern.sub("", source)
    joined[name] = source.strip() + "\n"
