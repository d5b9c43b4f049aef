"""Runs NODE SCRIPT ARGS… as a systemd unit would, as far as that can be done without systemd:

    under-unit.py UNIT STATE_DIR NODE SCRIPT ARGS…

User nobody; the unit's capabilities, open files and umask; its system call filter and address families, by the library that
systemd has; every file read-only but those of STATE_DIR; nothing in /home, /root and /tmp; few devices. The program is found
in /opt, where the unit has it: its own folder may be where user nobody must not look.
"""
import ctypes
import os
import re
import resource
import socket
import subprocess
import sys

NOBODY = 65534
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SYS_MOUNT_SETATTR, MOUNT_ATTR_RDONLY = 442, 1
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 8, 24, 38, 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_BPF": 39}
ACT_ALLOW, ACT_ERRNO, CMP_EQ = 0x7FFF0000, 0x00050000, 4
EPERM = 1
DEVICES = ("null", "zero", "full", "random", "urandom")

libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class MountAttributes(ctypes.Structure):
    _fields_ = [("set", ctypes.c_uint64), ("clear", ctypes.c_uint64), ("propagation", ctypes.c_uint64), ("userns", ctypes.c_uint64)]


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read_unit(path):
    """Values by key; those of a key that stands there several times in their order."""
    unit = {}
    for line in open(path):
        match = re.match(r"([A-Z]\w+)=(.*)", line)
        if match:
            unit.setdefault(match[1], []).append(match[2].strip())
    return unit


# ---- files


def mount(source, target, kind=None, flags=0, options=None):
    check(libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, options and options.encode()))


def set_read_only(path, read_only, flags=0):
    attributes = MountAttributes(set=MOUNT_ATTR_RDONLY) if read_only else MountAttributes(clear=MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), size))


def bind(fd, target):
    """A descriptor, since what it stands for may be hidden by now."""
    mount(f"/proc/self/fd/{fd}", target, flags=MS_BIND | MS_REC)


def hide_files(state_dir, node, root):
    check(libc.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    path = lambda name: os.open(name, os.O_PATH)
    state, node, root = path(state_dir), path(node), path(root)
    devices = {name: path(f"/dev/{name}") for name in DEVICES}
    for directory in ("/opt", "/home", "/root", "/tmp", "/dev"):
        mount("tmpfs", directory, "tmpfs", options="mode=755")
    for name, fd in [(f"/dev/{name}", fd) for name, fd in devices.items()] + [("/opt/node", node)]:
        open(name, "w").close()
        bind(fd, name)
    os.makedirs("/opt/penstock")
    bind(root, "/opt/penstock")
    os.makedirs(state_dir, exist_ok=True)
    bind(state, state_dir)
    mount("/proc/sys", "/proc/sys", flags=MS_BIND)
    set_read_only("/", True, AT_RECURSIVE)
    for writable in (state_dir, "/proc"):
        set_read_only(writable, False)


# ---- rights


def drop_rights(capabilities):
    wanted = [CAPABILITIES[name] for name in capabilities]
    last = int(open("/proc/sys/kernel/cap_last_cap").read())
    for capability in set(range(last + 1)) - set(wanted):
        check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
    check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    mask = sum(1 << capability for capability in wanted)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    check(libc.capset(header, (ctypes.c_uint32 * 6)(low, low, low, high, high, high)))
    for capability in wanted:
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


# ---- system calls


def calls_of(word):
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.strip() and "#" not in line]
    return set().union(*map(calls_of, words))


def allowed_calls(filters):
    """As systemd.exec(5): the first line allows, lines with ~ take away, others add; @default is always allowed."""
    allowed = calls_of("@default")
    for text in filters:
        calls = set().union(*map(calls_of, text.removeprefix("~").split()))
        allowed = allowed - calls if text.startswith("~") else allowed | calls
    return allowed | calls_of("@default")


def load_filter(allowed, families):
    context = ctypes.c_void_p(seccomp.seccomp_init(ACT_ERRNO | EPERM))
    number = lambda name: seccomp.seccomp_syscall_resolve_name(name.encode())
    for call in sorted(allowed - {"socket"}):
        # A call of another architecture has no number, or a negative one.
        if number(call) >= 0:
            check(seccomp.seccomp_rule_add_array(context, ACT_ALLOW, number(call), 0, None))
    for family in families:
        compare = Comparison(0, CMP_EQ, getattr(socket, family), 0)
        check(seccomp.seccomp_rule_add_array(context, ACT_ALLOW, number("socket"), 1, ctypes.byref(compare)))
    check(seccomp.seccomp_load(context))


def main(unit_path, state_dir, node, script, *args):
    unit = read_unit(unit_path)
    allowed = allowed_calls(unit["SystemCallFilter"])
    root = os.path.dirname(os.path.dirname(script))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = min(hard, int(unit["LimitNOFILE"][0]))
    os.chown(state_dir, NOBODY, NOBODY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    hide_files(state_dir, node, root)
    os.umask(int(unit["UMask"][0], 8))
    drop_rights(unit["AmbientCapabilities"][0].split())
    load_filter(allowed, unit["RestrictAddressFamilies"][0].split())
    os.execv("/opt/node", ["/opt/node", "/opt/penstock/" + os.path.relpath(script, root), *args])


main(*sys.argv[1:])
