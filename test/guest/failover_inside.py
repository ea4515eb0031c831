# SPDX-License-Identifier: BSD-3-Clause
"""The cases about failover inside QEMU: vionet-pci as standby, with QEMU's own hot-plug and migration as its hands; for
the rest as failover.py. Each is named by the events of docs/failover.md that it has."""
import json
import os
import socket
import struct
import time

from failover import BESIDE, FUNCTIONS, PRIMARY, SLOT, UNBIND, Echo, Management, Rig, ended, through_unbind_and_reset
from firmware import rom_for
from guest import GuestError, Qemu
from host import MAC
from moving import MEMORY
from suite import case
from vhost import Switch

PAIRED = {**PRIMARY, "failover_pair_id": "nic0"}


class InsideRig(Rig):
    """No daemon: standby, hub and management are QEMU's. primary: options on the command line, behind the standby."""

    def __init__(self, test, model, primary=None, properties="standby=on", uplink="user", name=""):  # pylint: disable=W0231
        self.test = test
        self.echo = Echo()
        self.management = self.qemu = None
        self.primary = primary
        self.frames = os.path.join(test.directory, f"frames{name}")
        self.seen, self.counted = 24, 0  # of its octets, behind its header; frames in them
        self.control = os.path.join(test.directory, f"control{name}")
        self.daemon = test.daemon(uplink, f"{properties},standby-model={model},standby-control=control")

    def arguments(self):
        return ["-netdev", self.daemon.netdev.replace("id=net0", "id=uplink"),
                "-netdev", "hubport,id=hub0,hubid=0,netdev=uplink", "-netdev", "hubport,id=net0,hubid=0",
                "-netdev", "hubport,id=hub2,hubid=0", "-object", f"filter-dump,id=dump,netdev=net0,queue=rx,file={self.frames}",
                "-chardev", f"socket,id=control,path={self.control},server=on,wait=off",
                "-device", json.dumps(SLOT)]

    def devices_of(self, properties):
        """QEMU's arguments: what comes behind the network."""
        standby = self.daemon.arguments(properties)[2:]
        return [*self.arguments(), *standby, *(["-device", json.dumps(self.primary)] if self.primary else [])]

    def guest(self, script, properties=None, **options):
        self.qemu = self.test.guest(self.daemon, (FUNCTIONS + script).replace("ECHO", str(self.echo.port)),
                                    devices=self.devices_of(properties or {}), **options)
        self.management = Management(self.control)
        return self.qemu

    def machine(self, properties):  # pylint: disable=W0221
        """A guest that is not Linux."""
        self.qemu = Qemu(self.test.cache, self.devices_of(properties), timeout=180, machine=",graphics=off",
                         **self.daemon.options)
        self.test.guests.append(self.qemu)
        self.daemon.guests.append(self.qemu)
        self.qemu.qmp("query-status")
        self.management = Management(self.control)
        return self.qemu

    def get(self, name):
        return self.qemu.qmp("qom-get", path="/machine/peripheral/nic0", property=name)

    def set(self, value):
        self.management.note("management", f"qom-set primary {value}")
        self.qemu.qmp("qom-set", path="/machine/peripheral/nic0", property="primary", value=value)

    def standby(self):
        return {"primary": self.get("primary"), "negotiated": self.get("standby-negotiated"),
                "blocks-migration": self.get("standby-blocks-migration")}

    def sent(self):
        """Frames that the guest sent by the standby, as QEMU's filter wrote them down."""
        with open(self.frames, "rb") as file:
            file.seek(self.seen)
            data = file.read()
        while len(data) >= 16 and len(data) >= (size := 16 + struct.unpack("<8xI4x", data[:16])[0]):
            self.counted += 1
            self.seen += size
            data = data[size:]
        return self.counted

    def wait(self, what, condition):
        until = time.monotonic() + 60
        while not condition():
            if time.monotonic() > until:
                raise GuestError(f"no {what}: {self.standby()}, {self.qemu.qmp('query-migrate')}")
            time.sleep(0.05)

    def migration(self):
        return self.qemu.qmp("query-migrate").get("status")

    def migrate(self):
        """To a host that takes the connection, and reads nothing."""
        path = os.path.join(self.test.directory, f"nowhere{len(self.management.timeline)}")
        self.nowhere = socket.socket(socket.AF_UNIX)
        self.nowhere.bind(path)
        self.nowhere.listen()
        self.management.note("migration", "begins")
        self.qemu.qmp("migrate", uri=f"unix:{path}")

    def migration_ends(self, status):
        """It fails as that host goes away, or was cancelled."""
        if status == "failed":
            self.nowhere.accept()[0].close()
        self.wait(f"migration that is {status}", lambda: self.migration() in ("completed", "failed", "cancelled"))
        self.nowhere.close()
        self.test.same("the migration", self.migration(), status)
        self.management.note("migration", f"is {status}")

    def refused(self, name, why, command, **arguments):
        """Management's command is refused, with those words."""
        try:
            self.qemu.qmp(command, **arguments)
            self.test.ok(name, False)
        except GuestError as error:
            self.test.ok(name, why in str(error), str(error))

    def is_made(self):
        return "primary0" in self.devices()

    def event(self, name, **members):
        self.qemu.events.clear()
        return self.management.event(name, **members)

    def had_event(self, name):
        self.qemu.qmp("query-status")
        return [event["data"] for event in self.qemu.events if event["event"] == name]


