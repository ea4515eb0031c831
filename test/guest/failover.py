# SPDX-License-Identifier: BSD-3-Clause
"""The cases about failover: vionet as standby over vfio-user, QEMU's vmxnet3 as primary in a hot-plug slot, both on
one hub with one network behind it, and Linux's net_failover over the two. Each notes its timeline: docs/failover.md
shows one."""
import json
import os
import socket
import threading
import time

from guest import GuestError, Qemu, vfio_user
from host import MAC
from suite import case

SLOT = {"driver": "pcie-root-port", "id": "rp0", "chassis": 1}
PRIMARY = {"driver": "vmxnet3", "id": "primary0", "mac": MAC, "netdev": "hub2", "bus": "rp0"}

# Names of the three interfaces: they differ between kernels.
FUNCTIONS = """
modprobe vmxnet3
driven_by() { for i in /sys/class/net/*; do
    [ "$(basename "$(readlink "$i/device/driver")")" != "$1" ] || basename "$i"; done; }
master() { for i in $(driven_by virtio_net); do [ -e "/sys/class/net/$i/master" ] || echo "$i"; done; }
up() {
    for i in $(driven_by virtio_net); do ip link set "$i" up; done
    vt_dhcp "$(master)" >/dev/null || vt_fail DHCP "$(master)"
}
primary() { driven_by vmxnet3; }
# Waits until the primary is there and runs under its master, or is not there.
wait_primary() {
    for _ in $(seq 200); do
        case "$1$(cat "/sys/class/net/$(primary)/operstate" 2>/dev/null)" in
        thereup) return 0 ;;
        gone) [ -n "$(primary)" ] || return 0 ;;
        esac
        sleep 0.05
    done
    return 1
}
echo_to() { nc 10.0.2.2 ECHO -e cat & }
vt features "$(cat /sys/bus/virtio/devices/virtio0/features)"
"""


class Echo:
    """The other end of a connection on which the guest sends back what it gets."""

    def __init__(self, address="127.0.0.1"):
        self.listener = socket.create_server((address, 0))
        self.listener.settimeout(60)
        self.port = self.listener.getsockname()[1]
        self.end = None
        self.count = 0

    def accept(self):
        self.end = self.listener.accept()[0]
        self.end.settimeout(60)

    def exchange(self, n):
        for _ in range(n):
            self.count += 1
            message = b"%d\n" % self.count
            self.end.sendall(message)
            while message:
                back = self.end.recv(len(message))
                if not back or not message.startswith(back):
                    raise GuestError(f"the connection brings {back!r}")
                message = message[len(back):]

    def close(self):
        for one in (self.listener, self.end):
            if one:
                one.close()


