"""The command that was called, as a line for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource


def again(ctx: click.Context, **changed: object) -> str:
    """Return the command with the parameters that the user wrote, but with the values of `changed`.

    `None` or `False` leaves a parameter out. Settings that came from the environment stay there, and so do secrets,
    which are in no parameter.
    """
    words = ctx.command_path.split()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in changed:
            words += _words(parameter, changed[name])
        elif ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words += _words(parameter, ctx.params.get(name))
    return shlex.join(words)


def _words(parameter: click.Parameter, value: object) -> Iterator[str]:
    values = value if isinstance(value, (tuple, list)) else [value]
    for each in values:
        if isinstance(parameter, click.Argument):
            yield str(each)
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            yield from _flag(parameter, each)
        elif each is not None:
            yield from (_long(parameter.opts), str(each))


def _flag(option: click.Option, value: Any) -> Iterator[str]:
    if value:
        yield _long(option.opts)
    elif value is False and option.secondary_opts:
        yield option.secondary_opts[0]


def _long(names: list[str]) -> str:
    return next((name for name in names if name.startswith("--")), names[0])
