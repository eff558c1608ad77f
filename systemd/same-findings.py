#!/usr/bin/python3
"""Compares two audits of one host, as JSON: what root sees without a sandbox, and what the service's unit saw in its own.

    same-findings.py OUTSIDE.json INSIDE.json

A finding that only one of them has is an error, unless that one's audit names its check as not run, unknown or incomplete:
could not look is never clean.
"""
import json
import sys


def read(path):
    report = json.load(open(path))
    found = {finding["fingerprint"]: finding["check"] for finding in report["findings"]}
    blind = {check["id"] for check in report["checks"] if check["result"] in ("not_run", "unknown")}
    blind |= {entry["what"] for entry in report["incomplete"]}
    return found, blind


outside, inside = map(read, sys.argv[1:])
wrong = 0
for (found, _), (others, blind), where in ((outside, inside, "inside"), (inside, outside, "outside")):
    for fingerprint, check in found.items():
        if fingerprint not in others and check not in blind:
            print(f"{check} {fingerprint}: not found {where}, and not said to be unseen")
            wrong += 1
same = len(outside[0].keys() & inside[0].keys())
print(f"{same} findings are the same")
sys.exit(wrong > 0 or same == 0)
