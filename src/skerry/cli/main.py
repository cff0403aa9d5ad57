"""The command ``skerry``: finds the verb, hands over, and turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback

from skerry.common.errors import EXIT_CODES, SkerryError

VERBS = {  # verb -> its module below skerry.cli
    "up": "cloud.up",
    "plan": "cloud.plan",
    "status": "cloud.status",
    "down": "cloud.down",
    "destroy": "cloud.destroy",
    "logs": "cloud.logs",
    "openstack": "cloud.openstack",
    "verify": "cloud.verify",
    "ssh": "cloud.ssh",
    "doctor": "cloud.doctor",
    "config": "cloud.config",
    "secrets": "cloud.secrets",
    "image": "cloud.image",
    "lab": "lab.lab",
    "cloudlet": "cloudlet.cloudlet",
    "migration": "migration.migration",
    "completion": "completion",
    "test": "develop.test",
    "bench": "develop.bench",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line; the reference in docs/ is made from it."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    top = argparse.ArgumentParser(
        prog="skerry",
        description="A whole, real OpenStack cloud with one command: skerry up.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--root", default="/", metavar="FOLDER", help="the root folder of the cloud (default: /)"
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, place in VERBS.items():
        module = importlib.import_module(f"skerry.cli.{place}")
        sub = verbs.add_parser(
            name, help=(module.__doc__ or name).strip().splitlines()[0], description=module.__doc__
        )
        module.arguments(sub)
        sub.set_defaults(run=module.run)
    return top


def api_errors() -> tuple[type[Exception], ...]:
    """What the client library raises. An except clause asks only when something was raised."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    return ClientException, SDKException


def main() -> None:
    arguments = sys.argv[1:]
    # What follows these verbs belongs to another program, options and all.
    passed: list[str] = []
    for verb in ("openstack", "test"):
        if verb in arguments:
            place = arguments.index(verb)
            if all(
                word.startswith("-") or arguments[i - 1] == "--root"
                for i, word in enumerate(arguments[:place])
            ):
                arguments, passed = arguments[: place + 1], arguments[place + 1 :]
                break
    args = parser().parse_args(arguments)
    args.passed = passed
    try:
        code = args.run(args)
    except SkerryError as error:
        print(f"skerry: {error}", file=sys.stderr)
        if error.remedy:
            print(f"skerry: {error.remedy}", file=sys.stderr)
        code = error.exit_code
    except api_errors() as error:
        print(f"skerry: The cloud's APIs do not answer as they should: {error}", file=sys.stderr)
        print(
            "skerry: 'skerry status' shows what runs, 'skerry doctor' looks for the cause.", file=sys.stderr
        )
        code = 8
    except KeyboardInterrupt:
        print("\nskerry: interrupted. Run the same command again: it goes on from here.", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception:
        traceback.print_exc()
        print("skerry: this is a defect in Skerry: please report it with the lines above.", file=sys.stderr)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
