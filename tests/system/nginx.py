# SPDX-License-Identifier: MIT
"""The stock Debian nginx with our module, under a temporary prefix of its own.

    with Nginx(http=HTTP, workers=2) as nginx:
        client.get(nginx.port["shop"], "/")

`http` is the inside of http{}, main() what stands before it. Placeholders, there and in `environment`: {prefix}, {module} and
{port_NAME} (a free loopback port for each NAME). nginx stays in the foreground as our child, so
everything that it starts can be found below its pid, and only those pids are ever signalled.

Leaving the with block (QUIT) also checks what every test must end with: no [alert], [emerg] or
[crit] in the error log, no process left, no report of a sanitizer. A module that was built with
a sanitizer is recognised by its libraries; nginx itself then runs with them preloaded.
"""

import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import polling
import ports

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]

MAIN = """\
{load_module}
{user}
{environment}
daemon {daemon};
master_process {master_process};
worker_processes {workers};
pid {prefix}/nginx.pid;
error_log {prefix}/error.log {log_level};
{main}
events {{ worker_connections {worker_connections}; }}
"""

# What a master that is replaced passes on to the next one.
FOR_UPGRADES = "env LD_PRELOAD; env ASAN_OPTIONS; env UBSAN_OPTIONS; env LSAN_OPTIONS;"

HTTP = """\
http {{
    access_log off;
    client_body_temp_path {prefix}/temp/body;
    proxy_temp_path {prefix}/temp/proxy;
    fastcgi_temp_path {prefix}/temp/fastcgi;
    uwsgi_temp_path {prefix}/temp/uwsgi;
    scgi_temp_path {prefix}/temp/scgi;
    types {{ text/html html; text/plain txt; }}
{http}
}}
"""


def find_nginx():
    """The unpacked package of scripts/fetch-nginx."""
    directory = os.environ.get("TRACEZ_NGINX_DIR") or str(ROOT / "build" / "nginx")
    for candidate in ("usr/sbin/nginx", "sbin/nginx", "nginx"):
        path = pathlib.Path(directory) / candidate
        if path.is_file():
            return path
    raise FileNotFoundError("no nginx in %s: run scripts/fetch-nginx" % directory)


def find_module():
    said = os.environ.get("TRACEZ_MODULE")
    if said:
        return pathlib.Path(said)
    for build in sorted(ROOT.glob("build*")):
        for path in build.rglob("ngx_http_tracez_module.so"):
            return path
    raise FileNotFoundError("no ngx_http_tracez_module.so: set TRACEZ_MODULE")


def sanitizer_libraries(module):
    """Paths of the sanitizers' runtimes that the module needs loaded before anything else."""
    listed = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"lib(?:asan|ubsan|tsan)\.so\S* => (\S+)", listed)


def is_sanitized():
    """Is the module under test built with a sanitizer? Then it is several times as slow."""
    return bool(sanitizer_libraries(find_module()))


# What a worker says at its end: the arrays of connections and events, which nginx never frees.
OWN_ALLOCATIONS = re.compile(
    r"[-\s]*Suppressions used:\s+count\s+bytes\s+template\s+(\d+)\s+\d+ ngx_alloc[-\s]*")


def is_nginx_itself(report):
    """Is this nothing but the three allocations that nginx.supp stands for?"""
    match = OWN_ALLOCATIONS.fullmatch(report)
    return match is not None and int(match.group(1)) <= 3


class Kill:
    """Of which process, when on both clocks, and from which ports it was connected to the backend."""

    def __init__(self, pid, ports=frozenset()):
        self.pid = pid
        self.ports = ports
        self.at = time.monotonic()
        self.at_unix_ns = time.time_ns()


