"""`completion`: what a shell needs to complete the commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print a script for your shell.

    It completes commands and options.

    \b
    bash   eval "$(mixpanel-async completion bash)"          in ~/.bashrc
    zsh    eval "$(mixpanel-async completion zsh)"           in ~/.zshrc
    fish   mixpanel-async completion fish | source           in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    if made is not None:
        click.echo(made(ctx.find_root().command, {}, "mixpanel-async", "_MIXPANEL_ASYNC_COMPLETE").source())
