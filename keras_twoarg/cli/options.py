"""Options of commands, whose names, types, defaults and help come from the fields of a dataclass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click

from keras_twoarg.cli.common import widths, words
from keras_twoarg.experiments.settings import Limits, alternatives, limits_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., object])


class NumberOrWord(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2, which is of no use here
    """A number, or one of several words."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known, self.name = tuple(known), "|".join(["number", *known])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the word or the number."""
        if not isinstance(value, str) or value in self.known:
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"expected a number or {' or '.join(map(repr, self.known))}. Received: {value}", param, ctx)


def settings_options(
    kind: "type[DataclassInstance]",
    *,
    without: Sequence[str] = (),
    only: Sequence[str] = (),
    changes: bool = False,
    helps: Mapping[str, str] | None = None,
    **defaults: object,
) -> Callable[[Command], Command]:
    """Return a decorator that adds one option per setting of a dataclass to a command.

    Args:
        kind: The dataclass, whose fields are made by `settings.setting`.
        without: Settings to leave out.
        only: Settings to include. Defaults to all.
        changes: Whether options change existing values, and so default to None.
        helps: Help texts to use instead of the dataclass's, for settings with another meaning in the command.
        **defaults: Defaults to use instead of the dataclass's.
    """
    hints, limits = get_type_hints(kind), limits_of(kind)

    def decorate(command: Command) -> Command:
        for field in reversed(fields(kind)):
            name = field.name
            if name in limits and name not in without and (not only or name in only):
                default = defaults.get(name, field.default)
                default = None if changes or default is MISSING else default
                shown = replace(limits[name], help=(helps or {}).get(name, limits[name].help))
                command = _option(name, hints[name], shown, default, changes)(command)
        return command

    return decorate


def _option(name: str, hint: object, limits: Limits, default: Any, changes: bool) -> Callable[[Command], Command]:
    kinds = [kind for kind in alternatives(hint) if kind is not type(None)]
    flag = "--" + name.replace("_", "-")
    help = limits.help.partition("  [default")[0] if changes else limits.help
    if kinds == [bool]:
        return click.option(flag, name, is_flag=True, default=default, help=help)
    if get_origin(kinds[0]) is tuple:
        read = words if get_args(kinds[0])[0] is str else widths
        shown = None if default is None else ",".join(map(str, default))
        return click.option(flag, name, callback=read, default=shown, help=help)
    return click.option(flag, name, type=_type(kinds, limits), default=default, help=help)


def _type(kinds: Sequence[object], limits: Limits) -> object:
    known = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if known:
        return NumberOrWord(known)
    if kinds[0] is str:
        return click.Choice(limits.choices) if limits.choices else str
    return kinds[0]
