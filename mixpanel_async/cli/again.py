"""The command that was called, or another with the same parameters, as a line for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource


def again(ctx: click.Context, **changed: object) -> str:
    """Return the command with the parameters that the user wrote, but with the values of `changed`.

    `None` or `False` leaves a parameter out. Settings that came from the environment stay there, and so do secrets,
    which are in no parameter.
    """
    return _line(ctx.command_path, ctx.command, ctx, changed)


def other(ctx: click.Context, path: str, command: click.Command, /, **values: object) -> str:
    """Return another command with these values, and with those of its parameters that the user wrote for this one."""
    return _line(f"{ctx.find_root().command_path} {path}", command, ctx, values)


def _line(path: str, command: click.Command, ctx: click.Context, values: Mapping[str, object]) -> str:
    words = path.split()
    for parameter in command.params:
        name = parameter.name or ""
        if name in values:
            words += _words(parameter, values[name])
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
