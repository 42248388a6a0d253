#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether Zabbix's values are those that loadcell told meanwhile.

usage: compare.py SAMPLES VALUES: lines of `loadcell list --json`, and "KEY STATE CLOCK VALUE ..." divided by tabs.
A gauge lies between the least and the greatest of the samples, the rate of a counter between the least and the
greatest of all pairs of samples that are as far apart as two values of Zabbix may be.
"""
import json
import re
import sys

SLACK = 0.02  # of the value: Zabbix's clock has whole seconds, and SNMP units of KiB, 1/1000 core
BEFORE = 5  # seconds: a rate is about the time before its clock
PERCENT = re.compile("pressure")


def metrics_of(sample, key):
    m = re.fullmatch(r'loadcell\.(instance|filesystem)\.([a-z_0-9]+)\["(.*)"\]', key)
    if not m:
        return sample["host"]["metrics"], key.partition(".")[2]
    rows = sample["instances"] if m[1] == "instance" else sample["host"]["filesystems"]
    name = "handle" if m[1] == "instance" else "mount"
    return next((r["metrics"] for r in rows if r[name] == m[3]), None), m[2]


def main():
    samples = [json.loads(line) for line in open(sys.argv[1]) if line.strip()]
    compared = wrong = 0
    for line in open(sys.argv[2]):
        key, _, clock, value = line.rstrip("\n").split("\t")[:4]
        points = []
        for s in samples:
            metrics, name = metrics_of(s, key)
            v = metrics.get(name) if metrics else None
            if isinstance(v, (int, float)):
                points.append((s["time"], v))
        if len(points) < 3 or not samples[0]["time"] + BEFORE <= float(clock) <= samples[-1]["time"]:
            continue
        value = float(value)
        gauges = [v for _, v in points]
        rates = [(b[1] - a[1]) / (b[0] - a[0]) for a in points for b in points if 1.5 < b[0] - a[0] < 8]
        if PERCENT.search(key):
            rates = [100 * r for r in rates]
        def inside(x, bounds, slack):
            return bounds and min(bounds) - slack <= x <= max(bounds) + slack
        good = inside(value, gauges, 2048 + SLACK * abs(value)) if "bytes" in key or value > 1000 else inside(value, gauges, 0.01 + SLACK * abs(value))
        good = good or inside(value, rates, 0.05 + 0.3 * abs(value))
        compared += 1
        if not good:
            wrong += 1
            print("WRONG: %s is %s, told were %s to %s, rates %s to %s" % (
                key, value, min(gauges), max(gauges), min(rates, default="-"), max(rates, default="-")))
    print("%d values compared, %d wrong" % (compared, wrong))
    sys.exit(wrong > 0 or compared < 50)


main()
