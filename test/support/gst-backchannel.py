"""ONVIF backchannel with GStreamer. `server --port N`: plays tones on /onvif and takes PCMU from the client, one JSON
line {"received": buffers} on stdout for each tenth of them. `client URL --protocols udp|tcp`: plays and talks back for
--seconds, then prints {"played": buffers of the server}.
"""
import argparse
import ctypes
import json

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

gstreamer = ctypes.CDLL("libgstreamer-1.0.so.0")
PLAY = "( audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0 pt=0 )"
TALK = (
    "( capsfilter caps=application/x-rtp,media=audio,payload=0,clock-rate=8000,encoding-name=PCMU name=depay_backchannel "
    "! rtppcmudepay ! fakesink name=heard signal-handoffs=true sync=false async=false )"
)
LISTEN = "rtspsrc name=src location={url} protocols={protocols} latency=100 backchannel=onvif"


def serve(options):
    received = 0

    def on_heard(*_):
        nonlocal received
        received += 1
        if received % 10 == 0:
            print(json.dumps({"received": received}), flush=True)

    def on_media(_factory, media):
        media.get_element().get_by_name("heard").connect("handoff", on_heard)

    server = GstRtspServer.RTSPOnvifServer()
    server.set_service(options.port)
    factory = GstRtspServer.RTSPOnvifMediaFactory()
    factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
    factory.set_launch(PLAY)
    factory.set_backchannel_launch(TALK)
    factory.connect("media-configure", on_media)
    if options.protocols:
        only = {"udp": GstRtsp.RTSPLowerTrans.UDP, "tcp": GstRtsp.RTSPLowerTrans.TCP}[options.protocols]
        factory.set_protocols(only)
    server.get_mount_points().add_factory("/onvif", factory)
    server.attach(None)
    print(json.dumps({"received": 0}), flush=True)
    GLib.MainLoop().run()


def talk(options):
    played = 0
    loop = GLib.MainLoop()
    pipeline = Gst.Pipeline()
    source = Gst.parse_launch(LISTEN.format(url=options.url, protocols=options.protocols))
    pipeline.add(source)
    voice = Gst.parse_launch(
        "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay pt=0 "
        "! appsink name=voice emit-signals=true sync=false"
    )
    back = {}

    def on_select(_source, number, caps):
        if caps.get_structure(0).has_field("a-sendonly"):
            back["stream"] = number
        return True

    def on_voice(sink):
        sample = sink.emit("pull-sample")
        if "stream" in back and back.get("playing"):
            # The signal takes a reference that Python does not give.
            gstreamer.gst_mini_object_ref(ctypes.c_void_p(hash(sample)))
            source.emit("push-backchannel-sample", back["stream"], sample)
        return Gst.FlowReturn.OK

    def on_buffer(*_):
        nonlocal played
        played += 1
        return Gst.PadProbeReturn.OK

    def on_pad(_source, pad):
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
        pad.link(sink.get_static_pad("sink"))
        back["playing"] = True

    def on_end(*_):
        voice.set_state(Gst.State.NULL)
        pipeline.set_state(Gst.State.NULL)  # TEARDOWN goes out here
        loop.quit()
        return False

    source.connect("select-stream", on_select)
    source.connect("pad-added", on_pad)
    voice.get_by_name("voice").connect("new-sample", on_voice)
    pipeline.get_bus().add_signal_watch()
    pipeline.get_bus().connect("message::error", on_end)
    pipeline.set_state(Gst.State.PLAYING)
    voice.set_state(Gst.State.PLAYING)
    GLib.timeout_add(int(options.seconds * 1000), on_end)
    loop.run()
    print(json.dumps({"played": played}))


Gst.init(None)
root = argparse.ArgumentParser()
commands = root.add_subparsers(required=True)
server = commands.add_parser("server")
server.add_argument("--port", default="8554")
server.add_argument("--protocols", choices=["udp", "tcp"], help="the only one; others get 461")
server.set_defaults(run=serve)
client = commands.add_parser("client")
client.add_argument("url")
client.add_argument("--protocols", default="udp")
client.add_argument("--seconds", type=float, default=3)
client.set_defaults(run=talk)
options = root.parse_args()
options.run(options)