@case(kernels=(), inside=("sid",))
def failover_inside_separate(test):
    """SB-01, -02, -08, -11, -15, -16: QEMU tells and obeys; nothing is done unasked, but that no migration leaves the
    primary behind."""
    rig = InsideRig(test, "separate", PAIRED)
    with rig.guest(BESIDE) as guest:
        test.ok("a hidden primary is not made before it is wanted", not rig.is_made(), rig.devices())
        rig.management.event("running", to="hidden", action="show", outcome="advised")
        test.ok("QEMU tells of the feature", {"device-id": "nic0"} in rig.had_event("FAILOVER_NEGOTIATED"), guest.events)
        guest.reach("up")
        rig.echo.accept()
        rig.carries("standby", "at first")
        rig.management.command("show")
        rig.management.event("show", to="visible", outcome="done")
        rig.carries("primary", "once it is shown")
        try:
            rig.migrate()
            test.ok("a migration is refused meanwhile", False)
        except GuestError as why:
            test.ok("a migration is refused meanwhile", "the guest has the primary 'primary0'" in str(why), str(why))
        rig.management.command("hide")
        rig.management.event("released", to="hidden")
        test.ok("QEMU tells of the unplugging", {"device-id": "primary0"} in rig.had_event("UNPLUG_PRIMARY"), guest.events)
        test.ok("it is hidden as it is, and not removed", rig.is_made(), rig.devices())
        rig.carries("standby", "once it is hidden")
        rig.migrate()
        rig.migration_ends("failed")
        rig.management.event("migration-failed", to="hidden")
        rig.management.command("show")
        rig.carries("primary", "after the migration has failed")
        rig.management.command("remove")
        rig.management.event("released", to="absent")
        rig.wait("removal", lambda: not rig.is_made())
        rig.management.note("management", "device_add")
        guest.qmp("device_add", **PAIRED)
        rig.management.event("configured", to="hidden", outcome="advised")
        rig.set("absent")
        rig.management.event("remove", to="absent")
        rig.management.note("management", "device_add")
        guest.qmp("device_add", **PAIRED)
        rig.set("visible")
        rig.carries("primary", "once it is there again")
        ended(rig, guest)
    rig.done()


@case(kernels=(), inside=("sid",))
def failover_inside_coupled(test):
    """SB-03, -06, -08, -12, -15: the primary comes with the driver, and when it is plugged in later; management hides it
    for the migration, and shows it again. device_del removes it."""
    rig = InsideRig(test, "coupled")
    with rig.guest(BESIDE) as guest:
        rig.management.event("running", to="absent")
        guest.reach("up")
        rig.echo.accept()
        rig.carries("standby", "without a primary")
        for wrong, why in (({"mac": "52:54:00:00:00:99"}, "MAC address"), ({"mac": None}, "mac has to be"),
                           ({"bus": "pcie.0"}, "can be hot-plugged"), ({"bus": None}, "can be hot-plugged"),
                           ({"nonsense": 1}, "nonsense")):
            rig.refused(f"a primary with {wrong} is refused", why, "device_add",
                        **{name: value for name, value in {**PAIRED, **wrong}.items() if value})
            test.same(f"nothing is left of a primary with {wrong}", rig.get("primary"), "absent")
        rig.management.note("management", "device_add")
        guest.qmp("device_add", **PAIRED)
        rig.management.event("configured", to="visible", action="show", outcome="done")
        rig.carries("primary", "plugged in late")
        rig.set("hidden")
        rig.management.event("released", to="hidden")
        test.same("what management may look at", rig.standby(),
                  {"primary": "hidden", "negotiated": True, "blocks-migration": False})
        rig.carries("standby", "once it is hidden")
        rig.migrate()
        rig.migration_ends("failed")
        rig.set("visible")
        rig.management.event("show", to="visible", outcome="done")
        rig.carries("primary", "after the migration has failed")
        rig.management.note("management", "device_del")
        guest.qmp("device_del", id="primary0")
        rig.management.event("released", to="absent")
        rig.carries("standby", "once it is removed")
        guest.qmp("device_add", **PAIRED)
        rig.carries("primary", "once it is there again")
        ended(rig, guest)
    rig.done()


