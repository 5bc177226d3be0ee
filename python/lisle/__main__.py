"""`python -m lisle program.py args…`: runs a program with lisle in the place of the standard modules."""

import argparse
import io
import os
import sys
import types


def _arguments():
    parser = argparse.ArgumentParser(
        prog="python -m lisle",
        usage="python -m lisle [-h] [--watch] (program.py | -m module | -c code) [args ...]",
        description="Runs a Python program, unmodified, with lisle in the place of threading, queue and concurrent.futures.",
        epilog="It reaches this process and those that it forks. Other children (subprocess, multiprocessing's "
        "spawn) begin with the standard modules: start them with python -m lisle too, or call lisle.install() there. "
        "SIGQUIT (Ctrl-\\ in a terminal) has the program print all its threads, what they wait for, and any deadlock; "
        "SIGUSR2 lets `lisle dump`, `top` and `web` look at it, as --watch does from the start.",
    )
    parser.add_argument("--watch", action="store_true", help="let `lisle dump`, `top` and `web` look at the program")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module, as python -m does")
    group.add_argument("-c", dest="code", nargs=argparse.REMAINDER, help="run code, as python -c does")
    group.add_argument("program", nargs="?", help="run a file, or - for standard input")
    # Everything behind what is run belongs to it.
    given = sys.argv[1:]
    watch = bool(given) and given[0] == "--watch"
    if watch:
        del given[0]
    if given and given[0] in ("-m", "-c"):
        if len(given) == 1:
            parser.error(f"argument {given[0]}: what is to be run?")
        return watch, given[0], given[1], given[2:]
    if given and not (given[0].startswith("-") and given[0] != "-"):
        return watch, "file", given[0], given[1:]
    parser.parse_args(given)
    return parser.error("what is to be run?")


def _holds_main(path):
    """Whether it is a directory or an archive, which Python runs as a package."""
    import pkgutil

    return pkgutil.get_importer(path) is not None


def _make_visible(watch):
    """What others may see of the program, and how; a program that cannot be seen runs all the same."""
    from lisle import watch as agent

    try:
        agent.dump_on_signal()
        agent.start_agent_on_signal()
        if watch:
            agent.start_agent()
            pid = os.getpid()
            print(f"lisle: look at this program by `lisle top {pid}`, `lisle web {pid}` or `lisle dump {pid}`", file=sys.stderr)
    except OSError as error:
        print(f"lisle: the program cannot be looked at: {error}", file=sys.stderr)


def main():
    watch, kind, what, rest = _arguments()
    import lisle

    lisle.install()
    _make_visible(watch)
    module = types.ModuleType("__main__")
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    # What was put first for `-m lisle` is for the program to say.
    if kind == "-m":
        import runpy

        sys.argv = [what, *rest]
        runpy._run_module_as_main(what, alter_argv=True)
        return
    if kind == "file" and what != "-" and _holds_main(what):
        import runpy

        sys.argv = [what, *rest]
        sys.path[0 : 0 if sys.flags.safe_path else 1] = [os.path.abspath(what)]
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    if kind == "-c":
        sys.argv = ["-c", *rest]
        code = compile(what, "<string>", "exec")
    elif what == "-":
        sys.argv = ["-", *rest]
        code = compile(sys.stdin.read(), "<stdin>", "exec")
    else:
        sys.argv = [what, *rest]
        program = os.path.abspath(what)
        if not sys.flags.safe_path:
            sys.path[0] = os.path.dirname(os.path.realpath(what))
        try:
            with io.open_code(program) as file:
                source = file.read()
        except OSError as error:
            sys.exit(f"python -m lisle: can't open file {program!r}: {error}")
        module.__file__ = program
        module.__cached__ = None
        code = compile(source, program, "exec", dont_inherit=True)
    exec(code, module.__dict__)


if __name__ == "__main__":
    main()
