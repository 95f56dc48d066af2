"""A server that asks an unreachable database for one second before it tells its clients, and not for five.

python -m tests.chaos.impatient serve ...
"""

import sys

from heliograph.cli import main
from heliograph.domain.instant import SECOND
from heliograph.store import writer

if __name__ == "__main__":
    writer.GroupCommit.__init__.__defaults__ = (SECOND,)
    sys.exit(main(sys.argv[1:]))
