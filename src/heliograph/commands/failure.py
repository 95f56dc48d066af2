"""Why a command was not carried out. Every command needs this, also one that needs neither server nor store."""


class CommandFailed(Exception):
    """A command cannot be carried out; the text says why and what to do."""