class Nginx:
    def __init__(self, http=None, main="", workers=1, daemon="off", master_process="on",
                 log_level="info", worker_connections=1024, load_module=True, environment=None,
                 sanitizer_options="", preload=(), files=None, **values):
        self.prefix = pathlib.Path(tempfile.mkdtemp(prefix="tracez-nginx-"))
        self.port = {}
        self.master = None
        self.foreground = daemon == "off"
        self.expected_log = []  # patterns of [alert], [emerg] and [crit] lines that a test provokes
        self.kills = []
        self._module = find_module() if load_module else None
        self._environment = environment or {}
        self._sanitizer_options = sanitizer_options
        self._preload = [str(path) for path in preload]  # a test's own libraries, see hang.c
        self._settings = dict(http=http, main=main, workers=workers, daemon=daemon,
                              master_process=master_process, log_level=log_level,
                              worker_connections=worker_connections)
        self._values = values
        self._seen = {}
        self._make_directories(files or {})
        self.write()

    # ---- Configuration ---------------------------------------------------------------------------

    def _make_directories(self, files):
        for name in ("html", "temp", "sanitizer"):
            (self.prefix / name).mkdir()
        for name, content in files.items():
            path = self.prefix / "html" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.prefix.chmod(0o755)
        (self.prefix / "sanitizer").chmod(0o777)  # workers may be somebody else

    def write(self, **changes):
        """Writes nginx.conf, with some of the settings changed: for reload()."""
        self._settings.update({k: v for k, v in changes.items() if k in self._settings})
        self._values.update({k: v for k, v in changes.items() if k not in self._settings})
        settings = dict(self._settings)
        http = settings.pop("http")
        template = MAIN if http is None else MAIN + HTTP
        values = dict(self._values, prefix=self.prefix, module=self._module)
        for name in ("main", "http"):
            text = self._settings[name] or ""
            settings[name] = self._expand(text, values)
        settings["load_module"] = "load_module %s;" % self._module if self._module else ""
        settings["user"] = "user nobody nogroup;" if os.getuid() == 0 else ""
        settings["environment"] = (
            FOR_UPGRADES if self._module and sanitizer_libraries(self._module) else "")
        (self.prefix / "nginx.conf").write_text(template.format(prefix=self.prefix, **settings))

    def _expand(self, text, values):
        def value_of(match):
            name = match.group(1)
            if name.startswith("port_"):
                name = name[len("port_"):]
                if name not in self.port:
                    self.port[name] = ports.free_port()
                return str(self.port[name])
            return str(values[name])
        return re.sub(r"\{([a-z_0-9]+)\}", value_of, text)

    # ---- Running ---------------------------------------------------------------------------------

    def command(self, *arguments):
        return [str(find_nginx()), "-p", str(self.prefix), "-c", str(self.prefix / "nginx.conf"),
                "-e", str(self.prefix / "error.log"), *arguments]

    def full_environment(self, detect_leaks=True):
        environment = {"PATH": os.environ["PATH"],
                       **{name: self._expand(value, {"prefix": self.prefix})
                          for name, value in self._environment.items()}}
        libraries = sanitizer_libraries(self._module) if self._module else []
        if libraries or self._preload:
            environment["LD_PRELOAD"] = " ".join(libraries + self._preload)
        if libraries:
            logs = self.prefix / "sanitizer" / "report"
            environment["ASAN_OPTIONS"] = "log_path=%s:detect_leaks=%d:abort_on_error=0:%s" % (
                logs, detect_leaks, self._sanitizer_options)
            environment["UBSAN_OPTIONS"] = "log_path=%s:print_stacktrace=1" % logs
            # A worker is a forked child that makes a thread, and leaves without waiting for others.
            environment["TSAN_OPTIONS"] = (
                "log_path=%s:die_after_fork=0:exitcode=0:atexit_sleep_ms=0:%s" % (
                    logs, self._sanitizer_options))
            # A copy: workers run as a user that may not see where this tree lies.
            suppressions = shutil.copy(HERE / "nginx.supp", self.prefix)
            environment["LSAN_OPTIONS"] = ("suppressions=%s:print_suppressions=1" % suppressions)
        return environment

    def test(self, *arguments):
        """nginx -t: (status, everything it said). It ends without freeing anything, so nobody asks
        for leaks."""
        done = subprocess.run(self.command("-t", *arguments),
                              env=self.full_environment(detect_leaks=False),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
        self._check_reports()
        return done.returncode, done.stdout

    def discard(self):
        """After test(): nothing was started, only the files go."""
        shutil.rmtree(self.prefix, ignore_errors=True)

    def start(self, seconds=10):
        self._output = open(self.prefix / "output", "wb")
        self._child = subprocess.Popen(self.command(), env=self.full_environment(),
                                       stdout=self._output, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL)
        if not self.foreground:
            assert self._child.wait(timeout=30) == 0, self.log()
        polling.until("nginx writes its pid\n%s" % self.log(),
                      lambda: self._has_ended() or self._written_pid(), seconds)
        assert not self._has_ended(), self.log() + (self.prefix / "output").read_text()
        self.master = self._written_pid()
        if self._settings["master_process"] == "on":
            polling.until("all workers run", lambda: len(self.workers()) == self._settings["workers"])
        return self

    def _written_pid(self):
        """What nginx.pid says; None while it is not there, which it is for a moment at an upgrade."""
        try:
            return int((self.prefix / "nginx.pid").read_text() or 0) or None
        except FileNotFoundError:
            return None

    def _has_ended(self):
        return self.foreground and self._child.poll() is not None

    def reload(self, **changes):
        """HUP, and waits until the new workers are there; returns the pids of the old ones."""
        old = set(self.workers())
        self.write(**changes)
        self.send_signal("HUP")
        polling.until("new workers after the reload", lambda: len(
            [pid for pid in self.workers() if pid not in old]) == self._settings["workers"])
        return old

    def wait_until_gone(self, workers, seconds=10):
        """Waits until old workers have left: until then they may take requests."""
        polling.until("the old workers are gone", lambda: not workers & set(self.workers()),
                      seconds)

    def kill(self, pid, how=signal.SIGKILL):
        """The death of a worker, from outside. It is stopped first, to see what it is connected to."""
        self.expected_log.append(r"worker process %d exited on signal %d" % (pid, how))
        os.kill(pid, signal.SIGSTOP)
        polling.until("it stands still", lambda: (stat_fields(pid) or "Z")[0] in "TZ",
                      interval_seconds=0)
        self.kills.append(Kill(pid, self.backend_ports(pid)))
        os.kill(pid, how)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return self.kills[-1]

    def backend_ports(self, pid):
        """Only who has a backend knows."""
        return frozenset()

    def has_all_workers(self):
        """As many as configured, without those that were killed."""
        alive = set(self.workers()) - {kill.pid for kill in self.kills}
        return len(alive) == self._settings["workers"]

    def wait_for_workers(self):
        polling.until("there are all workers again", self.has_all_workers)

    def send_signal(self, name, master=None):
        """Sends a master a signal: HUP, USR1."""
        os.kill(master or self.master, getattr(signal, "SIG" + name))

    def upgrade(self):
        """USR2 (which only a daemon follows), and waits until another master has workers: that is the
        master from now on. Returns the old one's pid."""
        old = self.master
        self.send_signal("USR2")
        polling.until("another master writes its pid", lambda: self._written_pid() not in (None, old))
        self.master = self._written_pid()
        polling.until("its workers run", lambda: len(self.workers()) == self._settings["workers"])
        self._remember_processes(old)
        return old

    def quit_master(self, master, seconds=15):
        """One of two masters leaves gracefully, and all its workers with it."""
        self._remember_processes(master)
        os.kill(master, signal.SIGQUIT)
        polling.until("the master is gone", lambda: master not in self.alive(), seconds)

    def quit(self, seconds=15, how=signal.SIGQUIT):
        """Leaves gracefully; returns the exit status (None when it ran as a daemon). How long that
        took is in quit_seconds, up to the moment when the master was gone."""
        self._remember_processes()
        master = os.pidfd_open(self.master)
        began = time.monotonic()
        os.kill(self.master, how)
        is_gone = select.select([master], [], [], seconds)[0]
        self.quit_seconds = time.monotonic() - began
        os.close(master)
        assert is_gone, "the master is still there after %g s\n%s" % (seconds, self.log())
        status = self._child.wait(timeout=seconds) if self.foreground else None
        polling.until("all processes of nginx are gone", lambda: not self.alive(), seconds)
        self.master = None
        return status

    # ---- Processes -------------------------------------------------------------------------------

    def workers(self, master=None):
        """Pids of the workers, also of those that are leaving."""
        return [pid for pid in children(master or self.master)
                if b"worker process" in command_line(pid)]

    def threads(self, pid):
        return len(os.listdir("/proc/%d/task" % pid))

    def is_exporting(self, pid):
        """Is there a thread of the exporter? (ThreadSanitizer has one of its own too.)"""
        return "tracez\n" in [read_proc(task / "comm")
                              for task in pathlib.Path("/proc/%d/task" % pid).iterdir()]

    def _remember_processes(self, master=None):
        """Those of a master, and of the one that it started to take its place."""
        master = master or self.master
        self._seen[master] = start_time(master)
        for pid in children(master):
            self._seen[pid] = start_time(pid)
            if b"master process" in command_line(pid):
                self._remember_processes(pid)

    def alive(self):
        """Pids of ours that still run; a reused pid has another start time."""
        return [pid for pid, started in self._seen.items()
                if started is not None and start_time(pid) == started]

    # ---- The log ---------------------------------------------------------------------------------

    def log(self):
        path = self.prefix / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_lines(self, pattern):
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def check(self):
        """What every test ends with."""
        bad = [line for line in self.log_lines(r"\[(alert|emerg|crit)\]|exited on signal")
               if not any(re.search(pattern, line) for pattern in self.expected_log)]
        assert not bad, "in the error log: %s" % bad
        self._check_reports()

    def _check_reports(self):
        reports = [path.read_text() for path in sorted((self.prefix / "sanitizer").iterdir())]
        findings = [report for report in reports if not is_nginx_itself(report)]
        assert not findings, "\n".join(findings)

    # ---- with ------------------------------------------------------------------------------------

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            if self.master is not None:
                self.quit()
        finally:
            self._end_what_is_left()
        if kind is None:
            self.check()
            shutil.rmtree(self.prefix, ignore_errors=True)
        else:
            print("kept for you to look at: %s\n%s" % (self.prefix, self.log()[-4000:]))

    def _end_what_is_left(self):
        """After a failure: nothing that we started may stay."""
        if self.master is not None:
            self._remember_processes()
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)


def read_proc(path):
    """A file of a process or thread; "" when that is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stat_fields(pid):
    """What /proc/PID/stat says after the name: state, parent, …; None when the process is gone."""
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    """Direct children; none when the process is gone."""
    found = []
    for entry in os.listdir("/proc"):
        fields = stat_fields(int(entry)) if entry.isdigit() else None
        if fields is not None and int(fields[1]) == pid:
            found.append(int(entry))
    return found


def command_line(pid):
    try:
        return pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def start_time(pid):
    """Ticks since boot at which the process began; None when it is gone, or dead and unread."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])
