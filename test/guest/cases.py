# SPDX-License-Identifier: BSD-3-Clause
"""The cases of the guest suite with Linux guests. Each boots as few guests as it can: a boot is 3 seconds of
processor time."""
import urllib.request

from host import CONTENT, DIGEST, Web, bits_of, free_port
from suite import case

BOTH = ("sid", "bookworm")

# What every script begins with.
FUNCTIONS = """
vt kernel "$(uname -r)"
vt features "$(cat /sys/bus/virtio/devices/virtio0/features)"
# fetch NAME: the host's file, and its digest
fetch() {
    wget -q -T 60 -O /tmp/file "http://10.0.2.2:WEB/file"
    vt "sha.$1" "$(sha256sum </tmp/file | cut -d ' ' -f 1)"
}
serve() { mkdir -p /tmp/www && cp /tmp/file /tmp/www/file && httpd -p 80 -h /tmp/www; }
quiet() { sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1; ip link set eth0 up; vt_wait_link eth0; }
interrupts() { awk -v what="virtio0-$1" '$NF == what { for (i = 2; i <= 1 + CPUS; i++) n += $i } END { print n + 0 }' \\
    CPUS="$(nproc)" /proc/interrupts; }
"""


class Internet:
    """A web server here and ways in, for guests on the backend user."""

    def __init__(self):
        self.web, self.port, self.into = Web(), free_port(), free_port()
        self.netdev = (f"user,hostfwd=tcp:127.0.0.1:{self.port}-:80,"
                       f"hostfwd=tcp:127.0.0.1:{self.into}-:5001")
        self.url = f"http://127.0.0.1:{self.port}/file"

    def script(self, text):
        return (FUNCTIONS + text).replace("WEB", str(self.web.port))


def get(url):
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read()


def on_off(names, value="on"):
    return ",".join(f"{name}={value}" for name in names)


# Everything that Linux knows and that is off by default; what the backend makes of it is its business.
OFFLOADS = ["csum", "guest_csum", "ctrl_guest_offloads", "host_tso4", "host_tso6", "host_ecn", "guest_tso4",
            "guest_tso6", "guest_ecn", "host_uso", "guest_uso4", "guest_uso6"]
OFFLOAD_BITS = {0, 1, 2, 7, 8, 9, 11, 12, 13}
USO_BITS = {54, 55, 56}
# Bits of the device's defaults that Linux knows: MAC, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN,
# GUEST_ANNOUNCE, CTRL_MAC_ADDR, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_RESET
DEFAULT_BITS = {5, 15, 16, 17, 18, 19, 21, 23, 28, 29, 32, 40}


@case(kernels=BOTH, quick=True)
def basic(test):
    """Boots, negotiates what is offered, gets an address, HTTP out and in, ping."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    with test.guest(daemon, net.script("""
vt_test "DHCP" vt_dhcp eth0
vt address "$(ip -o -4 address show eth0 | sed 's/.*inet \\([^ ]*\\).*/\\1/')"
vt mac "$(cat /sys/class/net/eth0/address)"
vt_test "ping" ping -c 3 10.0.2.2
fetch out
serve
vt_sync served
""")) as guest:
        guest.reach("served")
        test.ok("HTTP in through hostfwd", get(net.url) == CONTENT)
        guest.go("served")
        result = test.said(guest.finish())
    test.note(f"{result.values['kernel']}: first line of the script after {result.cpu:.1f} s of processor time")
    test.same("the address that the backend gives", result.values.get("address"), "10.0.2.15/24")
    test.same("HTTP out", result.values.get("sha.out"), DIGEST)
    test.same("the device's MAC address", result.values.get("mac"), "52:54:00:12:34:56")
    expected = DEFAULT_BITS | OFFLOAD_BITS | (USO_BITS if test.kernel == "sid" else set())
    bits = bits_of(result.values["features"])
    test.ok("all features that it knows are negotiated", bits == expected,
            f"missing {test.program.feature_names(expected - bits)}\n"
            f"besides {test.program.feature_names(bits - expected)}")


# The settings of ethtool -K, one after the other; each is followed by a file in both directions.
TOGGLES = ["tx off", "tx on", "tso off", "tso on", "tx-udp-segmentation off", "tx-udp-segmentation on",
           "rx-gro-hw off", "rx-gro-hw on", "gso off", "gso on", "gro off", "gro on", "sg off", "sg on"]
TOGGLE = """
ethtool -K eth0 SETTING >/tmp/out 2>&1; vt "status.NAME" "$?: $(head -n 1 /tmp/out)"
vt "shown.NAME" "$(ethtool -k eth0 | sed -n 's/^[[:space:]]*FEATURE: //p' | head -n 1)"
fetch NAME
vt_sync NAME
"""
LONG_NAMES = {"tx": "tx-checksumming", "tso": "tcp-segmentation-offload", "gso": "generic-segmentation-offload",
              "gro": "generic-receive-offload", "sg": "scatter-gather"}


def toggle_script(toggles):
    text = ""
    for setting in toggles:
        feature = setting.split()[0]
        text += TOGGLE.replace("SETTING", setting).replace("NAME", setting.replace(" ", ".")).replace(
            "FEATURE", LONG_NAMES.get(feature, feature))
    return text


def toggles_for(test):
    # Linux 6.1 knows neither USO of virtio-net nor a way to switch it.
    return [setting for setting in TOGGLES if test.kernel == "sid" or "udp" not in setting]


def check_toggles(test, guest, url, toggles):
    """The host's part of toggle_script; the digests that the script sent are looked at afterwards."""
    for setting in toggles:
        name = setting.replace(" ", ".")
        guest.reach(name)
        test.ok(f"{setting}: a file from the guest", get(url) == CONTENT)
        guest.go(name)


def check_toggled(test, result, toggles):
    for setting in toggles:
        name = setting.replace(" ", ".")
        feature, value = setting.split()
        test.same(f"{setting}: a file to the guest", result.values.get(f"sha.{name}"), DIGEST)
        shown = result.values.get(f"shown.{name}", "")
        test.ok(f"{setting}: takes effect", shown.split(" ")[0] == value,
                f"{feature} is {shown!r}, {result.values.get(f'status.{name}')!r}")


@case(kernels=BOTH)
def offloads_user(test):
    """Every offload that ethtool sets, off and on, where the daemon segments for the backend."""
    net, toggles = Internet(), toggles_for(test)
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    with test.guest(daemon, net.script("vt_dhcp eth0; fetch first; serve\n" + toggle_script(toggles))) as guest:
        check_toggles(test, guest, net.url, toggles)
        result = test.said(guest.finish())
    check_toggled(test, result, toggles)
