"""A gst-rtsp-server for tests. Plays --file on /test (and /test2), takes ANNOUNCE/RECORD on /record (H.264 and AAC,
as ffmpeg sends them) and on /record-video (H.264 alone).

Writes its state as one JSON object per line on stdout, first when it listens, then whenever it changed:
{"opened": sessions so far, "open": sessions now, "video": N, "audio": N} with N access units recorded so far.
"""
import argparse
import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PLAY = (
    "( filesrc location={file} ! qtdemux name=d "
    "d. ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 "
    "d. ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
)
RECORD_VIDEO = "rtph264depay name=depay0 ! h264parse ! video/x-h264,alignment=au ! fakesink name=video signal-handoffs=true sync=false"
RECORD_AUDIO = "rtpmp4gdepay name=depay1 ! fakesink name=audio signal-handoffs=true sync=false"
RECORD = {"/record": f"( {RECORD_VIDEO} {RECORD_AUDIO} )", "/record-video": f"( {RECORD_VIDEO} )"}

state = {"opened": 0, "open": 0, "video": 0, "audio": 0}


def count(_sink, _buffer, _pad, kind):
    state[kind] += 1


def on_record_media(_factory, media):
    element = media.get_element()
    for kind in ("video", "audio"):
        sink = element.get_by_name(kind)
        if sink:
            sink.connect("handoff", count, kind)


def factory(launch):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(launch)
    return made


def viewer():
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    return token


def add_digest(auth, user, password):
    """Protects every mount with Digest (RFC 2617); anonymous clients get 401."""
    auth.set_supported_methods(2)
    auth.add_digest(user, password, viewer())


def allow_viewer(mount):
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("viewer")
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    mount.set_permissions(permissions)


def on_session(_client, _session):
    state["opened"] += 1


def report(server, last):
    state["open"] = server.get_session_pool().get_n_sessions()
    if state != last:
        last.update(state)
        print(json.dumps(state), flush=True)
    return True


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--address", default="0.0.0.0")
    options.add_argument("--port", default="8554")
    options.add_argument("--file", required=True)
    options.add_argument("--digest", metavar="USER:PASSWORD")
    options.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options.add_argument("--srtp", action="store_true", help="media by RTP/SAVP only, its keys by MIKEY")
    options.add_argument("--transport", choices=["udp", "tcp"], help="the only one; others get 461")
    options = options.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(options.port)
    server.set_backlog(128)
    mounts = {"/test": factory(PLAY.format(file=options.file)), "/test2": factory(PLAY.format(file=options.file))}
    for path, launch in RECORD.items():
        mounts[path] = factory(launch)
        mounts[path].set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        mounts[path].connect("media-configure", on_record_media)
    if options.digest or options.tls:
        auth = GstRtspServer.RTSPAuth()
        if options.digest:
            add_digest(auth, *options.digest.split(":", 1))
        else:
            auth.set_default_token(viewer())
        if options.tls:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*options.tls))
        server.set_auth(auth)
        for mount in mounts.values():
            allow_viewer(mount)
    if options.srtp:
        for mount in mounts.values():
            mount.set_profiles(GstRtsp.RTSPProfile.SAVP)
    if options.transport:
        only = {"udp": GstRtsp.RTSPLowerTrans.UDP, "tcp": GstRtsp.RTSPLowerTrans.TCP}[options.transport]
        for mount in mounts.values():
            mount.set_protocols(only)
    for path, mount in mounts.items():
        server.get_mount_points().add_factory(path, mount)
    if not server.attach(None):
        sys.exit(f"cannot listen on {options.address}:{options.port}")
    server.connect("client-connected", lambda _server, client: client.connect("new-session", on_session) and None)
    last = {}
    report(server, last)
    GLib.timeout_add_seconds(2, lambda: (server.get_session_pool().cleanup(), True)[1])
    GLib.timeout_add(100, report, server, last)
    GLib.MainLoop().run()


main()
