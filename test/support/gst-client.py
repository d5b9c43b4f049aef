"""Plays rtsp URLs with GStreamer's rtspsrc and counts the video frames of each by media time.

Ends when every URL has shown --seconds of media (or on EOS or an error) and writes one JSON object:
[{"frames": N, "first": S, "last": S, "lost": N, "error": null}, ...] with N counted up to --seconds after the first
frame, and the packets that its jitter buffers missed or got too late.
"""
import argparse
import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gio, GLib, Gst  # noqa: E402

LAUNCH = (
    "rtspsrc name=src location={url} protocols={protocols} latency=200 "
    "src. ! application/x-rtp,media=video ! rtph264depay ! h264parse ! video/x-h264,alignment=au ! "
    "fakesink name=video signal-handoffs=true sync=false "
    "src. ! application/x-rtp,media=audio ! fakesink sync=false"
)


class Player:
    def __init__(self, url, options, on_end):
        self.result = {"frames": 0, "first": None, "last": None, "lost": 0, "error": None}
        self.buffers = []
        self.seconds = options.seconds
        self.on_end = on_end
        self.ended = False
        self.pipeline = Gst.parse_launch(LAUNCH.format(url=url, protocols=options.protocols))
        self.pipeline.get_by_name("src").connect("new-manager", self.on_manager)
        self.pipeline.get_by_name("video").connect("handoff", self.on_frame)
        if options.ca:
            self.pipeline.get_by_name("src").set_property("tls-database", Gio.TlsFileDatabase.new(options.ca))
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::eos", lambda *_: self.end())
        bus.connect("message::error", self.on_error)
        self.pipeline.set_state(Gst.State.PLAYING)

    def on_manager(self, _src, manager):
        manager.connect("new-jitterbuffer", lambda _bin, buffer, *_: self.buffers.append(buffer))

    def on_frame(self, _sink, buffer, _pad):
        if buffer.pts == Gst.CLOCK_TIME_NONE:
            return
        at = buffer.pts / Gst.SECOND
        result = self.result
        if result["first"] is None:
            result["first"] = at
        if at - result["first"] >= self.seconds:
            GLib.idle_add(self.end)
            return
        result["last"] = at
        result["frames"] += 1

    def on_error(self, _bus, message):
        error, debug = message.parse_error()
        self.result["error"] = f"{error.message} ({debug})"
        self.end()

    def end(self):
        if not self.ended:
            self.ended = True
            stats = [buffer.get_property("stats") for buffer in self.buffers]
            self.result["lost"] = sum(each.get_value(name) for each in stats for name in ("num-lost", "num-late"))
            self.pipeline.set_state(Gst.State.NULL)  # PAUSE and TEARDOWN go out here
            self.on_end()
        return False


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--protocols", default="udp")
    options.add_argument("--seconds", type=float, default=6)
    options.add_argument("--ca", help="the authority of the server's certificate, which is verified")
    options.add_argument("urls", nargs="+")
    options = options.parse_args()
    Gst.init(None)
    loop = GLib.MainLoop()
    players = []

    def on_end():
        if len(players) == len(options.urls) and all(player.ended for player in players):
            loop.quit()

    for url in options.urls:
        players.append(Player(url, options, on_end))
    loop.run()
    json.dump([player.result for player in players], sys.stdout)


main()
