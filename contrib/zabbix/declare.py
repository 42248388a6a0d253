# SPDX-License-Identifier: GPL-2.0-or-later
"""What the templates hold: items, triggers, macros, graphs. generate.py makes the files of it.

A metric is an item by one line. SNMP_COLUMN, units and scale follow from loadcell's own table of metrics.
"""

INTERVAL = "{$LOADCELL.INTERVAL}"
HEARTBEAT = "1h"


class Item:
    """metric: its name in `loadcell metrics`; how: gauge, rate (from a counter), limit (kept when unchanged)."""

    def __init__(self, metric, name, how="gauge", units=None):
        self.metric, self.name, self.how, self.units = metric, name, how, units


HOST = [
    Item("host_memory_total_bytes", "Memory: total", "limit"),
    Item("host_memory_available_bytes", "Memory: available"),
    Item("memory_committed_bytes", "Memory: committed to instances with a limit"),
    Item("memory_unlimited_instances", "Memory: instances without a limit"),
    Item("memory_unlimited_working_set_bytes", "Memory: working set of instances without a limit"),
    Item("host_memory_pressure_full_seconds", "Memory: share of time that all work waits for it", "rate", "share"),
    Item("host_cpus_cores", "CPU: cores", "limit", "cores"),
    Item("host_cpu_user_seconds", "CPU: user", "rate", "cores"),
    Item("host_cpu_system_seconds", "CPU: system", "rate", "cores"),
    Item("cpu_committed_cores", "CPU: committed to instances with a limit", "gauge", "cores"),
    Item("host_cpu_pressure_some_seconds", "CPU: share of time that work waits for it", "rate", "share"),
    Item("host_io_pressure_full_seconds", "Disks: share of time that all work waits for them", "rate", "share"),
    Item("host_tasks", "Tasks: running"),
    Item("host_tasks_limit", "Tasks: threads-max", "limit"),
    Item("host_pids_limit", "Tasks: pid_max", "limit"),
    Item("host_map_count", "Memory maps: most of one process"),
    Item("host_map_count_limit", "Memory maps: max_map_count", "limit"),
    Item("host_open_files", "Files: open"),
    Item("host_open_files_limit", "Files: file-max", "limit"),
    Item("host_memory_cgroups", "Memory cgroups"),
    Item("instances_running", "Instances: running"),
    Item("collector_cpu_seconds", "loadcell: CPU", "rate", "cores"),
    Item("collector_rss_bytes", "loadcell: resident memory"),
    Item("collector_cycle_seconds", "loadcell: time of a cycle"),
    Item("collector_missed_cycles", "loadcell: missed cycles", "rate"),
    Item("collector_read_errors", "loadcell: read errors", "rate"),
    Item("collector_dropped_instances", "loadcell: instances left out"),
]

INSTANCE = [
    Item("cpu_usage_seconds", "CPU: used", "rate", "cores"),
    Item("cpu_periods", "CPU: periods of the quota", "rate"),
    Item("cpu_throttled_periods", "CPU: throttled periods", "rate"),
    Item("memory_working_set_bytes", "Memory: working set"),
    Item("memory_anon_bytes", "Memory: anonymous"),
    Item("memory_shmem_bytes", "Memory: shared (tmpfs)"),
    Item("memory_kernel_bytes", "Memory: kernel"),
    Item("memory_limit_bytes", "Memory: effective limit", "limit"),
    Item("memory_oom_kills", "Memory: OOM kills", "rate"),
    Item("memory_major_faults", "Memory: major faults", "rate"),
    Item("memory_pressure_full_seconds", "Memory: share of time that all work waits for it", "rate", "share"),
    Item("pids_current", "Tasks: running"),
    Item("pids_limit", "Tasks: effective limit", "limit"),
    Item("disk_used_bytes", "Disk: used"),
    Item("network_receive_bytes", "Network: received", "rate", "Bps"),
    Item("network_transmit_bytes", "Network: sent", "rate", "Bps"),
]

