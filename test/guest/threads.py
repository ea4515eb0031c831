# SPDX-License-Identifier: BSD-3-Clause
"""The case of a device with a thread for each queue pair, over a TAP interface with as many queues."""
import os
import socket
import time

from cases import CONTENT, DIGEST, FUNCTIONS, OFFLOADS, get, on_off
from host import Web, interface_up
from suite import case

NET = "10.0.5"

SCRIPT = """
quiet
ip address add 10.0.2.15/24 dev eth0
vt channels "$(ethtool -l eth0 | awk '/^Combined/ { n = $2 } END { print n }')"
ethtool -X eth0 equal 2
fetch first; serve
vt_sync up
vt_pktgen both eth0 20000 60 "burst 8" "queue_map_min 0" "queue_map_max 1"
vt_sync sent
for n in 1 2 3 4 5 6; do
    wget -q -T 60 -O - "http://10.0.2.2:WEB/file" | sha256sum | cut -d ' ' -f 1 >/tmp/sum.$n &
done
wait
vt digests "$(cat /tmp/sum.* | sort -u | tr '\\n' ' ')"
vt_test "RSS to the second pair alone" ethtool -X eth0 weight 0 1
vt_sync steered
for cycle in 1 2 3 4 5 6; do
    # With frames on their way.
    wget -q -O /dev/null "http://10.0.2.2:WEB/file" 2>/dev/null & one=$!
    wget -q -O /dev/null "http://10.0.2.2:WEB/file" 2>/dev/null & two=$!
    usleep 30000
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind || vt_fail unbind "$cycle"
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind || vt_fail bind "$cycle"
    { kill "$one" "$two"; wait "$one" "$two"; } 2>/dev/null
    quiet
    ip address add 10.0.2.15/24 dev eth0
done
fetch last
vt_sync end
"""


def moved(daemon):
    """Frames that the thread of each pair took from the guest and for it; that each receive queue had."""
    status = daemon.status()
    queues = {queue["queue"]: queue.get("packets", 0) for queue in status["device"]["queues"]}
    return ([(queue["sent"], queue["received"]) for queue in status["backend"]["queues"]],
            [queues.get(i, 0) for i in (0, 2)])


def flows(n):
    """Datagrams of n flows, for which the kernel and the device have queues to choose from."""
    for port in range(20000, 20000 + n):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((f"{NET}.2", port))
            s.sendto(b"to nobody", (f"{NET}.15", 9))
    time.sleep(0.5)


def thread_names(daemon):
    directory = f"/proc/{daemon.process.pid}/task"
    names = []
    for task in os.listdir(directory):
        with open(f"{directory}/{task}/comm", encoding="ascii") as file:
            names.append(file.read().strip())
    return sorted(name for name in names if name.startswith("pair-"))


@case(needs_tap=True)
def threads(test):
    """Each pair's thread moves frames both ways, to whichever pair RSS says; drivers and QEMU come and go."""
    daemon = test.daemon("tap,ifname=tapt,queues=2,vnet_hdr=on", "queues=2,rss=on,threads=on," + on_off(OFFLOADS))
    test.same("threads", thread_names(daemon), ["pair-0", "pair-1"])
    interface_up("tapt", f"{NET}.2")
    web = Web(f"{NET}.2")
    script = (FUNCTIONS + SCRIPT).replace("WEB", str(web.port)).replace("10.0.2.", NET + ".")
    with test.guest(daemon, script, cpus=2) as guest:
        guest.reach("up")
        test.ok("a file from the guest", get(f"http://{NET}.15/file") == CONTENT)
        first, _ = moved(daemon)
        guest.go("up")
        guest.reach("sent")
        sent, _ = moved(daemon)
        for i in range(2):
            test.ok(f"the thread of pair {i} took half of what both queues sent",
                    sent[i][0] - first[i][0] >= 9000, (first, sent))
        flows(400)
        received, queues = moved(daemon)
        for i in range(2):
            test.ok(f"the thread of pair {i} had many of 400 flows for the guest",
                    received[i][1] - sent[i][1] >= 50, (sent, received))
            test.ok(f"receive queue {i} got many", queues[i] >= 50, queues)
        guest.go("sent")
        guest.reach("steered")
        before, queues_before = moved(daemon)
        flows(400)
        after, queues_after = moved(daemon)
        for i in range(2):
            test.ok(f"steered: the thread of pair {i} has flows as before", after[i][1] - before[i][1] >= 50,
                    (before, after))
        test.ok("steered: all of them go to the second pair", queues_after[1] - queues_before[1] >= 400 and
                queues_after[0] - queues_before[0] < 10, (queues_before, queues_after))
        guest.go("steered")
        guest.reach("end")
        guest.close()
        result = test.said(guest.result)
    test.same("channels", result.values.get("channels"), "2")
    test.same("six files at once", result.values.get("digests"), DIGEST + " ")
    test.same("a file after the driver went and came", result.values.get("sha.last"), DIGEST)
    with test.guest(daemon, script, cpus=2) as guest:
        guest.reach("up")
        test.same("a file for the next QEMU", guest.result.values.get("sha.first"), DIGEST)
        test.ok("a file from its guest", get(f"http://{NET}.15/file") == CONTENT)
        guest.close()
    test.same("the same threads", thread_names(daemon), ["pair-0", "pair-1"])