@case(kernels=(), inside=("sid",))
def failover_inside_combined(test):
    """SB-03, -11, -12: nobody but QEMU sees to it. Migrations that fail and that are cancelled, before the guest has let
    go and after; the primary stays the same device all the time."""
    rig = InsideRig(test, "combined", PAIRED)
    with rig.guest(BESIDE) as guest:
        rig.management.event("running", to="visible", action="show", outcome="done")
        guest.reach("up")
        rig.echo.accept()
        rig.carries("primary", "with the driver")
        test.expected_complaints = "the guest has the primary|pre-save failed"
        try:
            guest.qmp("xen-save-devices-state", filename=os.path.join(test.directory, "state"))
            test.ok("nothing is saved while the guest has the primary", False)
        except GuestError:
            test.ok("nothing is saved while the guest has the primary",
                    "the guest has the primary 'primary0'" in rig.daemon.log(), rig.daemon.log())
        rig.migrate()
        rig.management.event("migration-starts", to="unplugging", action="unplug", outcome="done")
        rig.management.event("released", to="hidden")
        rig.carries("standby", "while the guest migrates")
        rig.migration_ends("failed")
        rig.management.event("migration-failed", to="visible", action="show", outcome="done")
        rig.carries("primary", "after the migration has failed")
        rig.migrate()
        rig.management.event("released", to="hidden")
        guest.qmp("migrate_cancel")
        rig.management.event("migration-failed", to="visible", action="show", outcome="done")
        rig.migration_ends("cancelled")
        rig.carries("primary", "after a cancelled one")
        rig.migrate()
        guest.qmp("migrate_cancel")
        rig.management.event("migration-failed")
        rig.migration_ends("cancelled")
        rig.carries("primary", "after one that was cancelled at once")
        test.ok("nothing was ever removed", not rig.had_event("DEVICE_DELETED"), guest.events)
        ended(rig, guest)
    rig.done()


ARRIVING = """
ip link set "$(master)" up
ip address add NET.15/24 dev "$(master)"
vt_test 'the primary comes with the driver' wait_primary there
nc NET.2 ECHO -e cat &
vt_sync up
vt_test 'the primary comes to the other host' wait_primary there
vt_sync there
"""


@case(kernels=(), needs_tap=True, variants=("", "held", "to-none", "and-back"), inside=("sid",),
      only_long=("to-none", "and-back"))
