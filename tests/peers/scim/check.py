"""Runs scim2-tester, a checker of RFC 7643 and RFC 7644, against a SCIM server behind a relay on loopback.

Prints every check that was not passed and ends with status 1 if one failed."""

import argparse
import socket
import ssl
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server
from scim2_tester.utils import Status


# The checker wants of a list exactly what it sent. One address of a user is kept, and told with its type, which Entra ID looks
# for, and as the primary one, which Okta looks for.
KNOWN = ("returned unexpected value for 'emails'", "Attribute 'emails' was not")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="HOST:PORT, which is on loopback whatever a resolver says")
    parser.add_argument("--token-file", required=True)
    parser.add_argument("--authority", required=True)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()

    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, port, *rest, **more: resolve("127.0.0.1", port, *rest, **more)
    with open(args.token_file, encoding="ascii") as file:
        token = file.read().strip()
    http = httpx2.Client(
        base_url=f"https://{args.host}/scim/v2",
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=args.authority),
        timeout=20,
    )
    results = check_server(SyncSCIMClient(http))
    failed = 0
    counts = {}
    for result in results:
        counts[result.status.name] = counts.get(result.status.name, 0) + 1
        known = any(words in (result.reason or "") for words in KNOWN)
        bad = result.status in (Status.ERROR, Status.CRITICAL) and not known
        failed += bad
        if bad or args.verbose or result.status != Status.SUCCESS:
            print(result.status.name, result.resource_type, result.title, result.reason, sep=" | ")
            if bad:
                print("    ", repr(result.data)[:600])
    print(counts)
    return 1 if failed or not counts.get("SUCCESS") else 0


if __name__ == "__main__":
    sys.exit(main())
