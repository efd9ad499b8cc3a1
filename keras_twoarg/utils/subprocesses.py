"""Calls in a child process, which isolates memory and crashes and reports progress to the parent."""

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keras_twoarg.utils.progress import Progress

_PROGRESS, _RESULT = "progress ", "result "
_children: set[subprocess.Popen[str]] = set()
_SERVE = "import sys; from keras_twoarg.utils import subprocesses; subprocesses.serve(sys.argv[1], int(sys.argv[2]))"


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
        status: Its exit status; negative for the signal that killed it.
        result: The function's result, passed as JSON; None if it failed.
        output: The last other lines that it printed.
    """

    status: int
    result: Any
    output: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it failed, in a few words."""
        if self.status < 0:
            return f"killed by signal {-self.status}" + (" (out of memory?)" if self.status == -9 else "")
        return self.output[-1] if self.output else f"exit status {self.status}"


def call(function: str, progress: Progress, *arguments: object) -> Outcome:
    """Call a function in a new Python process, and wait for it.

    Args:
        function: `"module:function"`, which is called with a progress function and the arguments.
        progress: Called in this process with the child's reports.
        *arguments: Values that JSON can represent.
    """
    command = [sys.executable, "-c", _SERVE, function, str(os.getpid())]
    pipe = subprocess.PIPE
    output: deque[str] = deque(maxlen=20)
    result = None
    with _child(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("The child process has no pipes")
        process.stdin.write(json.dumps(arguments))
        process.stdin.close()
        for line in process.stdout:
            if line.startswith(_PROGRESS):
                progress(*json.loads(line[len(_PROGRESS) :]))
            elif line.startswith(_RESULT):
                result = json.loads(line[len(_RESULT) :])
            elif line.strip():
                output.append(line.strip())
    return Outcome(process.returncode, result, tuple(output))


@contextmanager
def _child(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:
        _children.add(process)
        try:
            yield process
        finally:
            _children.discard(process)


def end_all() -> None:
    """Terminate all children of this process; pending `call`s return."""
    for process in list(_children):
        process.terminate()


def _end_with(parent: int) -> None:
    """End this process soon after its parent, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def serve(function: str, parent: int) -> None:
    """Run as the child: call the function, report progress and the result, and end soon after the parent."""
    if os.name == "posix" and os.getppid() != parent:  # on Windows a virtual environment's launcher is the parent
        os._exit(1)  # the parent was killed during imports, and another process may be using its folder

    def report(*progress: object) -> None:
        print(_PROGRESS + json.dumps(progress), flush=True)

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    module, name = function.split(":")
    result = getattr(importlib.import_module(module), name)(report, *json.load(sys.stdin))
    print("\n" + _RESULT + json.dumps(result), flush=True)  # a library may have left a line without its end