def failover_inside_migration(test):
    """SB-11 to -14: the guest goes with a connection to another QEMU that has a primary for it; to the same, with the
    primary hidden by management, which holds there too; to one that has none; and to one that ends before the guest runs
    there, so that it goes on here."""
    net, tap = {"": ("10.0.11", "taps"), "held": ("10.0.14", "tapv"), "to-none": ("10.0.12", "tapt"),
                "and-back": ("10.0.13", "tapu")}[test.variant]
    switch = Switch(test.directory, tap, f"{net}.2")
    script = ARRIVING.replace("wait_primary there\nvt_sync there", "wait_primary gone\nvt_sync there") \
        if test.variant == "to-none" else ARRIVING
    script = script.replace("NET", net)
    here, there = (InsideRig(test, "combined", PAIRED, uplink=switch.port(), name=name) for name in ("here", "there"))
    if test.variant == "to-none":
        there.primary = None
    there.echo.close()
    there.echo = here.echo = Echo(f"{net}.2")
    switch.start()
    path = os.path.join(test.directory, "way")
    stopped = ["-S"] if test.variant == "and-back" else []
    try:
        with here.guest(script, cpus=2, memory=MEMORY) as guest:
            here.management.event("running", to="visible", action="show", outcome="done")
            guest.reach("up")
            here.echo.accept()
            here.carries("primary", "at first")
            if test.variant == "held":
                here.management.command("hide")
                here.management.event("released", to="hidden")
                here.carries("standby", "once it is hidden")
            with there.guest(script, cpus=2, memory=MEMORY, more_arguments=["-incoming", f"unix:{path}", *stopped]) as target:
                begun = target.qmp("qom-get", path="/machine/peripheral/nic0", property="primary")
                test.same("the other host's primary", begun, "absent" if test.variant == "to-none" else "hidden")
                guest.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30})
                here.management.note("migration", "begins")
                guest.qmp("migrate", uri=f"unix:{path}")
                if test.variant == "held":
                    here.management.event("migration-starts", to="hidden", action="nothing")
                else:
                    here.management.event("migration-starts", to="unplugging", action="unplug", outcome="done")
                    here.management.event("released", to="hidden")
                here.wait("completed migration", lambda: here.migration() in ("completed", "failed"))
                test.same("the migration", here.migration(), "completed")
                here.management.event("migration-left", to="hidden")
                here.management.note("migration", "is completed")
                last = target
                if test.variant == "and-back":
                    target.process.kill()
                    target.wait_end()
                    here.management.note("management", "cont")
                    guest.qmp("cont")
                    here.management.event("migration-failed", to="visible", action="show", outcome="done")
                    here.carries("primary", "back here")
                    last = guest
                elif test.variant == "held":
                    there.management.event("migration-arrived", to="hidden", action="nothing")
                    there.carries("standby", "on the other host")
                    there.management.command("show")
                    there.management.event("show", to="visible", action="show", outcome="done")
                    there.carries("primary", "once it is shown there")
                elif test.variant == "to-none":
                    there.management.event("migration-arrived", to="absent")
                    there.carries("standby", "on the other host")
                else:
                    there.management.event("migration-arrived", to="visible", action="show", outcome="done")
                    there.carries("primary", "on the other host")
                if last == target:
                    test.ok("it was accepted there too", there.standby()["negotiated"])
                last.go("up")
                last.reach("there")
                last.go("there")
                test.said(last.finish())
    finally:
        switch.close()
    here.done()
    there.done()


# The guest is deaf to its hot-plug controller; later it takes the device out by itself.
REFUSING = """
up
vt_test 'the primary comes with the driver' wait_primary there
echo disable >/sys/firmware/acpi/interrupts/gpe01
vt_sync deaf
vt_test 'it is still there' wait_primary there
echo enable >/sys/firmware/acpi/interrupts/gpe01
address=$(basename "$(readlink -f "/sys/class/net/$(primary)/device")")
for slot in /sys/bus/pci/slots/*; do
    [ "$(cat "$slot/address")" != "${address%.*}" ] || echo 0 >"$slot/power"
done
vt_sync lets-go
vt_test 'and comes again' wait_primary there
"""


@case(kernels=(), inside=("sid",))
def failover_inside_refused(test):
    """SB-18: a guest that does not let go keeps its primary, and the migration is given up; it may let go later."""
    rig = InsideRig(test, "combined", PAIRED, "standby=on,standby-release=1")
    test.expected_complaints = "does not let go"
    with rig.guest(REFUSING) as guest:
        guest.reach("deaf")
        rig.management.event("running", to="visible")
        rig.migrate()
        rig.management.event("migration-starts", to="unplugging")
        rig.wait("waiting migration", lambda: rig.migration() == "wait-unplug")
        rig.management.event("refused", to="visible")
        rig.migration_ends("cancelled")
        test.ok("QEMU says why", "does not let go of the primary 'primary0'" in rig.daemon.log(), rig.daemon.log())
        test.same("what management may look at", rig.standby(),
                  {"primary": "visible", "negotiated": True, "blocks-migration": True})
        guest.go("deaf")
        guest.reach("lets-go")
        rig.management.event("released", to="visible", action="show", outcome="done")
        guest.go("lets-go")
        test.said(guest.finish())
    rig.done()


