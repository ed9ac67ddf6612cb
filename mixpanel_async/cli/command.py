"""A click command whose callback is a coroutine function that returns an exit code."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

import click

from mixpanel_async.cli.again import again


class AsyncCommand(click.Command):
    """Runs its callback's coroutine, and exits with what that returns; `None` is 0.

    Args:
        on_signal: how to go on after Ctrl-C or SIGTERM: what stays, and the parameters to change in the command that
            goes on, if there is one.
    """

    def __init__(self, *args: Any, on_signal: tuple[str, dict[str, Any] | None] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_signal = on_signal
        self.params.append(click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."))
        self.params.append(click.Option(["-v", "--verbose"], is_flag=True, help="Log what is done."))

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the command. Raises click's Exit."""
        from mixpanel_async.cli.running import run  # noqa: PLC0415 - help needs no event loop

        debug, verbose = ctx.params.pop("debug"), ctx.params.pop("verbose")
        how_to_go_on = partial(self._how_to_go_on, ctx)
        ctx.exit(run(super().invoke(ctx), how_to_go_on=how_to_go_on, debug=debug, verbose=verbose))

    def _how_to_go_on(self, ctx: click.Context) -> str:
        if self._on_signal is None:
            return ""
        stays, changed = self._on_signal
        return stays if changed is None else f"{stays} Go on with: {again(ctx, **changed)}"
