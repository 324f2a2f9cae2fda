"""Ask a running server for a patch over OSC, and print every reply until the job has ended.

    scorewire serve                                       (in one terminal: it says its port)
    python examples/osc_client.py "hitting pot with wooden spoon" --renderer impact --out pot \\
        --key "$(scorewire token)"

docs/osc.md has every address. UDP may lose a packet: the same `req` with the same content may be
sent again, and no second job starts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pythonosc.udp_client import SimpleUDPClient

REQ = 1  # ours to choose; every reply carries it
PATIENCE = 2.0  # seconds of silence before the request is sent again
TRIES = 5
ENDS = ("/scorewire/done", "/scorewire/cancelled", "/scorewire/fail")


def main() -> int:
    """0 when the patch is done, 1 when it failed or nobody answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prompt", help="what it should sound like")
    parser.add_argument("--renderer", default="fm", help="fm or impact")
    parser.add_argument("--out", type=Path, default=Path("patch"), help="folder for the results")
    parser.add_argument("--port", type=int, default=9557)
    parser.add_argument("--key", help="what `scorewire token` says; without it OSC may write new "
                        "files below the library and the results only (docs/osc.md)")  # fmt: skip
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                        help="such as steps=60, seed=1, duration=1.5, recipe=fast")  # fmt: skip
    args = parser.parse_args()
    request = [REQ, args.prompt, args.renderer, str(args.out.absolute()), *args.option]
    request += [f"key={args.key}"] if args.key else []
    with SimpleUDPClient("127.0.0.1", args.port) as client:
        return ask(client, request)


def ask(client: SimpleUDPClient, request: list[int | str]) -> int:
    """Send, print what comes back, send again when it is quiet."""
    silent = 0
    client.send_message("/scorewire/patch", request)
    while silent < TRIES:
        heard = False
        for reply in client.get_messages(timeout=PATIENCE):
            heard = True
            print(reply.address, *reply.params, flush=True)
            if reply.address in ENDS:
                return 0 if reply.address == "/scorewire/done" else 1
        silent = 0 if heard else silent + 1
        client.send_message("/scorewire/patch", request)
    print("no server answers there; start one with: scorewire serve", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