MORE = [
    Item("cpu_user_seconds", "CPU: user", "rate", "cores"),
    Item("cpu_system_seconds", "CPU: system", "rate", "cores"),
    Item("cpu_throttled_seconds", "CPU: throttled time", "rate", "cores"),
    Item("cpu_limit_cores", "CPU: effective limit", "limit", "cores"),
    Item("cpu_pressure_some_seconds", "CPU: share of time that work waits for it", "rate", "share"),
    Item("memory_usage_bytes", "Memory: usage, page cache included"),
    Item("memory_file_bytes", "Memory: page cache"),
    Item("memory_swap_bytes", "Memory: swap"),
    Item("memory_peak_bytes", "Memory: peak of usage"),
    Item("memory_limit_hits", "Memory: limit hits", "rate"),
    Item("pids_limit_hits", "Tasks: limit hits", "rate"),
    Item("io_read_bytes", "Disk: read", "rate", "Bps"),
    Item("io_write_bytes", "Disk: written", "rate", "Bps"),
    Item("io_reads", "Disk: reads", "rate"),
    Item("io_writes", "Disk: writes", "rate"),
    Item("io_pressure_some_seconds", "Disk: share of time that work waits for it", "rate", "share"),
    Item("disk_used_inodes", "Disk: used inodes"),
    Item("network_receive_errors", "Network: receive errors", "rate"),
    Item("network_transmit_errors", "Network: send errors", "rate"),
    Item("starts", "Starts"),
    Item("uptime_seconds", "Uptime", "gauge", "uptime"),
]

INTERFACE = [
    Item("interface_receive_bytes", "received", "rate", "Bps"),
    Item("interface_transmit_bytes", "sent", "rate", "Bps"),
    Item("interface_receive_errors", "receive errors", "rate"),
    Item("interface_transmit_errors", "send errors", "rate"),
    Item("interface_receive_drops", "receive drops", "rate"),
    Item("interface_transmit_drops", "send drops", "rate"),
]

FILESYSTEM = [
    Item("filesystem_size_bytes", "size", "limit"),
    Item("filesystem_used_bytes", "used"),
    Item("filesystem_available_bytes", "available"),
    Item("filesystem_inodes", "inodes", "limit"),
    Item("filesystem_used_inodes", "used inodes"),
]

MACROS = [
    ("{$LOADCELL.INTERVAL}", "1m", "How often values are taken. Not below the collector's interval."),
    ("{$LOADCELL.LLD.INTERVAL}", "1m", "How often instances are looked for (6.0 by SNMP; else with each value)."),
    ("{$LOADCELL.LIFETIME}", "1d", "How long items of an ended instance stay."),
    ("{$LOADCELL.NAME.MATCHES}", ".*", "Instances whose handle matches this are watched."),
    ("{$LOADCELL.NAME.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Instances whose handle matches this are not."),
    ("{$LOADCELL.KIND.MATCHES}", ".*", "Kinds of instances that are watched: lxc, qemu ..."),
    ("{$LOADCELL.LXCPATH.MATCHES}", ".*", "lxcpaths whose instances are watched."),
    ("{$LOADCELL.GROUP.MATCHES}", ".*", "Instances whose groups (joined by commas) match this are watched."),
    ("{$LOADCELL.MEMORY.MAX}", "98", "% of the limit. A cache that was made to fill 95 % is well; above 98 % of memory that "
     "cannot be reclaimed the next allocation may meet the OOM killer."),
    ("{$LOADCELL.MEMORY.PRESSED}", "90", "% of the limit that the working set must reach before reclaim pain counts: below, something else hurts."),
    ("{$LOADCELL.MEMORY.PRESSURE}", "5", "% of the time that all work waits for memory: three seconds of each minute are felt by users."),
    ("{$LOADCELL.MEMORY.FAULTS}", "50", "major faults a second, where the kernel tells no pressure (v1): programs are read from the disk again and again."),
    ("{$LOADCELL.MEMORY.AHEAD}", "2h", "How long before the limit would be reached: enough to act, near enough to be true."),
    ("{$LOADCELL.MEMORY.WINDOW}", "1h", "The growth of this time is what is continued."),
    ("{$LOADCELL.MEMORY.GROWN}", "70", "% of the limit below which no prediction is told: a start is growth, too."),
    ("{$LOADCELL.OOM.WINDOW}", "10m", "How long an OOM kill stays a problem: long enough to be seen, and it cannot be undone."),
    ("{$LOADCELL.CPU.THROTTLED}", "50", "% of the quota's periods that were throttled: every second request waits."),
    ("{$LOADCELL.CPU.WINDOW}", "10m", "Throttled for so long; a short burst is what a quota is for."),
    ("{$LOADCELL.PIDS.MAX}", "90", "% of the limit of tasks: above it the next worker pool does not start."),
    ("{$LOADCELL.DISK.MAX}", "90", "% of the disk limit or file system in use: file systems get slow and root's reserve is near."),
    ("{$LOADCELL.DISK.AHEAD}", "1d", "How long before a disk would be full: a working day to make room."),
    ("{$LOADCELL.MEMORY.HISTORY}", "20m", "Values must reach back so far before growth is continued."),
    ("{$LOADCELL.DISK.GROWN}", "70", "% in use below which no prediction is told: there is time."),
    ("{$LOADCELL.DISK.HISTORY}", "2h", "Values must reach back so far before growth is continued."),
    ("{$LOADCELL.DISK.WINDOW}", "6h", "The growth of this time is what is continued."),
    ("{$LOADCELL.HOST.MEMORY.MIN}", "5", "% of memory that should be available on the host: below, the kernel's OOM killer chooses among all instances."),
    ("{$LOADCELL.HOST.KERNEL.MAX}", "85", "% of a ceiling of the kernel (threads-max, pid_max, max_map_count, file-max): nothing starts any more above it."),
    ("{$LOADCELL.HOST.PRESSURE}", "10", "% of the time that all work of the host waits for memory."),
    ("{$LOADCELL.WINDOW}", "5m", "How long a threshold must be exceeded, so that a peak of one sample wakes nobody."),
    ("{$LOADCELL.END.WINDOW}", "15m", "How long a killed or flapping instance stays a problem."),
    ("{$LOADCELL.NODATA}", "5m", "Without any value for so long nobody watches this host."),
]
SNMP_MACROS = [
    ("{$LC.ARC}", "1.3.6.1.4.1.8072.9999.9999", "snmp_arc of loadcell.conf. (The name is short: Zabbix takes 512 characters for all columns of a walk.)"),
]
AGENT_MACROS = [
    ("{$LOADCELL.EVENTS}", "/var/lib/loadcell/events.jsonl", "The event log: events.jsonl in data_dir of loadcell.conf."),
]

