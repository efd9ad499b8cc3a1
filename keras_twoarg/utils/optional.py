"""Optional packages, imported where they are used, and the extras that install them."""

import importlib
from types import ModuleType


def optional(module: str, purpose: str, extra: str) -> ModuleType:
    """Import a module of an optional package, or raise an ImportError that names the extra which installs it.

    Args:
        module: Its name, such as `"scipy.optimize"`.
        purpose: What needs it, the start of the message: `"Comparisons over seeds"`.
        extra: This package's extra that installs it, such as `"analysis"`.

    Examples:
        >>> optional("json", "Records", "cli").dumps([1])
        '[1]'
        >>> optional("no_such_package", "Records", "cli")
        Traceback (most recent call last):
        ImportError: Records: no_such_package is not installed: pip install 'keras_twoarg[cli]'

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{purpose}: {package} is not installed: pip install 'keras_twoarg[{extra}]'") from error
