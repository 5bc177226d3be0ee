"""The program `lisle`: `lisle dump PID`, `lisle top PID` …"""

import os
import signal
import sys


def main():
    from ._lisle import _command

    # As any program has them. The interpreter's own handler only makes a note, for Python code to find.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.exit(_command(*map(os.fsencode, ["lisle", *sys.argv[1:]])))


if __name__ == "__main__":
    main()