I = 'loadcell.instance.%s["{#HANDLE}"]'
LIMITED_MEMORY, LIMITED_DISK = "memory", "disk"


class Trigger:
    """expression: {metric} is an instance's item, {host:metric} the host's, {fs:metric} a file system's. only: needs that limit."""

    def __init__(self, name, expression, priority, help, only=None, after=(), recovery=None):
        self.name, self.expression, self.priority, self.help = name, expression, priority, help
        self.only, self.after, self.recovery = only, after, recovery


def macro(name):
    return '{$LOADCELL.%s:"{#HANDLE}"}' % name


INSTANCE_TRIGGERS = [
    Trigger("{#HANDLE}: memory that cannot be reclaimed is above %s %% of the limit" % macro("MEMORY.MAX"),
            "min({memory_anon_bytes},{$LOADCELL.WINDOW})+min({memory_shmem_bytes},{$LOADCELL.WINDOW})"
            "+min({memory_kernel_bytes},{$LOADCELL.WINDOW})>last({memory_limit_bytes})*%s/100" % macro("MEMORY.MAX"),
            "HIGH", "Anonymous, shared and kernel memory; page cache is not in it. Raise the limit or find what grows.", LIMITED_MEMORY),
    Trigger("{#HANDLE}: the working set is above %s %% of the limit, and reclaim hurts" % macro("MEMORY.PRESSED"),
            "min({memory_working_set_bytes},{$LOADCELL.WINDOW})>last({memory_limit_bytes})*%s/100 and "
            "(avg({memory_pressure_full_seconds},{$LOADCELL.WINDOW})>%s/100 or avg({memory_major_faults},{$LOADCELL.WINDOW})>%s)"
            % (macro("MEMORY.PRESSED"), macro("MEMORY.PRESSURE"), macro("MEMORY.FAULTS")),
            "WARNING", "What the instance works with does not fit: it is read from the disk again and again.", LIMITED_MEMORY,
            after=("memory that cannot be reclaimed",)),
    Trigger("{#HANDLE}: memory grows to its limit within %s" % macro("MEMORY.AHEAD"),
            "last({memory_anon_bytes})>{#MEMLIMIT}*%s/100 and timeleft({memory_anon_bytes},%s,{#MEMLIMIT})<%s"
            " and count({memory_anon_bytes},%s:now-%s)>0"
            % (macro("MEMORY.GROWN"), macro("MEMORY.WINDOW"), macro("MEMORY.AHEAD"), macro("MEMORY.WINDOW"), macro("MEMORY.HISTORY")),
            "WARNING", "The growth of anonymous memory continued.", LIMITED_MEMORY,
            # That one waits for the first in turn; to name both makes 7.0 complain of a cycle.
            after=("the working set is above",)),
    Trigger("{#HANDLE}: processes were killed for lack of memory",
            "max({memory_oom_kills},%s)>0" % macro("OOM.WINDOW"),
            "HIGH", "loadcell events NAME tells who; loadcell events --id ID the minute before."),
    Trigger("{#HANDLE}: the CPU quota throttles %s %% of the time" % macro("CPU.THROTTLED"),
            "avg({cpu_throttled_periods},%s)>avg({cpu_periods},%s)*%s/100 and avg({cpu_periods},%s)>0"
            % (macro("CPU.WINDOW"), macro("CPU.WINDOW"), macro("CPU.THROTTLED"), macro("CPU.WINDOW")),
            "WARNING", "It wants more CPU than its limit gives it."),
    Trigger("{#HANDLE}: tasks are above %s %% of the limit" % macro("PIDS.MAX"),
            "min({pids_current},{$LOADCELL.WINDOW})>last({pids_limit})*%s/100" % macro("PIDS.MAX"),
            "HIGH", "Soon fork() fails inside, also for a shell."),
    Trigger("{#HANDLE}: the disk is above %s %% of the limit" % macro("DISK.MAX"),
            "last({disk_used_bytes})>{#DISKLIMIT}*%s/100" % macro("DISK.MAX"),
            "WARNING", "Writes fail at the limit.", LIMITED_DISK),
    Trigger("{#HANDLE}: the disk is full within %s" % macro("DISK.AHEAD"),
            "timeleft({disk_used_bytes},%s,{#DISKLIMIT})<%s and last({disk_used_bytes})>{#DISKLIMIT}*%s/100 and count({disk_used_bytes},%s:now-%s)>0"
            % (macro("DISK.WINDOW"), macro("DISK.AHEAD"), macro("DISK.GROWN"), macro("DISK.WINDOW"), macro("DISK.HISTORY")),
            "WARNING", "The growth continued.", LIMITED_DISK, after=("the disk is above",)),
]

