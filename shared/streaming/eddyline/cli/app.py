"""The command line: each subcommand is a function of a module of this room."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer

from eddyline.cli import events, files, streams, suite, tokens
from eddyline.cli.doctor.command import doctor

_PLAIN: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}

app: typer.Typer = typer.Typer(
    name="eddyline",
    help="Streams that never lose their place. EDDYLINE_URL names the suite, EDDYLINE_TOKEN or"
    " EDDYLINE_TOKEN_FILE the token. Exit codes: 0 ok, 1 failed, 2 usage, 3 settings, 4 refused,"
    " 5 server or time-out, 6 digest, 7 gap with --strict, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config: typer.Typer = typer.Typer(help="The settings of services here.", rich_markup_mode=None)
token: typer.Typer = typer.Typer(
    help="Tokens: mint one (the default), or show one.", rich_markup_mode=None
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    files.get,
    files.ls,
    events.sub,
    events.pub,
    events.topics,
    events.who,
    events.kick,
    events.ticket,
    streams.tail,
    streams.chat,
    streams.records,
    suite.status,
    doctor,
)
for _command in _COMMANDS:
    app.command()(_command)
app.command("run", context_settings=_PLAIN)(suite.run_suite)
config.command()(suite.check)
config.command()(suite.show)
token.command()(tokens.show)


def _elsewhere(module: str, about: str) -> Callable[[typer.Context], None]:
    """A command of the library's own, which needs no part of this room."""

    def work(context: typer.Context) -> None:
        import_module(module).main(context.args)

    work.__doc__ = about
    return work


def register(commands: dict[str, tuple[str, str, str]]) -> None:
    """Lists the commands that `eddyline.__main__` runs itself."""
    for name, (module, _, about) in commands.items():
        if name == "token":
            token.command("mint", context_settings=_PLAIN)(_elsewhere(module, about))
        else:
            app.command(name, context_settings=_PLAIN)(_elsewhere(module, about))


app.add_typer(config, name="config")
app.add_typer(token, name="token")


def main(arguments: Sequence[str]) -> None:
    app(args=list(arguments), prog_name="eddyline")
