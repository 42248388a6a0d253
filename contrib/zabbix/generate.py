#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the Zabbix templates, loadcell.conf and ITEMS.md from declare.py and `loadcell metrics --json`.

usage: generate.py LOADCELL DIRECTORY
"""
import hashlib
import json
import os
import re
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import declare as d  # noqa: E402

ARC = "{$LC.ARC}"
GROUP = "Templates/loadcell"
IDENTITY = {"HANDLE": 3003, "NAME": 3002, "HOSTNAME": 3005, "GROUPS": 3006, "LXCPATH": 3007, "KIND": 3008,
            "MEMLIMIT": 1017, "MEMUNLIMITED": 2017, "DISKLIMIT": 1046, "DISKUNLIMITED": 2046}
AGENT_IDENTITY = {"HANDLE": "$.handle", "NAME": "$.name", "HOSTNAME": "$.hostname", "GROUPS": "$.groups",
                  "LXCPATH": "$.lxcpath", "KIND": "$.kind"}
SNMP_ITEM_MAX = 512  # characters of snmp_oid in Zabbix's database
PRIORITIES = ("INFO", "WARNING", "AVERAGE", "HIGH")


def uuid(*path):
    h = hashlib.sha256("/".join(path).encode()).hexdigest()
    return h[:12] + "4" + h[13:16] + "89ab"[int(h[16], 16) % 4] + h[17:32]


def step(kind, *parameters, discard=False):
    s = {"type": kind, "parameters": list(parameters) or [""]}
    if discard:
        s["error_handler"] = "DISCARD_VALUE"
    return s


# Identities that are absent are told as "": Zabbix's filters drop rows without a macro.
DEFAULTS = """var rows = JSON.parse(value);
rows.forEach(function (row) {
    %s.forEach(function (name) {
        if (row[name] === undefined || row[name] === null)
            row[name] = '';
    });
});
return JSON.stringify(rows);"""


class Template:
    def __init__(self, metrics, door, version):
        self.metrics, self.door, self.version = metrics, door, version
        self.name = "loadcell by " + ("SNMP" if door == "snmp" else "Zabbix agent")
        self.walks = door == "snmp" and version == "7.0"
        self.names = {}  # trigger name -> expression, for dependencies

    # --- items ----------------------------------------------------------------------------------
    def column(self, metric):
        m = self.metrics[metric]
        return m["id"] + (1000 if m["unit"] == "bytes" and m["kind"] != "counter" else 0)

    def scale(self, item):
        """What SNMP's integers are multiplied by."""
        m = self.metrics[item.metric]
        if self.door == "agent":
            return None
        return {"seconds": "0.000001", "cores": "0.001", "ratio": "0.0001"}.get(m["unit"])

    def units(self, item):
        m = self.metrics[item.metric]
        if item.units in ("cores", "Bps", "uptime"):
            return item.units
        if item.units == "share":
            return "%"
        return {"bytes": "B", "seconds": "s", "ratio": "%"}.get(m["unit"], "") if item.how != "rate" else ""

    def is_float(self, item):
        return item.how == "rate" or self.metrics[item.metric]["unit"] in ("seconds", "cores", "ratio")

    def source(self, item, table, index, rule):
        """Where the value comes from, and the first steps."""
        if self.door == "agent":
            row = {"host": "$.host", "instance": '$.instances[?(@.handle=="{#HANDLE}")]',
                   "filesystem": '$.filesystems[?(@.mount=="{#MOUNT}")]'}[table]
            path = '%s.m["%d"]%s' % (row, self.metrics[item.metric]["id"], "" if table == "host" else ".first()")
            return {"type": "DEPENDENT", "delay": "0", "master_item": {"key": rule}}, [step("JSONPATH", path, discard=True)]
        number = {"host": 2, "instance": 3, "interface": 4, "filesystem": 5}[table]
        oid = "%s.1.%d%s.%d.%s" % (ARC, number, "" if table == "host" else ".1", self.column(item.metric), index)
        if self.walks:
            return ({"type": "DEPENDENT", "delay": "0", "master_item": {"key": rule}},
                    [step("SNMP_WALK_VALUE", oid, "0", discard=True)])
        return {"type": "SNMP_AGENT", "snmp_oid": oid, "delay": d.INTERVAL}, [step("CHECK_NOT_SUPPORTED", discard=True)]

    def item(self, item, table, prefix, key, index, rule, tags):
        data, steps = self.source(item, table, index, rule)
        if self.scale(item):
            steps.append(step("MULTIPLIER", self.scale(item)))
        if item.how == "rate":
            steps.append(step("CHANGE_PER_SECOND"))
        if item.units == "share":
            steps.append(step("MULTIPLIER", "100"))
        if item.how == "limit":
            steps.append(step("DISCARD_UNCHANGED_HEARTBEAT", d.HEARTBEAT))
        component = re.sub("[^a-z]+.*", "", item.name.lower()) if table != "interface" else "network"
        out = {"uuid": uuid(self.name, key), "name": prefix + item.name, **data, "key": key, "history": "7d",
               "value_type": "FLOAT" if self.is_float(item) else None, "units": self.units(item) or None,
               "description": self.metrics[item.metric]["help"], "preprocessing": steps,
               "tags": [{"tag": "component", "value": "disk" if table == "filesystem" else component}] + tags}
        return {k: v for k, v in out.items() if v is not None}

    def key(self, what, metric):
        return 'loadcell.%s.%s["%s"]' % (what, metric, {"instance": "{#HANDLE}", "filesystem": "{#MOUNT}",
                                                        "interface": '{#HANDLE}","{#IFNAME}'}[what])

    def instance_items(self, items, rule):
        tags = [{"tag": "instance", "value": "{#HANDLE}"}, {"tag": "hostname", "value": "{#HOSTNAME}"}]
        return [self.item(i, "instance", "{#HANDLE}: ", self.key("instance", i.metric), "{#SNMPINDEX}", rule, tags)
                for i in items]

    # --- triggers -------------------------------------------------------------------------------
    def expression(self, text):
        def one(match):
            kind, _, metric = match.group(1).rpartition(":")
            key = {"host": "loadcell.%s" % metric, "fs": self.key("filesystem", metric), "key": metric,
                   "": self.key("instance", metric)}[kind]
            return "/%s/%s" % (self.name, key)
        return re.sub(r"\{((?:host:|fs:|key:)?[a-z_.]+)\}", one, text)

    def triggers(self, triggers, tags=()):
        out = []
        for t in triggers:
            expression = self.expression(t.expression)
            name = t.name.replace("%%", "%")
            self.names[name] = expression
            tag = {"uuid": uuid(self.name, "trigger", name), "expression": expression, "name": name, "priority": t.priority,
                   "description": t.help, "tags": [{"tag": "scope", "value": "capacity"}] + list(tags)}
            if t.recovery:
                tag.update(recovery_mode="RECOVERY_EXPRESSION", recovery_expression=self.expression(t.recovery))
            after = [n for n in self.names if any(a in n for a in t.after) and n != name]
            if after:
                tag["dependencies"] = [{"name": n, "expression": self.names[n]} for n in after]
            out.append(tag)
        return out

    def event_triggers(self):
        """Ends that nobody asked for, and flapping."""
        if self.door == "agent":
            key = "log[{$LOADCELL.EVENTS},,,100,skip]"
            def made(name, pattern, help):
                return d.Trigger(name, 'find(/%s/%s,{$LOADCELL.END.WINDOW},"regexp","%s")=1 and nodata(/%s/%s,{$LOADCELL.END.WINDOW})=0'
                                 % (self.name, key, pattern, self.name, key), "AVERAGE", help)  # nodata() makes time recover it
            return [made("An instance ended unexpectedly", '\\"how\\":[ ]*\\"(killed|oom|host-crash)\\"', "See the item of events."),
                    made("An instance starts again and again", '\\"type\\":[ ]*\\"flapping\\"', "See the item of events.")]
        return [d.Trigger("An instance ended unexpectedly", "max({host:unexpected_ends},{$LOADCELL.END.WINDOW})>0", "AVERAGE",
                          "loadcell runs tells which: killed, oom or host-crash."),
                d.Trigger("An instance starts again and again", "max({host:flappings},{$LOADCELL.END.WINDOW})>0", "AVERAGE",
                          "loadcell events tells which is flapping.")]

    # --- host -----------------------------------------------------------------------------------
    def raw(self, key, name, oids, description):
        if len(oids) > SNMP_ITEM_MAX:
            sys.exit("generate.py: %s: %d characters of OIDs" % (key, len(oids)))
        return {"uuid": uuid(self.name, key), "name": name, "type": "SNMP_AGENT", "snmp_oid": oids, "key": key,
                "delay": d.INTERVAL, "history": "0", "value_type": "TEXT", "trends": "0", "description": description,
                "tags": [{"tag": "component", "value": "raw"}]}

    def walk(self, key, name, table, columns):
        return self.raw(key, name, "walk[%s]" % ",".join("%s.1.%d.1.%d" % (ARC, table, c) for c in columns),
                        "All columns of one table; the other items take theirs from it.")

    def status(self, key, name, number, steps, **more):
        oid = "%s.1.1.%d.0" % (ARC, number)
        base = {"uuid": uuid(self.name, key), "name": name, "key": key, "history": "7d",
                "tags": [{"tag": "component", "value": "loadcell"}], **more}
        if self.walks:
            return {**base, "type": "DEPENDENT", "delay": "0", "master_item": {"key": "loadcell.walk.host"},
                    "preprocessing": [step("SNMP_WALK_VALUE", oid, "0", discard=True)] + steps}
        return {**base, "type": "SNMP_AGENT", "snmp_oid": oid, "delay": d.INTERVAL,
                "preprocessing": [step("CHECK_NOT_SUPPORTED", discard=True)] + steps}

    def own_items(self):
        if self.door == "agent":
            def path(key, name, where, **more):
                return {"uuid": uuid(self.name, key), "name": name, "key": key, "type": "DEPENDENT", "delay": "0", "history": "7d",
                        "master_item": {"key": "loadcell.data"}, "preprocessing": [step("JSONPATH", where, discard=True)],
                        "tags": [{"tag": "component", "value": "loadcell"}], **more}
            return [
                {"uuid": uuid(self.name, "loadcell.data"), "name": "loadcell: data", "type": "ZABBIX_PASSIVE", "key": "loadcell.data",
                 "delay": d.INTERVAL, "history": "0", "value_type": "TEXT", "trends": "0",
                 "description": "One document; the other items take theirs from it.", "tags": [{"tag": "component", "value": "raw"}]},
                path("loadcell.stale", "loadcell: data is stale", "$.stale"),
                path("loadcell.age", "loadcell: age of the data", "$.age", value_type="FLOAT", units="s"),
                {"uuid": uuid(self.name, "log"), "name": "loadcell: events", "type": "ZABBIX_ACTIVE",
                 "key": "log[{$LOADCELL.EVENTS},,,100,skip]", "delay": "10s", "history": "7d", "value_type": "LOG", "trends": "0",
                 "description": "Starts, ends, OOM kills, changed limits; needs active checks, and the user zabbix in the group loadcell.",
                 "tags": [{"tag": "component", "value": "events"}]},
            ]
        rate = [step("CHANGE_PER_SECOND")]
        own = [
            self.status("loadcell.stale", "loadcell: data is stale", 3004, [step("JAVASCRIPT", "return value == 1 ? 1 : 0;")]),
            self.status("loadcell.age", "loadcell: age of the data", 3003, [step("MULTIPLIER", "0.001")], value_type="FLOAT", units="s"),
            self.status("loadcell.last_event", "loadcell: newest event", 3011, [step("DISCARD_UNCHANGED_HEARTBEAT", "1d")],
                        value_type="CHAR", trends="0"),
            self.status("loadcell.unexpected_ends", "Instances: unexpected ends", 3012, rate, value_type="FLOAT"),
            self.status("loadcell.flappings", "Instances: flapping", 3013, rate, value_type="FLOAT"),
        ]
        if self.walks:
            own.insert(0, self.raw("loadcell.walk.host", "Host: walk", "walk[%s.1.1,%s.1.2]" % (ARC, ARC),
                                   "The scalars of LOADCELL-MIB."))
            own += [self.walk("loadcell.walk.instance", "Instances: walk", 3, [self.column(i.metric) for i in d.INSTANCE]),
                    self.walk("loadcell.walk.identity", "Instances: walk of names", 3, IDENTITY.values()),
                    self.walk("loadcell.walk.filesystem", "File systems: walk", 5, [3002, 3004] + [self.column(i.metric) for i in d.FILESYSTEM])]
        return own

    def more_items(self):
        """Masters of the rules that are shipped disabled."""
        if self.door == "agent":
            return [{"uuid": uuid(self.name, "loadcell.more"), "name": "loadcell: more data", "type": "ZABBIX_PASSIVE", "key": "loadcell.more",
                     "delay": d.INTERVAL, "history": "0", "value_type": "TEXT", "trends": "0", "status": "DISABLED",
                     "description": "For the discovery rule of the same name.", "tags": [{"tag": "component", "value": "raw"}]}]
        if not self.walks:
            return []
        out = [self.walk("loadcell.walk.more", "Instances: walk of more", 3, [3003, 3005] + [self.column(i.metric) for i in d.MORE]),
               self.walk("loadcell.walk.interface", "Interfaces: walk", 4, [3002] + [self.column(i.metric) for i in d.INTERFACE])]
        return [{**i, "status": "DISABLED"} for i in out]

    def host_items(self):
        rule = "loadcell.data" if self.door == "agent" else "loadcell.walk.host"
        return [self.item(i, "host", "", "loadcell.%s" % i.metric, "0", rule, []) for i in d.HOST]

    def host_triggers(self):
        stale = [d.Trigger("loadcell: no data for {$LOADCELL.NODATA}", "nodata({host:stale},{$LOADCELL.NODATA})=1", "HIGH",
                           "Zabbix gets no answer: agent, snmpd or loadcell-snmp are down."),
                 d.Trigger("loadcell: the data is stale", "last({host:stale})=1", "HIGH",
                           "The collector has stopped or hangs: loadcell status", after=("no data for",))]
        triggers = self.triggers(stale + d.HOST_TRIGGERS + self.event_triggers())
        for t in triggers[2:]:
            t.setdefault("dependencies", []).extend({"name": s["name"], "expression": s["expression"]} for s in triggers[:2])
        return triggers

    # --- discovery ------------------------------------------------------------------------------
    def conditions(self):
        wanted = [("HANDLE", "NAME.MATCHES", None), ("HANDLE", "NAME.NOT_MATCHES", "NOT_MATCHES_REGEX"), ("KIND", "KIND.MATCHES", None),
                  ("LXCPATH", "LXCPATH.MATCHES", None), ("GROUPS", "GROUP.MATCHES", None)]
        out = []
        for letter, (macro, value, operator) in zip("ABCDE", wanted):
            c = {"macro": "{#%s}" % macro, "value": "{$LOADCELL.%s}" % value}
            if operator:
                c["operator"] = operator
            out.append({**c, "formulaid": letter})
        return {"evaltype": "AND", "conditions": out}

    def rule(self, key, name, macros, table, masters, **more):
        """macros: {NAME: column}. masters: (of the rule, of its items)."""
        defaults = step("JAVASCRIPT", DEFAULTS % json.dumps(["{#%s}" % m for m in macros]))
        out = {"uuid": uuid(self.name, key), "name": name, "key": key, "lifetime": "{$LOADCELL.LIFETIME}"}
        if self.version == "7.0":
            out["enabled_lifetime_type"] = "DISABLE_IMMEDIATELY"
        if self.door == "agent":
            out.update(type="DEPENDENT", delay="0", master_item={"key": masters})
        elif self.walks:
            triples = [x for m, c in macros.items() for x in ("{#%s}" % m, "%s.1.%d.1.%d" % (ARC, table, c), "0")]
            out.update(type="DEPENDENT", delay="0", master_item={"key": masters},
                       preprocessing=[step("SNMP_WALK_TO_JSON", *triples), defaults])
        else:
            oids = "discovery[%s]" % ",".join("{#%s},%s.1.%d.1.%d" % (m, ARC, table, c) for m, c in macros.items())
            if len(oids) > SNMP_ITEM_MAX:
                sys.exit("generate.py: %s: %d characters of OIDs" % (key, len(oids)))
            out.update(type="SNMP_AGENT", delay="{$LOADCELL.LLD.INTERVAL}", snmp_oid=oids, preprocessing=[defaults])
        return {**out, **more}

    def agent_rows(self, where, paths):
        """LLD rows of the agent's document, named as SNMP's."""
        script = "var d = JSON.parse(value);\nreturn JSON.stringify((d.%s || []).map(function (i) {\n    return {\n%s\n    };\n}));" % (
            where, ",\n".join("        '{#%s}': %s" % (m, p) for m, p in paths.items()))
        return {"preprocessing": [step("JAVASCRIPT", script)]}

    def instance_rows(self):
        paths = {m: "i.%s || ''" % p[2:] for m, p in AGENT_IDENTITY.items()}
        paths["NAME"] = "i.name || i.handle"
        for name, metric in (("MEM", "memory_limit_bytes"), ("DISK", "disk_limit_bytes")):
            number = self.metrics[metric]["id"]
            paths[name + "LIMIT"] = "i.m['%d'] || ''" % number
            paths[name + "UNLIMITED"] = "i.m['%d'] === undefined ? 1 : 2" % number
        return self.agent_rows("instances", paths)

    def overrides(self, triggers):
        """Without a limit nothing can be near it."""
        out = []
        for step_number, (what, macro) in enumerate((("memory", "{#MEMUNLIMITED}"), ("disk", "{#DISKUNLIMITED}")), 1):
            names = [t.name.replace("%%", "%") for t in triggers if t.only == what]
            out.append({"name": "Without a limit of " + what, "step": str(step_number),
                        "filter": {"conditions": [{"macro": macro, "value": "^2$", "operator": "NOT_MATCHES_REGEX", "formulaid": "A"}]},
                        "operations": [{"operationobject": "TRIGGER_PROTOTYPE", "operator": "EQUAL", "value": n,
                                        "discover": "NO_DISCOVER"} for n in names]})
        return out

    def graphs(self, what, pictures):
        colours = ("0072B2", "E69F00", "009E73", "D55E00", "CC79A7", "56B4E9")
        out = []
        for name, metrics in pictures:
            items = [{"color": c, "sortorder": str(n), "item": {"host": self.name, "key": self.key(what, m) if what else "loadcell.%s" % m}}
                     for n, (c, m) in enumerate(zip(colours, metrics))]
            out.append({"uuid": uuid(self.name, "graph", name), "name": name, "graph_items": items})
        return out

    def discovery_rules(self):
        agent = self.door == "agent"
        tags = [{"tag": "instance", "value": "{#HANDLE}"}]
        instance = self.rule("loadcell.instance.discovery", "Instances", IDENTITY, 3,
                             "loadcell.data" if agent else "loadcell.walk.identity",
                             filter=self.conditions(), overrides=self.overrides(d.INSTANCE_TRIGGERS))
        if agent:
            instance.update(self.instance_rows())
        instance["item_prototypes"] = self.instance_items(d.INSTANCE, "loadcell.data" if agent else "loadcell.walk.instance")
        instance["trigger_prototypes"] = self.triggers(d.INSTANCE_TRIGGERS, tags)
        instance["graph_prototypes"] = self.graphs("instance", (
            ("{#HANDLE}: memory", ("memory_working_set_bytes", "memory_anon_bytes", "memory_shmem_bytes", "memory_limit_bytes")),
            ("{#HANDLE}: CPU", ("cpu_usage_seconds",)),
            ("{#HANDLE}: network", ("network_receive_bytes", "network_transmit_bytes"))))
        filesystem = self.rule("loadcell.filesystem.discovery", "File systems", {"MOUNT": 3002, "FSTYPE": 3004}, 5,
                               "loadcell.data" if agent else "loadcell.walk.filesystem")
        if agent:
            filesystem.update(self.agent_rows("filesystems", {"MOUNT": "i.mount", "FSTYPE": "i.type || ''"}))
        filesystem["item_prototypes"] = [
            self.item(i, "filesystem", "{#MOUNT}: ", self.key("filesystem", i.metric), "{#SNMPINDEX}",
                      "loadcell.data" if agent else "loadcell.walk.filesystem", [{"tag": "mount", "value": "{#MOUNT}"}])
            for i in d.FILESYSTEM]
        filesystem["trigger_prototypes"] = self.triggers(d.FILESYSTEM_TRIGGERS)
        more = self.rule("loadcell.more.discovery", "Instances: more", {"HANDLE": 3003, "HOSTNAME": 3005}, 3,
                         "loadcell.more" if agent else "loadcell.walk.more", status="DISABLED")
        if agent:
            more.update(self.agent_rows("instances", {"HANDLE": "i.handle", "HOSTNAME": "i.hostname || ''"}))
        more["item_prototypes"] = self.instance_items(d.MORE, "loadcell.more" if agent else "loadcell.walk.more")
        rules = [instance, filesystem, more]
        if not agent:
            interface = self.rule("loadcell.interface.discovery", "Interfaces", {"IFNAME": 3002}, 4, "loadcell.walk.interface", status="DISABLED")
            interface["item_prototypes"] = [
                self.item(i, "interface", "Instance {#SNMPINDEX} {#IFNAME}: ", 'loadcell.interface.%s["{#SNMPINDEX}","{#IFNAME}"]' % i.metric,
                          "{#SNMPINDEX}", "loadcell.walk.interface", []) for i in d.INTERFACE]
            rules.append(interface)
        return rules

    # --- the file -------------------------------------------------------------------------------
    def dashboard(self):
        wide = 72 if self.version == "7.0" else 24
        widgets = []
        for n, (kind, name) in enumerate((("graph", "Host: memory"), ("graph", "Host: tasks"), ("graphprototype", "{#HANDLE}: memory"),
                                          ("graphprototype", "{#HANDLE}: CPU"))):
            proto = kind == "graphprototype"
            fields = [{"type": "GRAPH_PROTOTYPE" if proto else "GRAPH", "name": "graphid.0" if self.version == "7.0" else "graphid",
                       "value": {"host": self.name, "name": name}}]
            if proto:
                fields += [{"type": "INTEGER", "name": "columns", "value": "2"}, {"type": "INTEGER", "name": "rows", "value": "2"}]
            if self.version == "7.0":
                fields.append({"type": "STRING", "name": "reference", "value": "LCAA" + "ABCDE"[n]})
            if proto:
                widgets.append({"type": "GRAPH_PROTOTYPE" if self.version == "6.0" else kind, "x": str(wide // 2 * (n % 2)), "y": "5",
                                "width": str(wide // 2), "height": "10", "fields": fields})
            else:
                widgets.append({"type": "GRAPH_CLASSIC" if self.version == "6.0" else kind, "x": str(wide // 2 * (n % 2)), "y": "0",
                                "width": str(wide // 2), "height": "5", "fields": fields})
        return [{"uuid": uuid(self.name, "dashboard"), "name": "loadcell", "pages": [{"widgets": widgets}]}]

    def document(self):
        macros = d.MACROS + (d.AGENT_MACROS if self.door == "agent" else d.SNMP_MACROS)
        triggers = self.host_triggers()
        rules = self.discovery_rules()
        items = self.own_items() + self.more_items() + self.host_items()
        by_key = {i["key"]: i for i in items}
        loose = []
        for t in triggers:  # a trigger of one item stands below it
            keys = set(re.findall(r"/%s/(log\[[^\]]*\]|[a-z_.]+)" % re.escape(self.name), t["expression"]))
            if len(keys) == 1:
                by_key[keys.pop()].setdefault("triggers", []).append(t)
            else:
                loose.append(t)
        for r in rules:
            protos = {i["key"]: i for i in r["item_prototypes"]}
            left = []
            for t in r.pop("trigger_prototypes", []):
                keys = set(re.findall(r'/%s/([a-z_.]+\["[^"]*"\])' % re.escape(self.name), t["expression"]))
                if len(keys) == 1:
                    protos[keys.pop()].setdefault("trigger_prototypes", []).append(t)
                else:
                    left.append(t)
            if left:
                r["trigger_prototypes"] = left
        template = {"uuid": uuid(self.name), "template": self.name, "name": self.name,
                    "description": "Weighs every LXC instance of a host. See contrib/zabbix/README.md of loadcell.",
                    "groups": [{"name": GROUP}], "items": items, "discovery_rules": rules,
                    "macros": [{"macro": m, "value": v, "description": t} for m, v, t in macros], "dashboards": self.dashboard()}
        graphs = self.graphs(None, (("Host: memory", ("host_memory_total_bytes", "host_memory_available_bytes", "memory_committed_bytes")),
                                    ("Host: tasks", ("host_tasks", "host_tasks_limit", "host_pids_limit"))))
        return export(self.version, [template], triggers=loose, graphs=graphs)


def export(version, templates, **more):
    groups = [{"uuid": uuid("group", GROUP), "name": GROUP}]
    head = {"version": version}
    if version == "6.0":
        head.update(date="2026-01-01T00:00:00Z", groups=groups)
    else:
        head.update(template_groups=groups)
    head["templates"] = templates
    head.update({k: v for k, v in more.items() if v})
    return {"zabbix_export": head}


HOST_ROWS = """var rows = JSON.parse(value);
rows.forEach(function (row) {
    var groups = (row['{#GROUPS}'] || '').split(',').filter(String);
    for (var i = 1; i <= 3; i++)
        row['{#GROUP' + i + '}'] = groups[i - 1] || groups[0] || 'no group';
    ['{#HOSTNAME}', '{#LXCPATH}', '{#GROUPS}'].forEach(function (name) {
        row[name] = row[name] || '';
    });
});
return JSON.stringify(rows);"""


def instances_template(version):
    name = "loadcell instances by SNMP"
    columns = {"HANDLE": 3003, "CONTEXT": 3004, "HOSTNAME": 3005, "GROUPS": 3006, "LXCPATH": 3007, "KIND": 3008, "ZABBIXNAME": 3013}
    rule = {"uuid": uuid(name, "rule"), "name": "Instances as hosts", "type": "SNMP_AGENT", "key": "loadcell.hosts.discovery",
            "snmp_oid": "discovery[%s]" % ",".join("{#%s},%s.1.3.1.%d" % (m, ARC, c) for m, c in columns.items()),
            "delay": "{$LOADCELL.HOSTS.INTERVAL}", "lifetime": "{$LOADCELL.HOSTS.LIFETIME}",
            "preprocessing": [step("JAVASCRIPT", HOST_ROWS)],
            "filter": {"evaltype": "AND", "conditions": [
                {"macro": "{#HANDLE}", "value": "{$LOADCELL.NAME.MATCHES}", "formulaid": "A"},
                {"macro": "{#HANDLE}", "value": "{$LOADCELL.NAME.NOT_MATCHES}", "operator": "NOT_MATCHES_REGEX", "formulaid": "B"},
                {"macro": "{#KIND}", "value": "{$LOADCELL.KIND.MATCHES}", "formulaid": "C"},
                {"macro": "{#GROUPS}", "value": "{$LOADCELL.GROUP.MATCHES}", "formulaid": "D"}]},
            "host_prototypes": [{
                "uuid": uuid(name, "host"), "host": "{#ZABBIXNAME}", "name": "{#ZABBIXNAME}",
                "group_links": [{"group": {"name": "Instances"}}],
                "group_prototypes": [{"name": "Instances/{#GROUP%d}" % i} for i in (1, 2, 3)],
                "templates": [{"name": "Linux by SNMP"}],
                "macros": [
                    {"macro": "{$LOADCELL.CONTEXT}", "value": "{#CONTEXT}", "description": "The instance's SNMP context."},
                    {"macro": "{$SNMP.TIMEOUT}", "value": "1d", "description": "A planned stop is no failure of SNMP."},
                    {"macro": "{$IFCONTROL}", "value": "0", "description": "An interface that is down by plan is no problem."},
                    {"macro": "{$MEMORY.UTIL.MAX}", "value": "98", "description": "Of a limit, not of a machine: as in loadcell's own templates."}],
                "tags": [{"tag": "instance", "value": "{#HANDLE}"}, {"tag": "hostname", "value": "{#HOSTNAME}"}]}]}
    if version == "7.0":
        rule["enabled_lifetime_type"] = "DISABLE_IMMEDIATELY"
    macros = d.SNMP_MACROS + [m for m in d.MACROS if re.search("NAME|KIND|GROUP", m[0])] + [
        ("{$LOADCELL.CONTEXT}", "", "The SNMP context of the host itself: the default one. Its interface has this macro as context name."),
        ("{$LOADCELL.HOSTS.INTERVAL}", "1m", "How often instances are looked for."),
        ("{$LOADCELL.HOSTS.LIFETIME}", "1d", "How long the host of an ended instance stays.")]
    template = {"uuid": uuid(name), "template": name, "name": name,
                "description": "Makes a host of each instance, watched by the stock template in the instance's SNMP context.",
                "groups": [{"name": GROUP}], "discovery_rules": [rule],
                "macros": [{"macro": m, "value": v, "description": t} for m, v, t in macros]}
    out = export(version, [template])
    host_group = {"uuid": uuid("group", "Instances"), "name": "Instances"}
    out["zabbix_export"].setdefault("groups" if version == "6.0" else "host_groups", []).append(host_group)
    return out


class Dumper(yaml.SafeDumper):
    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


Dumper.add_representer(str, lambda dump, s: dump.represent_scalar("tag:yaml.org,2002:str", s, style="|" if "\n" in s else
                                                                  "'" if re.match(r"^[0-9.eE+-]+$", s) else None))


def agent_conf():
    def names(*lists):
        return " ".join(i.metric for items in lists for i in items)
    limits = " disk_limit_bytes"
    return ("# Items of the template \"loadcell by Zabbix agent\", for agent and agent 2: copy it into zabbix_agentd.d/ or\n"
            "# zabbix_agent2.d/, add the agent's user to the group loadcell and restart the agent. Made by generate.py.\n"
            "UserParameter=loadcell.data,loadcell zabbix %s\n"
            "UserParameter=loadcell.more,loadcell zabbix %s\n" % (names(d.HOST, d.FILESYSTEM, d.INSTANCE) + limits, names(d.MORE)))


def page(documents):
    """ITEMS.md: what stands in the templates, read from what was made."""
    out = ["# Items and triggers", "", "Made from the templates by `make generate`; do not edit.", ""]
    for door, doc in documents:
        t = doc["zabbix_export"]["templates"][0]
        out += ["## " + t["name"], ""]
        sections = [("Host", t.get("items", []), "enabled")]
        sections += [(r["name"], r["item_prototypes"], "disabled" if r.get("status") == "DISABLED" else "enabled")
                     for r in t["discovery_rules"]]
        for name, items, state in sections:
            out += ["### %s (%s)" % (name, state), "", "| item | key | units |", "|---|---|---|"]
            out += ["| %s | `%s` | %s |" % (i["name"], i["key"], i.get("units", "")) for i in items]
            out += [""]
        triggers = doc["zabbix_export"].get("triggers", [])
        for r in t["items"]:
            triggers = triggers + r.get("triggers", [])
        for r in t["discovery_rules"]:
            triggers = triggers + r.get("trigger_prototypes", []) + [x for i in r["item_prototypes"] for x in i.get("trigger_prototypes", [])]
        out += ["### Triggers", "", "| trigger | severity | what it means |", "|---|---|---|"]
        out += ["| %s | %s | %s |" % (x["name"], x["priority"].lower(), x.get("description", "")) for x in triggers]
        out += [""]
    out += ["## Macros", "", "| macro | default | why |", "|---|---|---|"]
    out += ["| `%s` | `%s` | %s |" % m for m in d.MACROS + d.SNMP_MACROS + d.AGENT_MACROS]
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    told = json.loads(subprocess.check_output([sys.argv[1], "-c", "/dev/null", "metrics", "--json"]))
    metrics = {m["name"]: m for m in told["metrics"]}
    for items, scope in ((d.HOST, "host"), (d.INSTANCE, "instance"), (d.MORE, "instance"), (d.INTERFACE, "interface"), (d.FILESYSTEM, "filesystem")):
        for i in items:
            m = metrics.get(i.metric) or sys.exit("generate.py: there is no metric %s" % i.metric)
            if m["scope"] != scope or (i.how == "rate") != (m["kind"] == "counter" and i.metric != "starts"):
                sys.exit("generate.py: %s is a %s of the %s" % (i.metric, m["kind"], m["scope"]))
    if len(d.INSTANCE) > 16:
        sys.exit("generate.py: more than 16 items of an instance are on")
    documents = []
    for version in ("6.0", "7.0"):
        files = {"loadcell-by-snmp": Template(metrics, "snmp", version).document(),
                 "loadcell-by-agent": Template(metrics, "agent", version).document(),
                 "loadcell-instances-by-snmp": instances_template(version)}
        os.makedirs(os.path.join(sys.argv[2], version), exist_ok=True)
        for name, doc in files.items():
            with open(os.path.join(sys.argv[2], version, name + ".yaml"), "w") as f:
                yaml.dump(doc, f, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)
        if version == "6.0":
            documents = [("snmp", files["loadcell-by-snmp"]), ("agent", files["loadcell-by-agent"])]
    with open(os.path.join(sys.argv[2], "loadcell.conf"), "w") as f:
        f.write(agent_conf())
    with open(os.path.join(sys.argv[2], "ITEMS.md"), "w") as f:
        f.write(page(documents))


main()