class Management:
    """A client of the daemon's control socket, which writes the timeline."""

    def __init__(self, path):
        self.begun = time.monotonic()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = []
        self.actions = set()  # that any event had
        self.timeline = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def note(self, who, text):
        self.timeline.append(f"{time.monotonic() - self.begun:7.2f} s  {who:<11}{text}")

    def _read(self):
        with self.socket.makefile(encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                with self.changed:
                    self.lines.append(line)
                    if "event" in line:
                        self.actions.add(line["action"])
                        done = "" if line["action"] == "nothing" else f"; {line['action']}: {line['outcome']}"
                        moved = line["to"] if line["from"] == line["to"] else f"{line['from']} -> {line['to']}"
                        self.note("event", f"{line['event']}: {moved}{done}")
                    self.changed.notify_all()

    def wait(self, what, seen, timeout=60):
        """The first line since the last one waited for of which seen() holds."""
        with self.changed:
            if not self.changed.wait_for(lambda: any(map(seen, self.lines)), timeout):
                raise GuestError(f"no {what} among {self.lines}")
            at = next(i for i, line in enumerate(self.lines) if seen(line))
            line = self.lines[at]
            del self.lines[:at + 1]
            return line

    def event(self, name, **members):
        return self.wait(f"{name} {members}", lambda line: line.get("event") == name and
                         all(line[member] == value for member, value in members.items()))

    def command(self, name):
        self.note("command", name)
        self.socket.sendall(name.encode() + b"\n")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join(5)
        self.socket.close()


class Rig:
    """Daemon, hub and management of a test; a guest on it."""

    def __init__(self, test, model, monitor=True, properties="standby=on"):
        self.test = test
        self.wire = [os.path.join(test.directory, name) for name in ("device", "hub")]
        self.monitor = os.path.join(test.directory, "qmp") if monitor else None
        control = os.path.join(test.directory, "control")
        options = [f"--standby={model}", f"--control={control}"]
        if monitor:
            options += [f"--qmp={self.monitor}", f"--primary={json.dumps(PRIMARY)}"]
        self.daemon = test.daemon(self.dgram(*self.wire), properties, options=options)
        self.management = Management(control)
        self.echo = Echo()
        self.qemu = None

    @staticmethod
    def dgram(local, remote):
        return f"dgram,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"

    def arguments(self):
        """Of QEMU: the network is its own, with the wire to the daemon and the primary's netdev on a hub."""
        out = ["-netdev", "user,id=uplink", "-netdev", "hubport,id=hub0,hubid=0,netdev=uplink",
               "-netdev", self.dgram(*reversed(self.wire)) + ",id=wire",
               "-netdev", "hubport,id=hub1,hubid=0,netdev=wire", "-netdev", "hubport,id=hub2,hubid=0"]
        return out + (["-qmp", f"unix:{self.monitor},server=on,wait=off"] if self.monitor else [])

    def guest(self, script):
        self.qemu = self.test.guest(self.daemon, FUNCTIONS.replace("ECHO", str(self.echo.port)) + script,
                                    devices=[*self.arguments(), SLOT, vfio_user(self.daemon.path)])
        return self.qemu

    def machine(self, arguments, **options):
        """A guest that is not Linux."""
        self.qemu = Qemu(self.test.cache, [*self.arguments(), "-device", json.dumps(SLOT), *arguments], timeout=180,
                         **options)
        self.test.guests.append(self.qemu)
        return self.qemu

    def devices(self):
        return [one["name"] for one in self.qemu.qmp("qom-list", path="/machine/peripheral")]

    def standby(self):
        return self.daemon.status()["standby"]

    def sent(self):
        return self.daemon.status()["backend"]["sent"]

    def carries(self, device, when):
        """The connection lives; its frames come to go by that device."""
        until = time.monotonic() + 30
        good = False
        while not good and time.monotonic() < until:
            before = self.sent()
            self.echo.exchange(20)
            sent = self.sent() - before
            good = sent >= 20 if device == "standby" else sent <= 2  # the odd ARP
        self.management.note("traffic", f"by the {device}")
        self.test.ok(f"{when}, the connection's frames go by the {device}", good, f"{sent} of 20 by the standby")

    def migrate(self):
        """A migration to nowhere, which QEMU begins and then gives up."""
        self.management.note("migration", "begins, to a host that is not there")
        self.qemu.qmp("migrate", uri="unix:" + os.path.join(self.test.directory, "nowhere"))
        until = time.monotonic() + 30
        while (status := self.qemu.qmp("query-migrate").get("status")) != "failed" and time.monotonic() < until:
            time.sleep(0.05)
        self.test.same("the migration fails", status, "failed")
        self.management.note("migration", "has failed")

    def done(self):
        self.management.close()
        self.echo.close()
        self.test.note(f"{self.test.full('')} timeline\n" + "\n".join(self.management.timeline))


BESIDE = """
up
echo_to
vt_sync up
vt primary "$(primary)"
vt under "$(basename "$(readlink -f "/sys/class/net/$(primary)/master")")"
vt master "$(master)"
"""


def ended(rig, guest):
    """The script's last words: the primary was where it should be."""
    guest.go("up")
    result = rig.test.said(guest.finish())
    values = result.values
    rig.test.ok("the failover master has the primary under it",
                values.get("primary") and values.get("under") == values.get("master"), values)


@case()
def failover_separate(test):
    """Management plugs and unplugs by itself, at what the daemon tells; which has no way to the VMM."""
    rig = Rig(test, "separate", monitor=False)
    with rig.guest(BESIDE) as guest:
        rig.management.event("running")
        test.ok("the guest has accepted STANDBY", rig.standby()["negotiated"], rig.standby())
        guest.reach("up")
        rig.echo.accept()
        rig.carries("standby", "at first")

        def unplug():
            guest.events.clear()
            guest.qmp("device_del", id="primary0")
            until = time.monotonic() + 30
            while not any(e["event"] == "DEVICE_DELETED" for e in guest.events) and time.monotonic() < until:
                guest.qmp("query-status")
                time.sleep(0.02)

        rig.management.note("management", "device_add")
        guest.qmp("device_add", **PRIMARY)
        rig.carries("primary", "once it is plugged in")
        rig.management.note("management", "device_del")
        unplug()
        test.ok("the guest lets go", "primary0" not in rig.devices(), rig.devices())
        rig.carries("standby", "once it is unplugged")
        rig.migrate()
        rig.management.note("management", "device_add")
        guest.qmp("device_add", **PRIMARY)
        rig.carries("primary", "after the migration has failed")
        ended(rig, guest)
    rig.done()


@case()
def failover_coupled(test):
    """The primary comes with the driver; management hides it for the migration, and shows it again."""
    rig = Rig(test, "coupled")
    with rig.guest(BESIDE) as guest:
        rig.management.event("running", to="visible", action="show", outcome="done")
        guest.reach("up")
        rig.echo.accept()
        rig.carries("primary", "with the driver")
        rig.management.command("hide")
        rig.management.event("released", to="hidden")
        test.ok("nothing is against a migration", not rig.standby()["blocks-migration"], rig.standby())
        rig.carries("standby", "once it is hidden")
        rig.migrate()
        rig.management.event("migration-failed", to="hidden")
        rig.management.command("show")
        rig.management.event("show", to="visible", outcome="done")
        rig.carries("primary", "after the migration has failed")
        ended(rig, guest)
    rig.done()


@case(kernels=("sid", "bookworm"))
def failover_combined(test):
    """The daemon does it all: management says that it is to be a migration, and begins it."""
    rig = Rig(test, "combined")
    with rig.guest(BESIDE) as guest:
        rig.management.event("running", to="visible", action="show", outcome="done")
        guest.reach("up")
        rig.echo.accept()
        rig.carries("primary", "with the driver")
        rig.management.command("migration-starts")
        rig.management.event("released", to="hidden")
        rig.carries("standby", "before the migration")
        rig.migrate()
        rig.management.event("migration-failed", to="visible", action="show", outcome="done")
        rig.carries("primary", "after the migration has failed")
        rig.management.command("remove")
        rig.management.event("released", to="absent")
        rig.carries("standby", "once it is removed")
        rig.management.command("add")
        rig.management.event("configured", to="visible")
        rig.carries("primary", "once it is there again")
        ended(rig, guest)
    rig.done()


UNBIND = """
up
vt_test 'the primary comes with the driver' wait_primary there
vt_sync there
echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind
vt_test 'it goes with it' wait_primary gone
vt_sync gone
echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind
up
vt_test 'it comes again with it' wait_primary there
vt_sync again
"""


def through_unbind_and_reset(rig, guest):
    """From where UNBIND has the primary to where it has it again: the driver was unbound, then the machine reset."""
    guest.go("there")
    rig.management.event("driver-reset", to="unplugging", action="unplug", outcome="done")
    rig.management.event("released", to="hidden")
    guest.reach("gone")
    guest.go("gone")
    rig.management.event("running", to="visible", action="show", outcome="done")
    guest.reach("again")
    rig.management.note("management", "system_reset")
    guest.qmp("system_reset")
    rig.management.event("machine-reset", to="hidden", action="hide", outcome="done")
    rig.management.event("running", to="visible", action="show", outcome="done")
    guest.reach("there")


@case()
def failover_unbind_and_reset(test):
    """The driver is unbound and bound; the machine is reset in the middle."""
    rig = Rig(test, "coupled")
    with rig.guest(UNBIND) as guest:
        guest.qmp("set-action", reboot="reset")
        guest.reach("there")
        rig.management.event("running", to="visible")
        test.ok("VMM and daemon agree", "primary0" in rig.devices() and rig.standby()["primary"] == "visible")
        through_unbind_and_reset(rig, guest)
        test.ok("after the reset it is there again", "primary0" in rig.devices())
        guest.go("there")
        guest.reach("gone")
        guest.go("gone")
        guest.reach("again")
        guest.go("again")
        test.said(guest.finish())
    rig.done()


def never_there(test, rig):
    test.same("nothing was done about the primary", rig.management.actions, {"nothing"})
    test.same("the state", (rig.standby()["primary"], rig.standby()["negotiated"]), ("hidden", False))
    test.ok("the VMM does not have it", "primary0" not in rig.devices(), rig.devices())


@case(variants=("not-offered", "not-known"))
def failover_without_the_feature(test):
    """A driver that is not offered STANDBY, and one that does not know it, do not see the primary."""
    if test.variant == "not-offered":
        rig = Rig(test, "combined", properties="standby=off")
        with rig.guest("up\nsleep 1\nvt primary \"$(primary)\"\nvt_sync up\n") as guest:
            guest.reach("up")
            rig.management.command("show")
            rig.management.wait("answer", lambda line: line.get("command") == "show")
            rig.management.command("migration-failed")
            rig.management.wait("answer", lambda line: line.get("command") == "migration-failed")
            never_there(test, rig)
            guest.go("up")
            test.same("the guest has no primary", test.said(guest.finish()).values.get("primary"), "")
    else:
        rig = Rig(test, "combined")
        root = os.path.join(test.cache, "tree/usr/share/qemu")
        device = vfio_user(rig.daemon.path, romfile=os.path.join(root, "pxe-virtio.rom"), bootindex=1)
        with rig.machine(["-device", json.dumps(device)], machine=",graphics=off") as qemu:
            qemu.wait_console("net0")
            qemu.wait_console("10.0.2.2")
            rig.management.command("show")
            rig.management.wait("answer", lambda line: line.get("command") == "show")
            test.ok("iPXE's driver runs", rig.daemon.status()["device"]["running"])
            never_there(test, rig)
    rig.done()