FILESYSTEM_TRIGGERS = [
    Trigger("{#MOUNT}: above %s %% is used" % '{$LOADCELL.DISK.MAX:"{#MOUNT}"}',
            'last({fs:filesystem_available_bytes})<last({fs:filesystem_size_bytes})*(100-{$LOADCELL.DISK.MAX:"{#MOUNT}"})/100',
            "HIGH", "All instances on it meet a full disk at once."),
    Trigger("{#MOUNT}: full within %s" % '{$LOADCELL.DISK.AHEAD:"{#MOUNT}"}',
            'timeleft({fs:filesystem_available_bytes},{$LOADCELL.DISK.WINDOW:"{#MOUNT}"},0)<{$LOADCELL.DISK.AHEAD:"{#MOUNT}"}'
            ' and last({fs:filesystem_available_bytes})<last({fs:filesystem_size_bytes})*(100-{$LOADCELL.DISK.GROWN:"{#MOUNT}"})/100'
            ' and count({fs:filesystem_available_bytes},{$LOADCELL.DISK.WINDOW:"{#MOUNT}"}:now-{$LOADCELL.DISK.HISTORY:"{#MOUNT}"})>0',
            "WARNING", "The growth continued.", after=("{#MOUNT}: above",)),
]


def ceiling(name, what, limit):
    return Trigger("%s are above {$LOADCELL.HOST.KERNEL.MAX} %% of %s" % (name, limit[1]),
                   "min({host:%s},{$LOADCELL.WINDOW})>last({host:%s})*{$LOADCELL.HOST.KERNEL.MAX}/100" % (what, limit[0]),
                   "HIGH", "A ceiling of the kernel for all instances together: sysctl raises it.")


HOST_TRIGGERS = [
    Trigger("Less than {$LOADCELL.HOST.MEMORY.MIN} % of memory is available",
            "max({host:host_memory_available_bytes},{$LOADCELL.WINDOW})<last({host:host_memory_total_bytes})*{$LOADCELL.HOST.MEMORY.MIN}/100",
            "HIGH", "The kernel's OOM killer is near, and it chooses among all instances."),
    Trigger("All work waits for memory above {$LOADCELL.HOST.PRESSURE} % of the time",
            "avg({host:host_memory_pressure_full_seconds},{$LOADCELL.WINDOW})>{$LOADCELL.HOST.PRESSURE}/100",
            "WARNING", "The host reclaims instead of working.", after=("Less than",)),
    ceiling("Tasks", "host_tasks", ("host_tasks_limit", "threads-max")),
    ceiling("Tasks", "host_tasks", ("host_pids_limit", "pid_max")),
    ceiling("Memory maps of a process", "host_map_count", ("host_map_count_limit", "max_map_count")),
    ceiling("Open files", "host_open_files", ("host_open_files_limit", "file-max")),
    Trigger("loadcell samples late", "min({host:collector_missed_cycles},{$LOADCELL.WINDOW})>0",
            "WARNING", "Cycles are missed all the time: the host is overloaded or the interval too short."),
    Trigger("loadcell leaves instances out", "min({host:collector_dropped_instances},{$LOADCELL.WINDOW})>0",
            "WARNING", "There are more than instances_max of loadcell.conf."),
]