@case(kernels=(), inside=("sid",), variants=("", "slot"), only_long=("slot",))
def failover_inside_unbind_and_reset(test):
    """SB-07, -09: the driver is unbound and bound; the machine is reset in the middle. By ACPI, and by the slot's own
    hot-plug registers."""
    rig = InsideRig(test, "coupled", PAIRED)
    native = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"] if test.variant else []
    with rig.guest(UNBIND, more_arguments=native) as guest:
        guest.qmp("set-action", reboot="reset")
        guest.reach("there")
        rig.management.event("running", to="visible")
        through_unbind_and_reset(rig, guest)
        test.ok("after the reset it is there again, the same device",
                rig.is_made() and not rig.had_event("DEVICE_DELETED"), guest.events)
        guest.go("there")
        guest.reach("gone")
        guest.go("gone")
        guest.reach("again")
        guest.go("again")
        test.said(guest.finish())
    rig.done()


@case(kernels=(), inside=("sid",))
def failover_inside_not_offered(test):
    """SB-04: a device without STANDBY takes no primary, and one before its standby is refused."""
    rig = InsideRig(test, "combined", properties="standby=off")
    with rig.guest("up\nvt_sync up\nvt primary \"$(primary)\"\n") as guest:
        guest.reach("up")
        try:
            guest.qmp("device_add", **PAIRED)
            test.ok("a primary is refused", False)
        except GuestError as why:
            test.ok("a primary is refused", "lacks standby=on" in str(why), str(why))
        test.same("what management may look at", rig.standby(),
                  {"primary": "absent", "negotiated": False, "blocks-migration": False})
        guest.go("up")
        test.same("the guest has no primary", test.said(guest.finish()).values.get("primary"), "")
    rig.done()


PLUGGED = """
up
vt_test 'the primary comes with the driver' wait_primary there
vt_sync there
vt_test 'it goes with its standby' wait_primary gone
vt_sync gone
for _ in $(seq 200); do [ -z "$(master)" ] || break; sleep 0.05; done
up
vt_test 'it comes with the next one' wait_primary there
vt_sync again
"""


@case(kernels=(), inside=("sid",))
def failover_inside_plugged(test):
    """The standby itself is plugged out, and in again: its primary goes with it, for good."""
    rig = InsideRig(test, "combined", PAIRED)
    port = ["-device", "pcie-root-port,id=rp1,chassis=2"]
    with rig.guest(PLUGGED, properties={"bus": "rp1"}, more_arguments=port) as guest:
        guest.reach("there")
        guest.qmp("device_del", id="nic0")
        guest.go("there")
        guest.reach("gone")
        rig.wait("removal", lambda: not {"nic0", "primary0"} & set(rig.devices()))
        standby = {"driver": "vionet-pci", "id": "nic0", "netdev": "net0", "bus": "rp1", "mac": MAC, "standby": True,
                   "romfile": ""}
        guest.qmp("device_add", **PAIRED)
        test.ok("one without a standby is an ordinary device", rig.is_made(), rig.devices())
        try:
            guest.qmp("device_add", **standby)
            test.ok("a standby does not come after its primary", False)
        except GuestError as why:
            test.ok("a standby does not come after its primary", "has to come after its standby" in str(why), str(why))
        guest.qmp("device_del", id="primary0")
        rig.wait("removal", lambda: not rig.is_made())
        guest.qmp("device_add", **standby)
        guest.qmp("device_add", **PAIRED)
        guest.go("gone")
        guest.reach("again")
        guest.go("again")
        test.said(guest.finish())
    rig.done()


@case(kernels=(), inside=("",), variants=("", "legacy"))
def failover_inside_not_known(test):
    """SB-04, -05: iPXE's driver does not know STANDBY, by the interface of today and by the legacy one."""
    rom, properties = os.path.join(test.cache, "tree/usr/share/qemu/pxe-virtio.rom"), "standby=on"
    if test.variant == "legacy":
        rom, properties = rom_for(test, rom, 0x1000), "standby=on,disable-legacy=off,disable-modern=on"
    rig = InsideRig(test, "combined", PAIRED, properties)
    with rig.machine({"romfile": rom, "bootindex": 1}) as qemu:
        qemu.wait_console("net0")
        qemu.wait_console("10.0.2.2")
        rig.set("visible")
        test.same("nothing was done about the primary", rig.management.actions, {"nothing"})
        test.same("the state", rig.standby(), {"primary": "hidden", "negotiated": False, "blocks-migration": False})
        test.ok("QEMU has not made it", not rig.is_made(), rig.devices())
    rig.done()
