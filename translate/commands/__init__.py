"""The commands: what each is given, and what it prints."""

from translate.commands.align import align
from translate.commands.app import app
from translate.commands.attention import attention
from translate.commands.check import check
from translate.commands.decode import decode
from translate.commands.evaluate import evaluate
from translate.commands.export import export
from translate.commands.score import score
from translate.commands.train import train

# In the order in which --help lists them; groups come last.
for command in (check, train, decode, evaluate, score, align, export):
    app.command()(command)
app.add_typer(attention, name="attention")

__all__ = ["app"]
