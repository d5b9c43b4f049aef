"""A service manager's ear: prints each datagram that comes to the unix socket NAME (@… is abstract) as a line of JSON."""
import json
import socket
import struct
import sys

name = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
listener.bind("\0" + name[1:] if name.startswith("@") else name)
print(json.dumps({"listens": name}), flush=True)
while True:
    text, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
    pid, _, _ = struct.unpack("3i", ancillary[0][2])
    print(json.dumps({"pid": pid, "fields": dict(line.split("=", 1) for line in text.decode().split("\n"))}), flush=True)
